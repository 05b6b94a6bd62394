"""Sine position embeddings of words and of feature maps."""

import math

import torch
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig


def _sine(position: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """Sine on even and cosine on odd channels; position (...) to (..., channels)."""
    index = torch.arange(channels, device=position.device, dtype=torch.float32)
    period = temperature ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    angle = position[..., None] / period
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(-2)


def word_positions(padding_mask: Tensor, channels: int) -> Tensor:
    """Positions of words by their count among the real ones, scaled to 2π.

    Args:
        padding_mask: (E, L), True on padding.

    Returns:
        (E, L, channels) float32.
    """
    count = (~padding_mask).cumsum(1, dtype=torch.float32)
    return _sine(count / (count[:, -1:] + 1e-6) * 2 * math.pi, channels)


def cell_positions(padding_mask: Tensor, channels: int) -> Tensor:
    """Positions of a feature map's cells by their count among unpadded ones, y then x, scaled to 2π.

    Args:
        padding_mask: (B, h, w), True on padding.

    Returns:
        (B, channels, h, w) float32: the first half of the channels is y, the second x.
    """
    real = ~padding_mask
    y, x = real.cumsum(1, dtype=torch.float32), real.cumsum(2, dtype=torch.float32)
    y = (y - 0.5) / (y[:, -1:, :] + 1e-6) * 2 * math.pi
    x = (x - 0.5) / (x[:, :, -1:] + 1e-6) * 2 * math.pi
    return torch.cat((_sine(y, channels // 2), _sine(x, channels // 2)), dim=-1).permute(0, 3, 1, 2)


class Place(nn.Module):
    """Hints for the fused levels of where in the frame cells lie, for sentences that speak of it ("the leftmost dog").

    The attention of the words takes no positions, so that without the hint they meet them only later.
    """

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.projections = nn.ModuleList()
        for _ in config.strides:
            projection = nn.Conv2d(d, d, 1, bias=False)
            nn.init.zeros_(projection.weight)  # the levels begin as they are
            self.projections.append(projection)

    def forward(self, positions: list[Tensor]) -> list[Tensor]:
        """`cell_positions` (B, d, h, w) of each level to a hint of the same shape."""
        return [projection(x) for projection, x in zip(self.projections, positions, strict=True)]
