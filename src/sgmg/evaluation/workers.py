"""Scoring on all cores while the model predicts."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Generic, TypeVar

from sgmg.errors import InputError
from sgmg.processes import end_with_parent

Result = TypeVar("Result")
Job = Callable[[Any], Result]
"""What is done with the data; it must be picklable, as an instance of a dataclass is."""

JOBS_WAITING = 2
"""Jobs a worker may have waiting: bounds the memory where scoring is slower than predicting."""


@contextmanager
def _broken_pool_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise InputError(
            "A process that scores was ended from outside, mostly for lack of memory; choose fewer --workers."
        ) from error


class Workers(Generic[Result]):
    """Does jobs beside the main thread and gives their results in the order they were submitted.

    One worker is a thread. Several are processes, since threads would wait for each other: the data is handed to
    each once, when it starts. Results are the same whatever their number. A program that asks for several must be
    importable, with its own calls under ``if __name__ == "__main__"``.

    Args:
        data: what jobs are called with.
        count: how many; `sgmg.processes.all_cores()` is a good number.
    """

    def __init__(self, data: Any, count: int = 1) -> None:
        self._data, self._count = data, count
        self._pool: Executor | None = None
        self._waiting: deque[Future[Result]] = deque()
        self._done: list[Result] = []

    def submit(self, job: Job[Result]) -> None:
        """Have a job done; waits while too many are waiting.

        Raises:
            InputError: one that an earlier job raised.
        """
        assert self._pool is not None, "submit inside of the `with` block"
        with _broken_pool_told():
            future = self._pool.submit(job, self._data) if self._count == 1 else self._pool.submit(_do, job)
        self._waiting.append(future)
        while len(self._waiting) > JOBS_WAITING * self._count:
            self._take()

    def results(self) -> list[Result]:
        """Wait for all jobs; their results so far."""
        while self._waiting:
            self._take()
        return self._done

    def _take(self) -> None:
        with _broken_pool_told():
            self._done.append(self._waiting.popleft().result())

    def __enter__(self) -> Workers[Result]:
        self._pool = (
            ThreadPoolExecutor(1)
            if self._count == 1
            # Forking a process whose libraries run threads can block for ever.
            else ProcessPoolExecutor(self._count, get_context("spawn"), initializer=_begin, initargs=(self._data,))
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pool is not None
        self._pool.shutdown(cancel_futures=True)


_DATA: Any = None  # of this process, if it is a worker


def _begin(data: Any) -> None:
    """Start a worker process."""
    end_with_parent()
    global _DATA
    _DATA = data
    if torch := sys.modules.get("torch"):  # where the data needs it; importing it takes seconds
        torch.set_num_threads(1)  # the other cores have workers of their own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends its workers


def _do(job: Job[Result]) -> Result:
    return job(_DATA)
