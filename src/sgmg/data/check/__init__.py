"""Checks of datasets on disk: what is there, what is missing, what does not match; one module a benchmark.

A check reads lists and headers, with ``deep`` every pixel, and goes on after what it finds. Only a list that
cannot be read at all ends the check of its split: nothing can be said of what it should name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from sgmg.data.benchmarks import find_benchmark
from sgmg.data.check.report import Count, Finding, Report
from sgmg.data.check.task import Progress, Task
from sgmg.errors import InputError

__all__ = ["Count", "Finding", "Report", "check_benchmark"]

MEND_LIST = "mend or unpack the list anew"


def _silent(things: Iterable[Any], title: str) -> Iterable[Any]:
    return things


def check_benchmark(
    name: str, root: str | Path, split: str | None = None, deep: bool = False, progress: Progress = _silent
) -> Report:
    """Check the data of a benchmark.

    Args:
        name: one of `sgmg.data.benchmarks.BENCHMARKS`.
        root: its folder.
        split: one split; by default all that the folder holds.
        deep: read every pixel, not only lists and headers.
        progress: wraps what is gone through, with a title, for a progress bar.

    Raises:
        InputError: there is no such benchmark, split or folder.
    """
    benchmark, folder = find_benchmark(name), Path(root)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the one that holds {benchmark.title}.")
    if split is not None:
        benchmark.require_split(split)
    task, report = Task(benchmark, folder, deep, progress), Report()
    # The module of each benchmark needs the libraries of its formats.
    if name == "a2d":
        from sgmg.data.check.a2d import check, check_lists, splits

        check_lists(task, report)
    elif name == "jhmdb":
        from sgmg.data.check.jhmdb import check, splits
    elif name in ("refcoco", "refcoco+", "refcocog"):
        from sgmg.data.check import refcoco

        check, splits = refcoco.check, partial(refcoco.splits, benchmark)
    else:
        from sgmg.data.check import frame_folders

        check, splits = frame_folders.check, partial(frame_folders.splits, benchmark)
    chosen: list[str] = []
    with report.catching("lists that cannot be read", MEND_LIST):
        chosen = splits(folder) if split is None else [split]
        if not chosen:
            report.problem(
                "nothing to check",
                f"{folder} holds none of the splits {', '.join(benchmark.splits)} of {benchmark.title}",
                "give the folder that the documentation describes, or another benchmark",
            )
    for each in chosen:
        with report.catching("lists that cannot be read", MEND_LIST):
            check(task, each, report)
    return report
