"""Progress bars, on standard error."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sgmg.batch.job import State

Item = TypeVar("Item")


def items_bar(items: Sequence[Item], title: str) -> Iterable[Item]:
    """The items, with a bar that shows how many were taken."""
    from rich.console import Console
    from rich.progress import track

    return track(items, title, console=Console(stderr=True))


@contextmanager
def frames_bar(
    title: str, shown: bool = True, dropped: Callable[[], int] = int
) -> Iterator[Callable[[float, int | None], None]]:
    """A bar with frames per second and the time left; gives (done, total) -> None.

    Args:
        title: what is done.
        shown: whether there is a bar.
        dropped: gives the number of frames that were passed over, which is shown if it is not 0.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.fields[total_text]} frames"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
    task = bar.add_task(title, total=None, total_text="?", rate="")
    start = time.monotonic()

    def show(done: float, total: int | None) -> None:
        bar.start()  # not before: an error in the arguments is no work begun
        rate = done / max(time.monotonic() - start, 1e-6)
        lost = f", {dropped()} dropped" if dropped() else ""
        bar.update(task, completed=done, total=total, total_text=str(total or "?"), rate=f"{rate:.1f} frames/s{lost}")

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def videos_bar(shown: bool = True) -> Iterator[Callable[["State"], None]]:
    """A bar over the videos of a job, with frames per second, failures and the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} videos"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("Starting", total=1, rate="")

        def show(state: "State") -> None:
            failed = f", {len(state.failed)} failed" if state.failed else ""
            rate = f"{state.frames / max(state.seconds, 1e-6):.1f} frames/s{failed}"
            done = state.finished + len(state.failed)
            bar.update(task, completed=done, total=state.videos - state.skipped, rate=rate)
            if state.frames or done:
                bar.update(task, description="Segmenting")

        yield show
