"""Being told how far long work is, and stopping it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[float, int | None], None]
"""Called with (frames done, frames in all, or None if unknown). What it raises ends the work, which leaves nothing
half-written behind."""


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """The work was stopped because it was asked to."""


class Event(Protocol):
    """Such as `threading.Event` or `multiprocessing.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""


def cancellable(event: Event, progress: Progress | None = None) -> Progress:
    """A progress callback that stops the work once an event is set, which another thread may do at any time.

    >>> stop = threading.Event()                       # a button's `on_click` calls stop.set()
    >>> try:
    ...     result = segmenter(video, ["the dog"], progress=cancellable(stop, show))
    ...     result.save("out", progress=cancellable(stop, show))
    ... except Cancelled:
    ...     ...

    The work stops at its next report: saving after the frame at hand, segmenting after the step at hand, which with
    long clips on a slow machine takes seconds.

    Args:
        event: is asked before each report.
        progress: also called, while the event is not set.

    Raises:
        Cancelled: by the callback that is returned.
    """

    def report(done: float, total: int | None) -> None:
        if event.is_set():
            raise Cancelled("stopped, as was asked")
        if progress is not None:
            progress(done, total)

    return report
