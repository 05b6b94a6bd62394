"""Stopping a network in the middle of its work."""

from __future__ import annotations

import threading

from sgmg.progress import Cancelled


class Interruption:
    """Set from any thread; work that is under way ends at its next check."""

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def set(self) -> None:
        """Ask for the end."""
        self._wanted.set()

    def check(self) -> None:
        """Raises `Cancelled` once the end was asked for."""
        if self._wanted.is_set():
            raise Cancelled("stopped, as was asked")
