"""What is done with a video: it is read into clips, the clips are looked at, and when all are there, it is written.

Each stage is a function of plain values, which knows nothing of Ray. Between them go rows of three columns: the video's
name, what is known of a clip as JSON, and the clip's pixels, as long as these are needed. An error is a row too, so
that one video's trouble is no other's.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sgmg.batch.results import Rows
from sgmg.batch.storage import Storage, fetched
from sgmg.batch.videos import JOB, VideoTask
from sgmg.clips import Plan, Window
from sgmg.errors import InputError, InputWarning
from sgmg.formats import choose_formats
from sgmg.scattered import JoinedRun, SeenClip, cut_apart, frames_without_images
from sgmg.to_folder import Saved, segment_to_folder
from sgmg.video import IMAGE_SUFFIXES, Frame, Video, open_video

if TYPE_CHECKING:
    from sgmg.segmenter import ClipLooker

Row = dict[str, Any]
Result = TypeVar("Result")
Arrived = Callable[[str, int, bool], "int | None"]
"""`Ledger.arrived`, wherever the ledger is."""

FINISHED = f"{JOB}/finished"
"""Where the videos' own tables of results lie. Each is written last: where it is, the video is done."""

CLIPS = f"{JOB}/clips"
"""Where clips wait for the others of their video."""

_FIRST_PAUSE = 1.0  # seconds before a second attempt; it doubles each time
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What is done with every video.

    Attributes:
        plan: how it is cut, resized and thresholded.
        output: the folder of all results, here or in an object store.
        formats: what is written for each.
        fps: frame rate of images.
        retries: how often a stage that failed is tried again.
    """

    plan: Plan
    output: str
    formats: tuple[str, ...]
    fps: float | None = None
    retries: int = 2


@dataclass(frozen=True)
class Event:
    """What became of a clip.

    Attributes:
        name: of its video.
        frames: how many of the video are new in it.
        finished: whether the video is complete with it.
        error: why the video has failed, if it has.
    """

    name: str
    frames: int = 0
    finished: bool = False
    error: str | None = None


class StreamBrokeError(Exception):
    """The stages could not go on with any video."""


def task_row(task: VideoTask) -> Row:
    """A video as the first stage takes it."""
    return {"name": task.name, "video": task.video, "expressions": list(task.expressions)}


# --- reading ----------------------------------------------------------------------------------------------


def read_clips(row: Row, work: Work) -> Iterator[Row]:
    """A video's clips, one after the other, ready for the network.

    Only when the next one is there does a clip go on, so that it is known which is the last: two of them are in memory.
    """
    task = VideoTask(row["video"], tuple(row["expressions"]))
    done, attempt = 0, 0
    while True:
        try:
            with _quiet(), fetched(task.video) as path:
                video = _opened(path, task.video, work.fps)
                start = time.perf_counter()
                pairs = pairwise(chain(cut_apart(video, work.plan), [None]))
                for index, (window, following) in enumerate(pairs):
                    assert window is not None
                    if index == done:  # after an error, those before have gone on already
                        yield _clip_row(task, video, index, window, following is None, time.perf_counter() - start)
                        done += 1
                    start = time.perf_counter()
            return
        except Exception as error:
            if not _again(error, attempt, work, f"reading {task.video}"):
                yield _error_row(task.name, error)
                return
            attempt += 1


def _clip_row(task: VideoTask, video: Video, index: int, window: Window, last: bool, seconds: float) -> Row:
    pixels = np.stack(window.pixels)
    clip = {
        "video": task.video,
        "expressions": task.expressions,
        "size": video.size,
        "fps": str(video.fps),
        "index": index,
        "last": last,
        "known": window.known,
        "shape": pixels.shape,
        "seen": window.seen,
        "stamps": [(frame.name, str(frame.time), str(frame.duration)) for frame in window.frames],
        "warnings": video.problems if last else [],
        "seconds": {"read": seconds},
    }
    return {"name": task.name, "clip": json.dumps(clip), "pixels": pixels.tobytes()}


def _opened(path: Path, source: str, fps: float | None) -> Video:
    rate = fps if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES else None
    video = open_video(path, rate)
    video.source = source
    return video


# --- looking ----------------------------------------------------------------------------------------------


def look_at_clip(row: Row, look: ClipLooker, work: Work) -> Row:
    """What the network finds in a clip."""
    clip = json.loads(row["clip"])
    if "error" in clip:
        return row
    pixels = np.frombuffer(row["pixels"], np.uint8).reshape(clip["shape"])
    frames = frames_without_images(clip["stamps"])
    window = Window(list(pixels), clip["known"], frames, clip["seen"])
    attempt, start = 0, time.perf_counter()
    while True:
        try:
            with _quiet():
                sightings, notes = look(window, clip["expressions"], tuple(clip["size"]))
            break
        except Exception as error:
            if not _again(error, attempt, work, f"segmenting {clip['video']}"):
                return _error_row(row["name"], error)
            attempt += 1
    for key in ("known", "shape", "seen", "stamps"):
        del clip[key]
    clip["found"] = SeenClip(frames, window.seen, sightings).as_json()
    clip["about"], clip["notes"] = look.about, notes
    clip["seconds"]["segment"] = time.perf_counter() - start
    return {"name": row["name"], "clip": json.dumps(clip), "pixels": b""}


# --- writing ----------------------------------------------------------------------------------------------


def write_clip(row: Row, work: Work, arrived: Arrived) -> Event:
    """Keep a clip; with the clip that completes a video, write what `sgmg segment` writes, and its table last."""
    clip = json.loads(row["clip"])
    if "error" in clip:
        return Event(row["name"], error=clip["error"])
    task, frames = VideoTask(clip["video"], tuple(clip["expressions"])), len(clip["found"]["names"])
    storage, place, attempt = Storage(work.output), f"{CLIPS}/{task.name}", 0
    while True:
        try:
            if clip["last"] and clip["index"] == 0:
                _write_video(task, work, storage, lambda index: clip, 1)
            else:
                storage.write(f"{place}/{clip['index']:06d}.json", row["clip"].encode())
                count = arrived(task.name, clip["index"], clip["last"])
                if count is None:
                    return Event(task.name, frames)
                _write_video(task, work, storage, lambda index: _kept(storage, place, index), count)
                storage.remove(place)
            return Event(task.name, frames, finished=True)
        except Exception as error:
            if not _again(error, attempt, work, f"writing {task.video}"):
                return Event(task.name, error=_reason(error))
            attempt += 1


def _kept(storage: Storage, place: str, index: int) -> dict[str, Any]:
    clip: dict[str, Any] = json.loads(storage.read(f"{place}/{index:06d}.json"))
    return clip


def _write_video(
    task: VideoTask, work: Work, storage: Storage, clip_of: Callable[[int], dict[str, Any]], count: int
) -> None:
    start = time.perf_counter()
    first, last = clip_of(0), clip_of(count - 1)
    size, seconds = tuple(first["size"]), {"read": 0.0, "segment": 0.0}

    def clips() -> Iterator[SeenClip]:
        for index in range(count):
            clip = clip_of(index)
            for stage in seconds:
                seconds[stage] += clip["seconds"][stage]
            yield SeenClip.from_json(clip["found"], size)

    def write(video: Video) -> Saved:
        notes = [*last["warnings"], *first["notes"]]
        run = JoinedRun(video, list(task.expressions), clips(), **first["about"], warnings=notes)
        if not storage.is_remote:
            return segment_to_folder(run, storage.path(task.name), formats, overwrite=True, on_frame=rows.add)
        with tempfile.TemporaryDirectory(prefix="sgmg-") as folder:
            saved = segment_to_folder(run, Path(folder) / task.name, formats, on_frame=rows.add)
            storage.upload(saved.folder, task.name)
            return saved

    formats, rows = choose_formats(work.formats), Rows(task, size)
    with _quiet():
        if any(form.needs_frames for form in formats):
            with fetched(task.video) as path:
                saved = write(_opened(path, task.video, work.fps))
        else:
            saved = write(_VideoUnread(task.video, size, Fraction(first["fps"])))
    spent = {**seconds, "write": time.perf_counter() - start}
    storage.write(f"{FINISHED}/{task.name}.parquet", rows.to_bytes(saved.scores, spent))


class _VideoUnread(Video):
    """What is known of a video that has been read, for formats that need no more."""

    def __init__(self, source: str, size: tuple[int, int], fps: Fraction) -> None:
        super().__init__()
        self.source, self.size, self.fps, self.time_base = source, size, fps, 1 / fps

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError


class Ledger:
    """Which clips of unfinished videos are there: one place that knows, so that one task completes each video."""

    def __init__(self) -> None:
        self._there: dict[str, set[int]] = {}
        self._count: dict[str, int] = {}

    def arrived(self, name: str, index: int, last: bool) -> int | None:
        """Told that a clip is kept; gives the number of the video's clips, if all of them are there now.

        A clip that comes a second time, since its task had to be repeated, tells again.
        """
        there = self._there.setdefault(name, set())
        there.add(index)
        if last:
            self._count[name] = index + 1
        return len(there) if len(there) == self._count.get(name) else None


# --- errors -----------------------------------------------------------------------------------------------


def _again(error: Exception, attempt: int, work: Work, what: str) -> bool:
    """Whether to try again, after a pause where that may help."""
    if attempt >= work.retries:
        return False
    _log.info("%s failed, and is tried again", what, exc_info=error)
    if not isinstance(error, InputError):
        time.sleep(_FIRST_PAUSE * 2**attempt)
    return True


def _error_row(name: str, error: Exception) -> Row:
    return {"name": name, "clip": json.dumps({"error": _reason(error)}), "pixels": b""}


def _reason(error: Exception) -> str:
    if isinstance(error, (InputError, OSError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"


@contextmanager
def _quiet() -> Iterator[None]:
    """What was lost or cut stands in the results; nobody looks at this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        yield
