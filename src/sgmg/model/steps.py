"""Being told how far a pass through the network is."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Step = TypeVar("Step")


def told(steps: Sequence[Step], progress: Callable[[float], None]) -> Iterator[Step]:
    """Steps of some work, of which as much as one of them is done already.

    Args:
        progress: told before each step what share of the work is done.
    """
    for done, step in enumerate(steps, 1):
        progress(done / (len(steps) + 1))
        yield step
