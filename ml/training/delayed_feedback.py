"""Learning from conversions of which some are still to come.

O. Chapelle, "Modeling delayed feedback in display advertising", KDD 2014, section 3: a click without a conversion so
far either never converts or has not converted yet. Delays are exponential; here, in a window after which a conversion
does not count, so that a click older than the window is surely without one.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.nn.click_network import ClickBatch, ClickNetwork

# Mean delays from a 150th of the window to far beyond it; outside no data could tell them apart.
LARGEST_LOG_RATE = 5.0
LEAST_SURVIVAL = 1e-7


class DelayedConversions(nn.Module):
    """What is learned with a network of conversions: how fast they come, by the fields' values. Only `network` is asked
    afterwards."""

    def __init__(self, network: ClickNetwork) -> None:
        super().__init__()
        self.network = network
        self.log_rate = nn.Embedding(network.embedding.num_embeddings, 1)
        nn.init.zeros_(self.log_rate.weight)

    def loss(self, batch: ClickBatch, converted: Tensor, delay: Tensor, elapsed: Tensor) -> Tensor:
        """Of a batch of clicks; see delayed_feedback_loss."""
        log_rate = self.log_rate(batch.fields + self.network.offsets)[..., 0].sum(dim=1)
        return delayed_feedback_loss(self.network(batch), log_rate, converted, delay, elapsed)


def delayed_feedback_loss(
    logit_KB: Tensor, log_rate_B: Tensor, converted_B: Tensor, delay_B: Tensor, elapsed_B: Tensor
) -> Tensor:
    """Mean negative log-likelihood over members and clicks.

    Times are shares of the window. converted: 1 where the conversion has come by now, `delay` after the click (any
    number elsewhere); `elapsed`: since the click until now. A conversion within the window has the chance
    sigmoid(logit), and its delay the density rate exp(-rate d) / (1 - exp(-rate)) on [0, 1].
    """
    log_rate_B = log_rate_B.clamp(-LARGEST_LOG_RATE, LARGEST_LOG_RATE)
    rate_B = log_rate_B.exp()
    within_B = -torch.expm1(-rate_B)
    seen = functional.logsigmoid(logit_KB) + log_rate_B - rate_B * delay_B - within_B.log()
    share_B = -torch.expm1(-rate_B * elapsed_B.clamp(0.0, 1.0)) / within_B
    unseen = (1.0 - logit_KB.sigmoid() * share_B).clamp_min(LEAST_SURVIVAL).log()
    return -torch.where(converted_B > 0, seen, unseen).mean()
