"""Stopping a network in the middle of its work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sgmg.engines import Engine
from sgmg.engines.pytorch import PyTorchEngine
from sgmg.progress import Cancelled


class Interruption:
    """Set from any thread; work that is under way ends at its next check."""

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def set(self) -> None:
        """Ask for the end."""
        self._wanted.set()

    def check(self, *_: Any) -> None:
        """Raises `Cancelled` once the end was asked for."""
        if self._wanted.is_set():
            raise Cancelled("stopped, as was asked")

    @contextmanager
    def inside(self, engine: Engine[Any, Any, Any, Any]) -> Iterator[None]:
        """Check before every layer: a clip takes seconds on a CPU, a layer a fraction of one.

        Exported graphs run as a whole; for them, the checks between clips remain.
        """
        modules = engine.model.modules() if isinstance(engine, PyTorchEngine) else ()
        handles = [module.register_forward_pre_hook(self.check) for module in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
