"""Attention in windows of a clip (Video Swin), in little memory.

The same weights and results as torchvision's modules, up to rounding. Scores are never held for all windows at once:
windows go through attention in groups that share their mask, a few at a time, and the layers after attention see a
few frames at a time. Only where no gradient is asked for: with one, everything is kept anyway.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

#: Tokens that go through attention, or the layers after it, at once where no gradient is asked for.
TOKENS_AT_ONCE = 16_384

Size = tuple[int, int, int]


class WindowAttention(ShiftedWindowAttention3d):
    """Self-attention within windows of (frames, rows, columns), shifted or not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) to the same shape."""
        clips, channels, size = len(x), x.shape[-1], x.shape[1:4]
        # A clip no longer than the window is one window, and needs no shift.
        window = [min(whole, side) for whole, side in zip(self.window_size, size, strict=True)]
        shift = [
            s if side > whole else 0 for s, whole, side in zip(self.shift_size, self.window_size, size, strict=True)
        ]
        counts = [-(-side // part) for side, part in zip(size, window, strict=True)]
        missing = [part * count - side for part, count, side in zip(window, counts, size, strict=True)]
        x = F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
        padded = x.shape
        if any(shift):
            x = x.roll([-s for s in shift], (1, 2, 3))
        # (B, windows in time, down, across, tokens of a window, C)
        x = x.view(clips, *(n for pair in zip(counts, window, strict=True) for n in pair), channels)
        x = x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6)
        bias = self.get_relative_position_bias(window)  # (1, heads, tokens, tokens)
        attended = x.new_empty(x.shape) if not torch.is_grad_enabled() else torch.zeros_like(x)
        for place, mask in window_groups(counts, window, shift, x.device):
            group = x[(slice(None), *place)]
            together = self._attend(group.flatten(0, 3), bias if mask is None else bias + mask)
            attended[(slice(None), *place)] = together.view(group.shape)
        x = attended.view(clips, *counts, *window, channels).permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(padded)
        if any(shift):
            x = x.roll(shift, (1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        """Windows (n, tokens, C) and what is added to their scores to (n, tokens, C)."""
        n, tokens, _ = windows.shape
        at_once = n if torch.is_grad_enabled() else max(1, TOKENS_AT_ONCE // tokens)
        parts = []
        for part in windows.split(at_once):
            query, key, value = self.qkv(part).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
            read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
            parts.append(self.proj(read.transpose(1, 2).flatten(2)))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class WindowBlock(SwinTransformerBlock):
    """Attention in windows, then an MLP, each with a norm before and a residual around it."""

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **{**options, "attn_layer": WindowAttention})  # torchvision names its own

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) to the same shape."""
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        if torch.is_grad_enabled():
            return x + self.stochastic_depth(self.mlp(self.norm2(x)))
        for part in x.view(-1, x.shape[-1]).split(TOKENS_AT_ONCE):
            part += self.mlp(self.norm2(part))
        return x


def window_groups(
    counts: list[int], window: list[int], shift: list[int], device: torch.device
) -> Iterator[tuple[tuple[slice, ...], Tensor | None]]:
    """Windows that share a mask: where they are among all windows, and what is added to their scores.

    A shift rolls the first cells of a side behind its last: only the last window of a side holds cells that are no
    neighbours, and these must not see each other. So there are at most eight kinds of windows.

    Yields:
        slices over the windows in time, down and across; and (1, 1, tokens, tokens), or None for no mask.
    """
    sides = [
        [(slice(None), 0)] if not s else [(slice(0, n - 1), 0), (slice(n - 1, n), s)] if n > 1 else [(slice(None), s)]
        for n, s in zip(counts, shift, strict=True)
    ]
    for kind in product(*sides):
        places, rolled = zip(*kind, strict=True)
        yield places, window_mask(window, rolled, device) if any(rolled) else None


def window_mask(window: list[int], rolled: tuple[int, ...], device: torch.device) -> Tensor:
    """What keeps cells apart in a window whose last `rolled` cells of each side come from the other end.

    Returns:
        (1, 1, tokens, tokens): 0 between cells of one origin, -100 between others, as published.
    """
    origins = [torch.arange(side, device=device) >= side - back for side, back in zip(window, rolled, strict=True)]
    down, across = origins[1][:, None], origins[2]
    origin = (origins[0][:, None, None] * 4 + down * 2 + across).flatten()
    return ((origin[:, None] != origin) * -100.0)[None, None]
