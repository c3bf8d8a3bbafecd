"""Where a network computes."""

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """That of its weights, which all lie on one device."""
    return next(model.parameters()).device
