"""A job: what is left of it to do, doing it, and what to say in the end.

A video is done when its own table lies among the finished ones, which is written after its folder; nothing else is
believed, so that a job may end at any moment and the next run of the same command goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sgmg.batch.results import join_results
from sgmg.batch.stages import CLIPS, FINISHED, Event, StreamBrokeError, Work
from sgmg.batch.storage import Storage
from sgmg.batch.videos import JOB, VideoTask
from sgmg.errors import InputError, InputWarning

ABOUT = f"{JOB}/about.json"
"""What the job's masks depend on; a folder of results is gone on with only by a job with the same."""

_LOST = "The process that worked on it died, and again each time it was tried; the video may need too much memory."


@dataclass
class State:
    """How far a job is.

    Attributes:
        videos: how many it has.
        skipped: those that an earlier run has finished.
        finished: those that this run has finished.
        failed: those that have failed, by name, with the reason.
        frames: frames segmented in this run, also of videos that are not complete.
        seconds: since its beginning.
    """

    videos: int
    skipped: int = 0
    finished: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    seconds: float = 0.0


Stream = Callable[[Sequence[VideoTask]], Iterator[Event]]
OnState = Callable[[State], None]


def check(storage: Storage, work: Work, digest: str, overwrite: bool) -> bytes:
    """Find out whether the output can be this job's, without changing it.

    Args:
        storage: the output.
        work: what is done with every video.
        digest: of the model's weights.
        overwrite: whether it may hold what a job of another kind has finished.

    Returns:
        what `begin` writes down of the job.

    Raises:
        InputError: it holds results of another model or other settings, or other things.
    """
    about = {"model": digest, "formats": work.formats, "fps": work.fps, **asdict(work.plan)}
    told = json.dumps(about, indent=1).encode()
    found = _read(storage, ABOUT)
    if found is None and any(name != JOB and not _is_left_over(name) for name in storage.names()):
        raise InputError(f"'{work.output}' holds other things than results of sgmg batch; choose another output.")
    if found is not None and found != told and not overwrite:
        raise InputError(
            f"'{work.output}' holds results of another model or of other settings{_difference(found, about)}; choose "
            "another output, or begin anew with --overwrite."
        )
    return told


def begin(storage: Storage, work: Work, digest: str, overwrite: bool) -> None:
    """Make the output this job's, or find that it is, and clear away what was never finished.

    Args:
        storage, work, digest: as for `check`.
        overwrite: forget what an earlier job has finished.

    Raises:
        InputError: as for `check`.
    """
    told = check(storage, work, digest, overwrite)
    if overwrite:
        storage.remove(FINISHED)
    storage.write(ABOUT, told)
    storage.remove(CLIPS)
    if not storage.is_remote:
        for name in filter(_is_left_over, storage.names()):
            storage.remove(name)


def _is_left_over(name: str) -> bool:
    """Whether a name is that of a draft, of a process that was killed."""
    return name.startswith(".sgmg-") or (name.startswith(".") and name.endswith((".partial", ".unfinished")))


def _read(storage: Storage, place: str) -> bytes | None:
    try:
        return storage.read(place)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _difference(found: bytes, about: dict[str, Any]) -> str:
    try:
        earlier = json.loads(found)
        names = [name for name in about if earlier.get(name) != json.loads(json.dumps(about[name]))]
    except (ValueError, AttributeError):
        return ""
    return f" ({', '.join(names).replace('_', ' ')})" if names else ""


def left_to_do(storage: Storage, tasks: Sequence[VideoTask]) -> list[VideoTask]:
    """The videos that no earlier run has finished; those whose folder somebody has taken away are among them."""
    there, finished = storage.names(), storage.names(FINISHED)
    return [task for task in tasks if not (task.name in there and f"{task.name}.parquet" in finished)]


def run(
    tasks: Sequence[VideoTask],
    left: Sequence[VideoTask],
    work: Work,
    stream: Stream,
    on_state: OnState,
    at_once: int = 1000,
) -> State:
    """Do what is left to do; what fails, fails alone.

    Args:
        tasks: all of the job.
        left: of these, what is not finished.
        work: what is done with every video.
        stream: does the work on some videos and tells what becomes of each clip. A video of which it does not say that
            it is finished or failed was lost, and is given to it again.
        on_state: called whenever something has happened.
        at_once: videos in one stream: many, so that its beginning and end cost little, but no million.

    Returns:
        how it ended; the table of results is written.
    """
    storage, start = Storage(work.output), time.monotonic()
    waiting = list(left)
    state = State(len(tasks), skipped=len(tasks) - len(waiting))
    on_state(state)
    lost: Counter[str] = Counter()
    try:
        while waiting:
            some, waiting = waiting[:at_once], waiting[at_once:]
            done, reason = _follow(stream(some), state, start, on_state)
            for task in some:
                if task.name not in done:
                    lost[task.name] += 1
                    if lost[task.name] <= work.retries:
                        waiting.append(task)
                    else:
                        state.failed[task.name] = reason
    except BaseException:
        count = state.skipped + state.finished
        if count:
            told = f"{count} of {len(tasks)} videos are finished; the same command goes on with the others."
            warnings.warn(told, InputWarning, stacklevel=2)
        raise
    storage.remove(CLIPS)
    finished = [f"{FINISHED}/{task.name}.parquet" for task in tasks if task.name not in state.failed]
    join_results(storage, finished, [(task, state.failed[task.name]) for task in tasks if task.name in state.failed])
    state.seconds = time.monotonic() - start
    on_state(state)
    return state


def _follow(events: Iterator[Event], state: State, start: float, on_state: OnState) -> tuple[set[str], str]:
    """Keep account of a stream to its end: the videos that it has come to an end with, and why not with others."""
    done: set[str] = set()
    try:
        for event in events:
            state.frames += event.frames
            state.seconds = time.monotonic() - start
            if event.name not in done and (event.finished or event.error is not None):
                done.add(event.name)
                if event.error is None:
                    state.finished += 1
                else:
                    state.failed[event.name] = event.error
            on_state(state)
    except StreamBrokeError as error:
        return done, str(error)
    return done, _LOST
