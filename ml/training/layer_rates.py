"""Rates at which the layers of a pretrained transformer learn, and how they change over a run."""

from typing import Any

from torch import nn

WARM_UP_SHARE = 0.1


def layer_groups(model: nn.Module, *, learning_rate: float, layer_decay: float) -> list[dict[str, Any]]:
    """The weights of the longest stack of layers, each layer with its rate: `learning_rate` for the last one, and
    `layer_decay` times as much for each one below. All other weights are frozen. Raises ValueError without layers.
    """
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not stacks:
        raise ValueError("this text encoder has no stack of layers to tune; use tune false")
    layers = max(stacks, key=len)
    # The table of words is half of all weights and would cost half of a step; the layers above it learn enough.
    model.requires_grad_(False)
    layers.requires_grad_(True)
    depth = len(layers)
    return [
        {"params": list(layer.parameters()), "lr": learning_rate * layer_decay ** (depth - 1 - number)}
        for number, layer in enumerate(layers)
    ]


def warm_up_and_fall(step: int, steps: int) -> float:
    """Up in the first tenth of the steps and down to nothing in the others, as a share of the learning rate."""
    warm_up = max(1.0, WARM_UP_SHARE * steps)
    return min((step + 1) / warm_up, (steps - step) / max(1.0, steps - warm_up + 1))
