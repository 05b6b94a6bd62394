"""What a check is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgmg.data.benchmarks import Benchmark

#: Wraps what is gone through, with a title, for a progress bar.
Progress = Callable[[Iterable[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Task:
    """A check.

    Attributes:
        benchmark: what the data should be.
        root: where it lies.
        deep: whether every pixel is read, too.
        progress: shows how far it is.
    """

    benchmark: Benchmark
    root: Path
    deep: bool
    progress: Progress
