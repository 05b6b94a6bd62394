"""Work in a thread, what there is to tell about it as events: dictionaries of plain values with a `kind`."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from sgmg.app.interruption import Interruption
from sgmg.progress import Cancelled

Event = dict[str, Any]
Tell = Callable[[Event], None]

_PATIENCE = 0.25  # seconds between two events of progress


def events_of(work: Callable[[Tell], None], interruption: Interruption, name: str) -> Generator[Event, None, bool]:
    """Do work in a thread of this name, and give what it tells; at last, whether it came to its end.

    Closing the generator interrupts the work and waits for it. What the work raises is raised here, but for
    `Cancelled`, which is the event `cancelled`.

    Args:
        work: called with what to tell events to.
        interruption: which the work checks.
        name: of the thread.
    """
    told: queue.Queue[Event | BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            work(told.put)
            told.put(None)
        except Cancelled:
            told.put({"kind": "cancelled"})
        except BaseException as error:
            told.put(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while True:
            # Something is told even while nothing happens: only then does Gradio notice that nobody listens.
            try:
                event = told.get(timeout=1)
            except queue.Empty:
                event = {"kind": "waiting"}
            if event is None:
                return True
            if isinstance(event, BaseException):
                raise event
            yield event
            if event["kind"] == "cancelled":
                return False
    finally:
        interruption.set()
        thread.join()


class ProgressEvents:
    """Tells of progress now and then, with a rate and the time left; the check for the end of interest is here too."""

    def __init__(self, phase: str, interruption: Interruption, tell: Tell) -> None:
        self._phase, self._interruption, self._tell = phase, interruption, tell
        self._begin = time.monotonic()
        self._last = -math.inf

    def __call__(self, done: float, total: int | None) -> None:
        self._interruption.check()
        now = time.monotonic()
        if now - self._last < _PATIENCE and done != total:
            return
        self._last = now
        rate = done / max(now - self._begin, 1e-6)
        self._tell(
            {
                "kind": "progress",
                "phase": self._phase,
                "done": round(done, 2),
                "total": total,
                "rate": round(rate, 2),
                "left": None if total is None or not done else round((total - done) / rate, 1),
            }
        )
