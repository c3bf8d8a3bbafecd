"""Checkpoints: one safetensors file with a JSON header, replaced atomically. Never pickle.

What only saving and loading need is imported there, here and in the modules beside: a machine that measures has torch
and numpy alone.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Tensors = dict[str, Tensor]
GROUPS = ("model", "best", "average", "optimizer", "rng")


@dataclass
class Checkpoint:
    """Everything that a resumed run needs to end where an uninterrupted one would."""

    model: Tensors
    best: Tensors
    average: Tensors
    optimizer: Tensors
    rng: Tensors
    state: dict[str, Any]  # JSON: epoch, step, best score, curve...

    def save(self, path: Path) -> None:
        from safetensors.torch import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        groups = {name: getattr(self, name) for name in GROUPS}
        # Cloned because safetensors refuses tensors that share memory.
        tensors = {
            f"{group}/{name}": tensor.detach().cpu().clone().contiguous()
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        partial = path.with_name(path.name + ".partial")
        save_file(tensors, partial, metadata={"state": json.dumps(self.state)})
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        from safetensors import safe_open

        groups: dict[str, Tensors] = {name: {} for name in GROUPS}
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            for key in file.keys():  # noqa: SIM118, the reader is not a mapping
                group, name = key.split("/", 1)
                groups[group][name] = file.get_tensor(key)
        return cls(**groups, state=state)


def optimizer_tensors(model: nn.Module, optimizer: Optimizer) -> Tensors:
    """The optimizer's state under the names of the parameters that it belongs to."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def restore_optimizer(model: nn.Module, optimizer: Optimizer, tensors: Tensors) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, slot = key.rsplit("/", 1)
        parameter = parameters[name]
        # Adam keeps its step counter on the CPU wherever the parameter lives.
        optimizer.state[parameter][slot] = value if slot == "step" else value.to(parameter.device)


def rng_tensors() -> Tensors:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_rng(tensors: Tensors) -> None:
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
