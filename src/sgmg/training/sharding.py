"""Weights, gradients and the optimiser's state spread over processes: FSDP, for networks that one GPU cannot hold.

PyTorch has two of them; this is the second, `fully_shard`, which leaves the names of parameters as they are and works
with frozen ones, with gradients clipped by their norm, and on CPUs too.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from sgmg.model import SgMg
from sgmg.model.onednn import forget_weights

#: Blocks with fewer parameters are gathered together with what surrounds them.
SMALLEST_BLOCK = 10_000


class Sharded(ModelParallelStrategy):
    """Lightning's strategy for `fully_shard`, over all processes; checkpoints are whole, in one file."""

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Now that the number of processes is known, share among all of them."""
        self._data_parallel_size = self.world_size
        super().setup_environment()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Go on from a checkpoint of any number of processes, spread or not."""
        assert self.model is not None
        checkpoint = torch.load(checkpoint_path, mmap=True, map_location="cpu", weights_only=weights_only)
        whole = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=whole)
        for optimiser, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            set_optimizer_state_dict(self.model, optimiser, _by_name(state, self.model, optimiser), options=whole)
        return checkpoint


def _by_name(state: dict[str, Any], model: nn.Module, optimiser: Optimizer) -> dict[str, Any]:
    """An optimiser's state with names of parameters in place of its numbers.

    Who wrote it numbered parameters by their place in the optimiser or in the network (Lightning does the one for whole
    and the other for spread weights), but listed them in the optimiser's order.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    ordered = [names[parameter] for group in optimiser.param_groups for parameter in group["params"]]
    numbers = chain.from_iterable(group["params"] for group in state["param_groups"])
    name_of = dict(zip(numbers, ordered, strict=True))
    return {
        "state": {name_of[number]: values for number, values in state["state"].items()},
        "param_groups": [
            group | {"params": [name_of[number] for number in group["params"]]} for group in state["param_groups"]
        ],
    }


def shard(module: nn.Module, mesh: DeviceMesh, *steps: str) -> None:
    """Spread a module over processes, in place. Its parameters become parts (`DTensor`) of what they were.

    While a block computes, its parameters are whole; what is in no block is whole during each step.

    Args:
        module: with the same weights in all processes.
        mesh: of the processes, one-dimensional.
        steps: names of the methods that compute with it.
    """
    forget_weights(module)
    # Always gathered anew: between steps, weights may be read and replaced (`WeightAverage.applied`).
    for block in [*blocks(module), module]:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    for step in steps:
        register_fsdp_forward_method(module, step)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """What a network has many of, one after another: layers of transformers, blocks of encoders; inner ones first."""
    for child in module.children():
        yield from blocks(child)
        repeated = isinstance(module, nn.ModuleList | nn.Sequential) and not isinstance(
            child, nn.ModuleList | nn.Sequential
        )
        if repeated and any(child.children()) and sum(p.numel() for p in child.parameters()) >= SMALLEST_BLOCK:
            yield child


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from all processes' parts, if it is spread; every process has to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor spread as another is, if that is."""
    if not isinstance(other, DTensor):
        return tensor
    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)


def whole_model(model: SgMg) -> SgMg | None:
    """The network with whole weights: itself, or of a spread one a copy on the CPU, in the first process alone.

    Every process has to ask for it; the others get None.
    """
    if not any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        return model
    weights = {name: whole(value).cpu() for name, value in model.state_dict().items()}
    if torch.distributed.get_rank() != 0:
        return None
    with torch.random.fork_rng(devices=[]):
        copy = SgMg(model.config, model.tokenizer)
    copy.load_state_dict(weights)
    return copy.eval()
