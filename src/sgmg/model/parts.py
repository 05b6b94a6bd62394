"""How much goes through the network at once where no gradient is asked for. The result does not depend on it."""

from collections import deque
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


class Whole:
    """Results of all frames of a clip, made of those of its parts: each goes to its place at once, so that nothing is
    there twice.

    Attributes:
        tensors: one for each result.

    Args:
        frames: of all parts.
        dim: along which results have as many rows for every frame.
    """

    def __init__(self, frames: int, dim: int = 0) -> None:
        self.tensors: list[Tensor] = []
        self._frames, self._dim, self._filled = frames, dim, 0

    def add(self, results: Sequence[Tensor], frames: int) -> None:
        """The results of the next frames."""
        if frames == self._frames:
            self.tensors = list(results)
            return
        for number, x in enumerate(results):
            rows = x.shape[self._dim] // frames  # of each frame
            if number == len(self.tensors):
                self.tensors.append(_room_for(rows * self._frames, x, self._dim))
            self.tensors[number].narrow(self._dim, rows * self._filled, rows * frames).copy_(x)
        self._filled += frames


def by_parts(work: Callable[..., Sequence[Tensor]], at_once: int, *frames: Tensor) -> list[Tensor]:
    """What some work makes of frames that are independent, done on so many at once.

    Args:
        work: from some of the frames to some rows of each result.
        frames: (n, ...) each, which go together.

    Returns:
        the results, with the rows of all frames.
    """
    count = frames[0].shape[0]
    if at_once >= count:  # one part, as exporters see it, stays as it is
        return list(work(*frames))
    whole = Whole(count)
    for part in zip(*(x.split(at_once) for x in frames), strict=True):
        whole.add(work(*part), len(part[0]))
    return whole.tensors


def _room_for(rows: int, like: Tensor, dim: int) -> Tensor:
    """A tensor of the same kind and order as a part, with so many rows along `dim`."""
    order = torch.channels_last if like.dim() == 4 and not like.is_contiguous() else torch.contiguous_format
    shape = [*like.shape[:dim], rows, *like.shape[dim + 1 :]]
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=order)


class FrameQueue:
    """Frames that wait until as many of them are there as are wanted."""

    def __init__(self) -> None:
        self._parts: deque[Tensor] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def put(self, frames: Tensor) -> None:
        """The next frames, (t, ...)."""
        self._parts.append(frames)

    def take(self, count: int) -> Tensor:
        """The first ones, (count, ...): a part as it was put in, or of it, where that is enough."""
        taken: list[Tensor] = []
        while (missing := count - sum(map(len, taken))) > 0:
            part = self._parts.popleft()
            taken.append(part[:missing])
            if len(part) > missing:
                self._parts.appendleft(part[missing:])
        return taken[0] if len(taken) == 1 else torch.cat(taken)


def frames_at_once(sizes: Sequence[tuple[int, int]], clips: int, frames: int, device: torch.device) -> int:
    """How many of the frames of B clips with levels of such sizes go through the network together.

    All of them where gradients are asked for, which need everything kept.
    """
    if torch.is_grad_enabled() or _whole.get():
        return frames
    cells = clips * sum(h * w for h, w in sizes)
    return min(frames, max(1, CELLS_AT_ONCE["cpu" if device.type == "cpu" else "other"] // cells))
