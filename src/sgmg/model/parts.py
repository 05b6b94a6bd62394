"""How much goes through the network at once where no gradient is asked for. The result does not depend on it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from sgmg.model.portable import is_portable

#: Cells of all levels that go through the network together: on a CPU what stays in its caches is fast, elsewhere what
#: keeps the device busy.
CELLS_AT_ONCE = {"cpu": 8192, "other": 65_536}

_whole = ContextVar("whole clips", default=False)


@contextmanager
def whole_clips() -> Iterator[None]:
    """Within it, clips go through the network in one part, for those who look inside with hooks."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


@contextmanager
def gradient_if_asked(module: nn.Module, *inputs: Tensor) -> Iterator[None]:
    """Within it no gradient is kept if none of a module's weights and inputs asks for one: frozen parts are as fast and
    as small in training as elsewhere. Exporters, who see a network with gradients, see it as it is."""
    asked = is_portable() or any(x.requires_grad for x in (*inputs, *module.parameters()))
    with torch.set_grad_enabled(torch.is_grad_enabled() and asked):
        yield


def by_parts(work: Callable[..., Sequence[Tensor]], at_once: int, *frames: Tensor) -> list[Tensor]:
    """What some work makes of frames that are independent, done on so many at once.

    Args:
        work: from some of the frames to some rows of each result.
        frames: (n, ...) each, which go together.

    Returns:
        the results, with the rows of all frames.
    """
    count = frames[0].shape[0]
    if at_once >= count:
        return list(work(*frames))
    results: list[Tensor] = []
    for number, part in enumerate(zip(*(x.split(at_once) for x in frames), strict=True)):
        rows = work(*part)
        # Each part goes to its place in the whole at once: nothing is there twice.
        results = results or [_room_for(count * len(x) // len(part[0]), x) for x in rows]
        for whole, some in zip(results, rows, strict=True):
            first = number * at_once * len(some) // len(part[0])
            whole[first : first + len(some)] = some
    return results


def _room_for(rows: int, like: Tensor) -> Tensor:
    """(rows, ...) of the same kind and order as a result's first part."""
    order = torch.channels_last if like.dim() == 4 and not like.is_contiguous() else torch.contiguous_format
    return torch.empty((rows, *like.shape[1:]), dtype=like.dtype, device=like.device, memory_format=order)


def frames_at_once(sizes: Sequence[tuple[int, int]], clips: int, frames: int, device: torch.device) -> int:
    """How many of the frames of B clips with levels of such sizes go through the network together.

    All of them where gradients are asked for, which need everything kept.
    """
    if torch.is_grad_enabled() or _whole.get():
        return frames
    cells = clips * sum(h * w for h, w in sizes)
    return min(frames, max(1, CELLS_AT_ONCE["cpu" if device.type == "cpu" else "other"] // cells))
