"""Linear layers by oneDNN where PyTorch would take a slower library.

PyTorch gives float32 products to the library it was built with, which knows some processors better than others; its
convolutions, and bfloat16, go to oneDNN, which comes with every build. Without a gradient, on a CPU, linear layers may
go there too, with the activation after them: the same result up to rounding.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["none", "relu", "gelu"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}

# What torch.compile makes of a linear layer on a CPU; builds without oneDNN have none.
_ONEDNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def _flop_of_linear(x: torch.Size, weight: torch.Size, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * x.numel() * weight[0]


#: What PyTorch's counter of operations does not know, for its `custom_mapping`.
FLOPS: dict[Any, Callable[..., int]] = {_ONEDNN: _flop_of_linear} if _ONEDNN is not None else {}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation = "none") -> Tensor:
    """`activation(x @ weight.T + bias)`, by the fastest way there is here; (..., in) to (..., out)."""
    if not _by_onednn(x):
        return _ACTIVATIONS[activation](F.linear(x, weight, bias))
    dtype = _computed_in(x)
    bias = None if bias is None else bias.to(dtype)
    return _ONEDNN(x.to(dtype), weight.to(dtype), bias, activation, [], "none" if activation == "gelu" else "")


def _by_onednn(x: Tensor) -> bool:
    return _ONEDNN is not None and x.device.type == "cpu" and not torch.is_grad_enabled()


def _computed_in(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`. Weights in another precision than their own are kept for the next time."""

    _cast: tuple[tuple[object, ...], Tensor, Tensor | None] | None = None

    def forward(self, x: Tensor, activation: Activation = "none") -> Tensor:
        """(..., in) to (..., out)."""
        if not _by_onednn(x) or _computed_in(x) == self.weight.dtype:
            return linear(x, self.weight, self.bias, activation)
        dtype = _computed_in(x)
        kind = (dtype, self.weight._version, self.weight.data_ptr())
        if self._cast is None or self._cast[0] != kind:
            self._cast = kind, self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)
        return linear(x, *self._cast[1:], activation)


def speed_up_linear_layers(module: nn.Module) -> None:
    """Make every linear layer within, of whatever library, one of ours with the same weights, in place."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            with torch.device("meta"):
                ours = Linear(child.in_features, child.out_features, bias=child.bias is not None)
            ours.weight, ours.bias = child.weight, child.bias
            ours.train(child.training)
            setattr(module, name, ours)
        else:
            speed_up_linear_layers(child)
