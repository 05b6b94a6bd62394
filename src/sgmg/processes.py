"""Processes that do the work of a command: how many there is room for, what they take, and that they end with it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int | None:
    """The most memory that this process has held resident, in bytes, by the operating system's account."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def end_with_parent() -> None:
    """In a process that `multiprocessing` has started: end as soon as the parent is gone.

    Otherwise it would wait for work for ever: a parent that is killed tells nobody.
    """
    threading.Thread(target=_end_after_parent, name="ends with parent", daemon=True).start()


def _end_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
