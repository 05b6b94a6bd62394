"""Layers by oneDNN, in the forms that PyTorch's own modules do not ask it for.

PyTorch gives float32 products to the library it was built with, which knows some processors better than others; its
convolutions, and bfloat16, go to oneDNN, which comes with every build, but weights are cast and put into the order that
oneDNN works in with every call, and activations and paddings are passes of their own. Without a gradient, on a CPU,
layers may go there whole: the same result up to rounding.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn
from torch.utils.flop_counter import conv_flop_count

Activation = Literal["none", "relu", "relu6", "leaky_relu", "gelu"]

#: What leaky ReLUs let through of what is negative; others are steps of their own.
LEAK = 0.1

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": partial(F.leaky_relu, negative_slope=LEAK),
    "gelu": F.gelu,
}
# The same in oneDNN's words: name, numbers, algorithm.
_ONEDNN_ACTIVATIONS: dict[str, tuple[str, list[float], str]] = {
    "none": ("none", [], ""),
    "relu": ("relu", [], ""),
    "relu6": ("hardtanh", [0.0, 6.0], ""),
    "leaky_relu": ("leaky_relu", [LEAK], ""),
    "gelu": ("gelu", [], "none"),
}

# What torch.compile makes of these layers on a CPU; builds without oneDNN have none.
_ONEDNN: Any = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None


def _flop_of_linear(x: torch.Size, weight: torch.Size, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * x.numel() * weight[0]


def _flop_of_convolution(x: torch.Size, weight: torch.Size, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))


#: What PyTorch's counter of operations does not know, for its `custom_mapping`.
FLOPS: dict[Any, Callable[..., int]] = (
    {}
    if _ONEDNN is None
    else {_ONEDNN._linear_pointwise: _flop_of_linear, _ONEDNN._convolution_pointwise: _flop_of_convolution}
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation = "none") -> Tensor:
    """`activation(x @ weight.T + bias)`, by the fastest way there is here; (..., in) to (..., out)."""
    if not _by_onednn(x):
        return _ACTIVATIONS[activation](F.linear(x, weight, bias))
    dtype = _computed_in(x)
    bias = None if bias is None else bias.to(dtype)
    # Of weights in another order oneDNN has an implementation for reference only, some hundred times as slow.
    return _linear(x, weight.to(dtype).contiguous(), bias, activation)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    result: Tensor = _ONEDNN._linear_pointwise(x.to(weight.dtype), weight, bias, *_ONEDNN_ACTIVATIONS[activation])
    return result


def _by_onednn(x: Tensor) -> bool:
    if _ONEDNN is None or x.device.type != "cpu" or torch.is_grad_enabled():
        return False
    dtype = _computed_in(x)
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(_ONEDNN._is_mkldnn_bf16_supported()))


def _computed_in(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


Prepared: TypeAlias = "tuple[Tensor, Tensor | None]"


class _Prepared:
    """Weights and biases as oneDNN wants them, made again where the layer's own have changed; never saved or copied.

    Attributes:
        kept: whether for the next time. Not those that change unseen, such as FSDP's (`forget_weights`).
    """

    def __init__(self, kept: bool = True) -> None:
        self.kept = kept
        self._kind: tuple[object, ...] = ()
        self._value: Prepared | None = None

    def get(
        self,
        layer: nn.Linear | nn.Conv2d,
        dtype: torch.dtype,
        prepare: Callable[[Tensor], Tensor],
        size: torch.Size = torch.Size(),  # noqa: B008
    ) -> Prepared:
        """Weights in a precision and the order that `prepare` makes for a size; what was asked for last is kept."""
        weight, bias = layer.weight, layer.bias
        of_bias = None if bias is None else (bias._version, bias.data_ptr())
        kind = (dtype, size, weight._version, weight.data_ptr(), of_bias)
        if self._value is None or self._kind != kind or not self.kept:
            self._value = prepare(weight.detach().to(dtype)), None if bias is None else bias.detach().to(dtype)
            self._kind = kind
        return self._value

    def __reduce__(self) -> tuple[type["_Prepared"], tuple[bool]]:
        return _Prepared, (self.kept,)


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`. Weights in another precision than their own are kept for the next time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.prepared = _Prepared()

    def forward(self, x: Tensor, activation: Activation = "none") -> Tensor:
        """(..., in) to (..., out)."""
        if not _by_onednn(x) or _computed_in(x) == self.weight.dtype:
            return linear(x, self.weight, self.bias, activation)
        weight, bias = self.prepared.get(self, _computed_in(x), _ONEDNN._reorder_linear_weight)
        return _linear(x, weight, bias, activation)


class Convolution(nn.Conv2d):
    """`torch.nn.Conv2d` and the activation after it, in one call; weights are kept in oneDNN's order.

    Attributes:
        activation: what follows.
    """

    _zeros = 0
    """Rows and columns of zeros that the kernel gets before its weights."""

    def __init__(self, like: nn.Conv2d, activation: Activation = "none") -> None:
        with torch.device("meta"):
            super().__init__(
                like.in_channels,
                like.out_channels,
                like.kernel_size,  # type: ignore[arg-type]
                like.stride,  # type: ignore[arg-type]
                like.padding,  # type: ignore[arg-type]
                like.dilation,  # type: ignore[arg-type]
                like.groups,
                like.bias is not None,
                like.padding_mode,
            )
        self.weight, self.bias = like.weight, like.bias
        self.train(like.training)
        self.activation = activation
        self.prepared = _Prepared()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, H, W) to (n, out, h, w)."""
        if not (_by_onednn(x) and self._is_plain(x)):
            return _ACTIVATIONS[self.activation](self._convolve(x))
        how = self._padding(), self.stride, self.dilation, self.groups
        weight, bias = self.prepared.get(
            self,
            _computed_in(x),
            lambda weight: _ONEDNN._reorder_convolution_weight(
                F.pad(weight, [self._zeros, 0] * 2), *how, [1, *x.shape[1:]]
            ),
            x.shape[2:],
        )
        result: Tensor = _ONEDNN._convolution_pointwise(
            x.to(weight.dtype), weight, bias, *how, *_ONEDNN_ACTIVATIONS[self.activation]
        )
        return result

    def _convolve(self, x: Tensor) -> Tensor:
        """By PyTorch."""
        return super().forward(x)

    def _is_plain(self, x: Tensor) -> bool:
        """Whether zeros, the same on both sides, are all that is around the image."""
        return self.padding_mode == "zeros" and not isinstance(self.padding, str)

    def _padding(self) -> list[int]:
        return [int(side) for side in self.padding]


class SameConvolution(Convolution):
    """The same with TensorFlow's padding (timm's `Conv2dSame`), after which there are ⌈side / stride⌉ cells a side.

    Of even sides and a stride of 2 it pads one cell more behind than before. A kernel with one more zero before its
    weights needs as many on both sides, and the image need not be copied into a larger one.
    """

    _zeros = 1

    def _convolve(self, x: Tensor) -> Tensor:
        return super()._convolve(pad_same(x, self.kernel_size, self.stride, self.dilation))  # type: ignore[arg-type]

    def _is_plain(self, x: Tensor) -> bool:
        even = not (x.shape[2] % 2 or x.shape[3] % 2) and all(side % 2 for side in self.kernel_size)
        return even and self.stride == (2, 2) and self.dilation == (1, 1)

    def _padding(self) -> list[int]:
        return [side // 2 for side in self.kernel_size]


def _activation_of(module: nn.Module) -> Activation:
    """What a layer that follows another does, if that can be done in one go; else "none"."""
    if type(module) is nn.LeakyReLU and module.negative_slope == LEAK:
        return "leaky_relu"
    return _FOLLOWING.get(type(module), "none")


_FOLLOWING: dict[type[nn.Module], Activation] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.GELU: "gelu"}


def speed_up_convolutions(module: nn.Module) -> None:
    """Make every convolution within one of ours with the same weights, in place, and the activation after it its own.

    For modules whose parts follow one another in the order in which they were added.
    """
    for (name, child), (following, after) in pairwise([*module.named_children(), ("", nn.Identity())]):
        if type(child) in (nn.Conv2d, Conv2dSame):
            assert isinstance(child, nn.Conv2d)
            kind = SameConvolution if isinstance(child, Conv2dSame) else Convolution
            activation = _activation_of(after)
            setattr(module, name, kind(child, activation))
            if activation != "none":
                setattr(module, following, nn.Identity())
        else:
            speed_up_convolutions(child)


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


def forget_weights(module: nn.Module) -> None:
    """Let layers within prepare their weights with every call: for weights that change without PyTorch's knowing."""
    for layer in module.modules():
        if isinstance(layer, (Linear, Convolution)):
            layer.prepared.kept = False
