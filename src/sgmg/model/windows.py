"""Attention in windows of a clip (Video Swin), in little memory.

The same weights and results as torchvision's modules, up to rounding. Windows that share their mask go through
attention together, so that no mask is held for every window. Where no gradient is asked for, a few windows at a time go
through the whole block, out of the clip and back into their place: every cell is in one window, and nothing of the
clip's size is held but the clip itself. Nor even that, in `WindowBlock.stream`: frames of one window in time are all
that a block asks for at once.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from sgmg.model.onednn import speed_up_linear_layers
from sgmg.model.parts import FrameQueue
from sgmg.model.portable import is_portable

#: Tokens that go through a block at once where no gradient is asked for.
TOKENS_AT_ONCE = 8192
#: A CPU's attention in bfloat16 takes half as long again where the keys are no multiple of this.
KEYS_TOGETHER = 16
#: Whether this processor multiplies in bfloat16 as fast in PyTorch's fused attention as elsewhere: with AMX only.
FUSED_BFLOAT16 = torch.cpu._is_amx_tile_supported()
#: Heads of windows whose scores are there at once where they are made by products.
HEADS_AT_ONCE = 24
#: What is added to the scores between cells of a window that are no neighbours, as published.
APART = -100.0


class WindowAttention(ShiftedWindowAttention3d):
    """Self-attention within windows of (frames, rows, columns), shifted or not."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) to the same shape."""
        if is_portable():
            return self._of_any_size(x)
        clips, channels = len(x), x.shape[-1]
        layout = self.layout(x.shape[1:4])
        x = F.pad(x, layout.padding)
        padded = x.shape
        if any(layout.shift):
            x = x.roll([-s for s in layout.shift], (1, 2, 3))
        x = into_windows(x, layout)  # (B, windows in time, down, across, tokens of a window, C)
        bias = self.get_relative_position_bias(layout.window)  # (1, heads, tokens, tokens)
        attended = torch.zeros_like(x)
        for place, mask in window_groups(layout, x.device):
            group = x[(slice(None), *place)]
            together = self._attend(group.flatten(0, 3), bias if mask is None else bias + mask)
            attended[(slice(None), *place)] = together.view(group.shape)
        x = attended.view(clips, *layout.counts, *layout.window, channels)
        x = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(padded)
        if any(layout.shift):
            x = x.roll(layout.shift, (1, 2, 3))
        return x[:, : layout.size[0], : layout.size[1], : layout.size[2]]

    def _of_any_size(self, x: Tensor) -> Tensor:
        """`forward` for sizes that only an exported network's runtime knows: all windows at once, a mask for each."""
        clips, size, channels = x.shape[0], x.shape[1:4], x.shape[-1]
        axes = [TracedAxis.of(*one) for one in zip(size, self.window_size, self.shift_size, strict=True)]
        missing = [axis.count * axis.window - side for axis, side in zip(axes, size, strict=True)]
        x = F.pad(x, [0, 0, 0, missing[2], 0, missing[1], 0, missing[0]])
        for index, axis in enumerate(axes):
            x = x.index_select(index + 1, axis.rolled)
        sides = [side for axis in axes for side in (axis.count, axis.window)]
        windows = x.reshape([clips, *sides, channels]).permute(0, 1, 3, 5, 2, 4, 6, 7)
        tokens = axes[0].window * axes[1].window * axes[2].window
        times, rows, columns = (axis.origin for axis in axes)
        origin = times[:, None, None] * 4 + rows[:, None] * 2 + columns
        origin = origin.reshape(sides).permute(0, 2, 4, 1, 3, 5).reshape([-1, tokens])
        apart = (origin[:, None, :, None] != origin[:, None, None, :]).float() * APART
        bias = self.get_relative_position_bias([tokens, 1, 1])
        attended = self._attend(windows.reshape([-1, tokens, channels]), (bias + apart).repeat(clips, 1, 1, 1))
        counts, lengths = [axis.count for axis in axes], [axis.window for axis in axes]
        attended = attended.reshape([clips, *counts, *lengths, channels]).permute(0, 1, 4, 2, 5, 3, 6, 7)
        x = attended.reshape([clips, *[axis.count * axis.window for axis in axes], channels])
        for index, axis in enumerate(axes):
            x = x.index_select(index + 1, axis.back)
        return x[:, : size[0], : size[1], : size[2]]

    def layout(self, size: Sequence[int]) -> "WindowLayout":
        """How a clip of (frames, rows, columns) is cut into windows."""
        # A clip no longer than the window is one window, and needs no shift.
        window = tuple(min(whole, side) for whole, side in zip(self.window_size, size, strict=True))
        shift = tuple(
            s if side > whole else 0 for s, whole, side in zip(self.shift_size, self.window_size, size, strict=True)
        )
        return WindowLayout(tuple(size), window, shift)

    def _attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        """Windows (n, tokens, C) and what is added to their scores to (n, tokens, C)."""
        return self.proj(self.read(self.qkv(windows), bias))

    def read(self, projected: Tensor, bias: Tensor) -> Tensor:
        """Queries, keys and values (n, keys, 3C) and what is added to scores to what is read, (n, tokens, C).

        There may be more keys than tokens that read them: what is added, (1 or n, heads, tokens, keys), says how many.
        """
        query, key, value = projected.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query = query[:, :, : bias.shape[2]]
        bias = bias.to(query.dtype)
        slow = query.dtype == torch.bfloat16 and query.device.type == "cpu" and not FUSED_BFLOAT16
        if slow and not torch.is_grad_enabled():
            return _read_by_products(query, key, value, bias)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return read.transpose(1, 2).flatten(2)


def _read_by_products(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """What is read in windows, a few after others, so that their scores stay in the caches.

    Args:
        query: (n, heads, tokens, c).
        key, value: (n, heads, keys, c).
        bias: (1 or n, heads, tokens, keys), added to the scores.

    Returns:
        (n, tokens, heads · c).
    """
    windows, heads, tokens, width = query.shape
    at_once = min(windows, max(1, HEADS_AT_ONCE // heads))
    read = query.new_empty(windows, tokens, heads, width)
    whole = query.new_empty(at_once * heads, tokens, key.shape[2])
    shared = bias.expand(at_once, -1, -1, -1).flatten(0, 1) if len(bias) == 1 else None
    for start in range(0, windows, at_once):
        some = slice(start, start + at_once)
        queries, keys, values = (x[some].flatten(0, 1) for x in (query, key, value))
        added = bias[some].flatten(0, 1) if shared is None else shared[: len(queries)]
        scores = torch.baddbmm(added, queries, keys.mT, alpha=width**-0.5, out=whole[: len(queries)])
        torch.softmax(scores, -1, out=scores)
        read[some] = torch.bmm(scores, values).unflatten(0, (-1, heads)).transpose(1, 2)
    return read.flatten(2)


class WindowBlock(SwinTransformerBlock):
    """Attention in windows, then an MLP, each with a norm before and a residual around it."""

    attn: WindowAttention

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **{**options, "attn_layer": WindowAttention})  # torchvision names its own
        speed_up_linear_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C) to the same shape; in place where no gradient is asked for."""
        if torch.is_grad_enabled():
            x = x + self.stochastic_depth(self.attn(self.norm1(x)))
            return x + self.stochastic_depth(self.mlp(self.norm2(x)))
        for clip in x:
            for _ in self.stream([clip], len(clip)):
                pass
        return x

    def stream(self, parts: Iterable[Tensor], length: int) -> Iterator[Tensor]:
        """`forward` of one clip as its frames come, without a gradient and in place.

        Args:
            parts: (t, H, W, C) each, the clip's frames in order.
            length: of the clip.

        Yields:
            the same frames, cut elsewhere.
        """
        parts = iter(parts)
        waiting = FrameQueue()
        waiting.put(first := next(parts))
        layout = self.attn.layout((length, *first.shape[1:3]))
        bias = self.attn.get_relative_position_bias(layout.window).to(first.dtype)
        for run, tokens in layout.runs():
            while len(waiting) < run.size[0]:
                waiting.put(next(parts))
            frames = waiting.take(run.size[0])
            self._see(frames, run, bias[:, :, tokens, tokens])
            yield frames

    def _see(self, frames: Tensor, layout: "WindowLayout", bias: Tensor) -> None:
        """Put the block's output in the place of its input, in frames (t, H, W, C) that see no others.

        `bias`, (1, heads, tokens, tokens), is added to the scores of a window.
        """
        tokens = window_tokens(layout, frames.device)
        beyond = [0, tokens.shape[-1] - bias.shape[-1]]
        bias = F.pad(bias, beyond, value=-math.inf)  # nobody reads what is beyond a window
        at_once = max(1, TOKENS_AT_ONCE // tokens.shape[-1])
        cells = frames.view(-1, frames.shape[-1])
        for place, mask in window_groups(layout, frames.device):
            added = bias if mask is None else bias + F.pad(mask.to(frames.dtype), beyond)
            for windows in tokens[place].flatten(0, 2).split(at_once):
                self._replace(cells, windows, added)

    def _replace(self, cells: Tensor, windows: Tensor, bias: Tensor) -> None:
        """Put the block's output in the place of its input in some windows, which nothing else looks at.

        Args:
            cells: (T·H·W, C).
            windows: (n, keys) of `window_tokens`.
            bias: (1, heads, tokens, keys) added to their scores.
        """
        tokens = bias.shape[2]
        there = windows[:, :tokens].flatten()
        real = there >= 0
        whole = bool(real.all())
        x = cells[windows.clamp(min=0)]
        normed = self.norm1(x)
        if not whole:  # what is outside of the clip is zeros after the norm
            normed.masked_fill_((windows < 0)[..., None], 0)
        read = self.attn.read(self.attn.qkv(normed), bias)
        x = (x[:, :tokens] + self.attn.proj(read)).flatten(0, 1)
        if not whole:
            x, there = x[real], there[real]
        first, _, _, last, _ = self.mlp
        cells[there] = x + last(first(self.norm2(x), "gelu"))


@dataclass(frozen=True)
class TracedAxis:
    """How one side of a clip is cut into windows, in numbers that an exported network's runtime computes.

    Attributes:
        window: cells of a window.
        count: windows.
        rolled: (count · window,) the cell that comes to each place when the side is rolled,
        back: and that comes back to it.
        origin: (count · window,) of the rolled cells 1 for those from the other end, which are no neighbours, else 0.
    """

    window: Any
    count: Any
    rolled: Tensor
    back: Tensor
    origin: Tensor

    @classmethod
    def of(cls, side: Any, whole: int, shift: int) -> "TracedAxis":
        """Of so many cells (an integer, or a tensor of a trace), whole windows and their shift."""
        side = torch.as_tensor(side)
        window: Any = side.clamp(max=whole)
        count: Any = torch.div(side + window - 1, window, rounding_mode="floor")
        length = count * window
        moved = shift * (side > whole)
        cell = torch.arange(length)
        origin = (cell >= length - moved).long()
        return cls(window, count, torch.remainder(cell + moved, length), torch.remainder(cell - moved, length), origin)


@dataclass(frozen=True)
class WindowLayout:
    """How a clip is cut into windows; all of it frames, rows, columns.

    Attributes:
        size: of the clip.
        window: of a window.
        shift: by how much the clip is rolled before it is cut.
    """

    size: tuple[int, ...]
    window: tuple[int, ...]
    shift: tuple[int, ...]

    @property
    def counts(self) -> list[int]:
        """How many windows there are, along each side."""
        return [-(-side // part) for side, part in zip(self.size, self.window, strict=True)]

    def runs(self) -> Iterator[tuple["WindowLayout", slice]]:
        """The clip as runs of frames that share their windows in time, one after another, each a clip of its own.

        What a shift in time brings together from both ends is kept apart, so that it goes apart from the start.

        Yields:
            a run's layout, and which tokens of a whole window its windows hold.
        """
        (length, *sides), (window, *others), (shift, *shifts) = self.size, self.window, self.shift
        end = self.counts[0] * window  # with what makes the last window a whole one
        start = 0
        while start < length:
            first = window - shift if shift and not start else 0
            whole = min(window - first, end - start)
            run = WindowLayout((min(whole, length - start), *sides), (whole, *others), (0, *shifts))
            yield run, slice(first * math.prod(others), (first + whole) * math.prod(others))
            start += whole

    @property
    def padding(self) -> list[int]:
        """What makes a clip (..., T, H, W, C) one of whole windows, as `torch.nn.functional.pad` takes it."""
        missing = [n * part - side for n, part, side in zip(self.counts, self.window, self.size, strict=True)]
        return [0, 0, 0, missing[2], 0, missing[1], 0, missing[0]]


def into_windows(x: Tensor, layout: WindowLayout) -> Tensor:
    """Padded clips (B, T, H, W, C) to (B, windows in time, down, across, tokens of a window, C)."""
    sides = [n for pair in zip(layout.counts, layout.window, strict=True) for n in pair]
    x = x.view(len(x), *sides, x.shape[-1])
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6)


@lru_cache(maxsize=20)  # a network's four stages: runs of a window, and shorter ones at both ends, shifted or not
def window_tokens(layout: WindowLayout, device: torch.device) -> Tensor:
    """Where the tokens of each window are in the clip.

    Returns:
        (windows in time, down, across, keys) indices of cells, int32: the tokens of a window, then, on a CPU, what
        makes their number a round one. -1 on what is not in the clip.
    """
    cell = torch.arange(math.prod(layout.size), dtype=torch.int32, device=device).view(1, *layout.size, 1)
    cell = F.pad(cell, layout.padding, value=-1)
    if any(layout.shift):
        cell = cell.roll([-s for s in layout.shift], (1, 2, 3))
    tokens = into_windows(cell, layout)[0, ..., 0]
    return F.pad(tokens, [0, -tokens.shape[-1] % KEYS_TOGETHER if device.type == "cpu" else 0], value=-1)


def window_groups(layout: WindowLayout, device: torch.device) -> Iterator[tuple[tuple[slice, ...], Tensor | None]]:
    """Windows that share a mask: where they are among all windows, and what is added to their scores.

    A shift rolls the first cells of a side behind its last: only the last window of a side holds cells that are no
    neighbours, and these must not see each other. So there are at most eight kinds of windows.

    Yields:
        slices over the windows in time, down and across; and (1, 1, tokens, tokens), or None for no mask.
    """
    sides = [
        [(slice(None), 0)] if not s else [(slice(0, n - 1), 0), (slice(n - 1, n), s)] if n > 1 else [(slice(None), s)]
        for n, s in zip(layout.counts, layout.shift, strict=True)
    ]
    for kind in product(*sides):
        places, rolled = zip(*kind, strict=True)
        yield places, window_mask(layout.window, rolled, device) if any(rolled) else None


def window_mask(window: Sequence[int], rolled: tuple[int, ...], device: torch.device) -> Tensor:
    """What keeps cells apart in a window whose last `rolled` cells of each side come from the other end.

    Returns:
        (1, 1, tokens, tokens): 0 between cells of one origin, -100 between others, as published.
    """
    origins = [torch.arange(side, device=device) >= side - back for side, back in zip(window, rolled, strict=True)]
    down, across = origins[1][:, None], origins[2]
    origin = (origins[0][:, None, None] * 4 + down * 2 + across).flatten()
    return ((origin[:, None] != origin) * APART)[None, None]
