"""The listwise softmax loss, and padded batches of lists for it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.data.ranked_lists import Indices, RankedLists
from ml.nn.additive_ranker import position_bucket


@dataclass(frozen=True)
class ListBatch:
    """Lists padded to the longest: features (B, L, F), grade, bucket of the position, and which places are real."""

    features: Tensor
    grade: Tensor
    bucket: Tensor
    real: Tensor


def gather_lists(lists: RankedLists, chosen: Indices) -> ListBatch:
    rows, real = lists.padded_rows(chosen)
    return ListBatch(
        features=torch.from_numpy(lists.features[rows]),
        grade=torch.from_numpy(np.where(real, lists.grade[rows], np.float32(0.0))),
        bucket=torch.from_numpy(position_bucket(lists.rank[rows])),
        real=torch.from_numpy(real),
    )


def listwise_softmax(logits_BL: Tensor, batch: ListBatch) -> Tensor:
    """Mean over the lists of the cross-entropy between their grades, as shares, and softmax(logits).

    ListNet's top-one loss (Cao et al., 2007, ICML). With log examination as one summand of the logits it is the
    likelihood of which item was chosen under the position-based click model.
    """
    log_share = logits_BL.masked_fill(~batch.real, -torch.inf).log_softmax(dim=1).masked_fill(~batch.real, 0.0)
    wanted = batch.grade / batch.grade.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return -(wanted * log_share).sum(dim=1).mean()
