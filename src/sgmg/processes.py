"""Processes that share the work of a command: how many there is room for, and that they end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
