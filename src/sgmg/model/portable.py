"""Steps of the network in operators that every runtime has, for export.

PyTorch's own are faster and used everywhere else. Exporters cannot say some of them (Fourier transforms of complex
numbers, averages over windows that depend on the size of a frame); as products with matrices anything runs them, for
frames of any size, and gives the same up to rounding.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]

_portable = ContextVar("portable operators", default=False)


@contextmanager
def portable_operators() -> Iterator[None]:
    """Within it, the network keeps to operators that exporters know; sizes may be tensors of a trace."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Whether to keep to operators that exporters know."""
    return _portable.get()


def average_to(x: Tensor, size: Size) -> Tensor:
    """Maps (n, C, H, W) averaged to (n, C, h, w), as `torch.nn.functional.adaptive_avg_pool2d` does it."""
    if not is_portable():
        return F.adaptive_avg_pool2d(x, size)
    rows = averaging(x.shape[2], size[0], x.device)
    columns = averaging(x.shape[3], size[1], x.device)
    return rows @ x @ columns.T


def at_sizes(x: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
    """A map resized to each size: bilinear where it grows, mean where it shrinks."""
    return [
        average_to(x, size)
        if size < (x.shape[2], x.shape[3])
        else F.interpolate(x, size, mode="bilinear", align_corners=False)
        for size in sizes
    ]


def averaging(size: int, parts: int, device: torch.device) -> Tensor:
    """What averages a side of cells to fewer: (parts, size), of which each row sums to 1."""
    cell = torch.arange(size, device=device)
    part = torch.arange(parts, device=device)[:, None]
    first = torch.div(part * size, parts, rounding_mode="floor")
    end = torch.div((part + 1) * size + parts - 1, parts, rounding_mode="floor")
    inside = ((cell >= first) & (cell < end)).float()
    return inside / (end - first)


def fourier(x: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.fft.fft2` of real maps (n, C, h, w): its real and its imaginary part, of the same shape."""
    if not is_portable():
        spectrum = torch.fft.fft2(x)
        return spectrum.real, spectrum.imag
    rows, columns = (waves(side, x.device) for side in x.shape[2:])
    return _product((x @ columns[0], x @ columns[1]), rows)


def inverse_fourier(real: Tensor, imaginary: Tensor) -> Tensor:
    """The real part of `torch.fft.ifft2` of maps (n, C, h, w)."""
    if not is_portable():
        return torch.fft.ifft2(torch.complex(real, imaginary)).real
    (cos_y, sin_y), (cos_x, sin_x) = (waves(side, real.device) for side in real.shape[2:])
    # With waves that turn the other way, whose sine has the other sign.
    across = real @ cos_x + imaginary @ sin_x, imaginary @ cos_x - real @ sin_x
    return (cos_y @ across[0] + sin_y @ across[1]) / (real.shape[2] * real.shape[3])


def waves(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of exp(-2πi · j · k / size): (size, size) each, float32."""
    place = torch.arange(size, device=device)
    # Whole turns are taken out while numbers are whole: no angle loses digits.
    angle = torch.remainder(place[:, None] * place, size).float() * (2 * math.pi) / size
    return angle.cos(), -angle.sin()


def _product(x: tuple[Tensor, Tensor], rows: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Complex product of waves (h, h) with maps (n, C, h, w)."""
    (real, imaginary), (cos, sin) = x, rows
    return cos @ real - sin @ imaginary, cos @ imaginary + sin @ real


def sizes_like(shapes: Sequence[Sequence[int]], like: Tensor) -> Tensor:
    """Numbers that belong to levels, one row a level, as a tensor of the type and device of another."""
    if not is_portable():
        return like.new_tensor(shapes)
    return torch.stack([torch.stack([torch.as_tensor(side, dtype=like.dtype) for side in row]) for row in shapes])


def for_each(x: Tensor, count: int) -> Tensor:
    """Each row as many times in a row: (n, ...) to (n · count, ...), without a copy where that can be."""
    if not is_portable():
        return x.expand(count, *x.shape[1:]) if len(x) == 1 else x.repeat_interleave(count, 0)
    return x[:, None].expand(-1, count, *[-1] * (x.dim() - 1)).flatten(0, 1)
