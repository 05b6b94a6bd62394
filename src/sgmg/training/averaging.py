"""A running average of the weights, which often scores better than the weights themselves."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sgmg.training.sharding import spread_like, whole


class WeightAverage:
    """Exponential moving average of trainable parameters, in float32 on their device, spread as they are.

    The decay rises from 0.1 to its value over the first updates, (1 + n) / (10 + n), so that the first
    weights are soon forgotten.

    Args:
        parameters: (name, parameter) pairs; those that are not trained are left out.
        decay: share of the average that an update keeps.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.parameters = {name: parameter for name, parameter in parameters if parameter.requires_grad}
        self.decay = decay
        self.updates = 0
        self.values = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters' values of now into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        device = next(iter(self.parameters.values())).device
        self.values = {name: value.to(device) for name, value in self.values.items()}
        get_ema_multi_avg_fn(decay)(list(self.values.values()), list(self.parameters.values()), self.updates)
        self.updates += 1

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """While this lasts, the parameters hold their averages."""
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.copy_(self.values[name])
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.copy_(own[name])

    def state_dict(self) -> dict[str, Tensor | int]:
        """What a checkpoint keeps; of weights that are spread over processes, every process has to ask for it."""
        return {"updates": self.updates} | {name: whole(value) for name, value in self.values.items()}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Go on from a checkpoint."""
        self.updates = int(state["updates"])
        self.values = {name: spread_like(torch.as_tensor(state[name]), value) for name, value in self.values.items()}
