"""Processes of a pool, which end with the process that started them, also where that was killed."""

from __future__ import annotations

import multiprocessing
import os
import threading


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
