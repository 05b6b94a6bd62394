"""A video of any length into a folder of results: read, segmented and written clip by clip.

Neither pictures nor masks of more than a clip are in memory. What is finished is kept in a `Journal`, so that a run
that was interrupted can be gone on with: the finished clips are then taken from it, everything is written again, and
the files are those of a run that nothing interrupted.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgmg.errors import InputError, InputWarning
from sgmg.formats import Format
from sgmg.formats.frames import FoundFrame, Subject
from sgmg.journal import ChangedVideoError, Journal
from sgmg.output import new_folder
from sgmg.result_file import write_result
from sgmg.segmentation import RESULT, frame_record
from sgmg.video import Frame

if TYPE_CHECKING:
    from sgmg.clips import SegmentedClip
    from sgmg.scattered import JoinedRun
    from sgmg.segmenter import ClipRun

_log = logging.getLogger(__name__)

OnFrame = Callable[[FoundFrame], None]


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        folder: where.
        frames: how many.
        scores: (E,) float32, each expression's mean over the frames.
        summary: what result.json says, without the frames.
    """

    folder: Path
    frames: int
    scores: np.ndarray
    summary: dict[str, Any]


def segment_to_folder(
    run: ClipRun | JoinedRun,
    folder: Path,
    formats: Sequence[Format],
    overwrite: bool = False,
    resume: bool = False,
    on_frame: OnFrame | None = None,
) -> Saved:
    """See `Segmenter.to_folder`, which makes the run; `sgmg batch` makes its own of clips that were segmented apart.

    Args:
        run: from its first clip on; it keeps images where the video can be read only once.
        folder: made by this.
        formats: what to write there beside result.json.
        overwrite: replace an earlier result, or what an interrupted run left.
        resume: go on with what an interrupted run left, if there is something.
        on_frame: called with each frame when it has been written.
    """
    video, place = run.video, folder.resolve()
    if video.path is not None and place in (video.path, *video.path.parents):
        raise InputError(f"'{folder}' holds the video itself; choose another output.")
    if resume and not video.can_be_read_again:
        raise InputError(f"'{video.source}' comes only once, and a run on it cannot be gone on with.")
    subject = Subject(run.expressions, video.size, video.fps, video.source, video)
    with new_folder(place, overwrite, RESULT) as draft, Journal(place, run.about(), resume, overwrite) as journal:
        finished = journal.frames
        if finished:
            _log.info("going on after %d frames that were finished before", finished)
            run.go_on_after(iter(journal))
        pictures = _Pictures(run) if any(form.needs_frames for form in formats) else None
        totals, ended = np.zeros(len(run.expressions)), None
        try:
            with ExitStack() as stack:
                writers = [stack.enter_context(form.open(draft, subject)) for form in formats]
                while (clip := _next(run)) is not None:
                    if isinstance(clip, InputError):
                        ended = clip
                        break
                    if clip.start >= finished:
                        journal.append(clip, [tracker.state for tracker in run.trackers])
                    for found in _found(clip, pictures):
                        for write in writers:
                            write(found)
                        totals += found.scores
                        if on_frame is not None:
                            on_frame(found)
            scores = (totals / max(journal.frames, 1)).astype(np.float32)
            result = run.result()
            result.warnings += [] if ended is None else [str(ended)]
            summary = result.summary_of(scores, journal.frames, formats)
            write_result(draft / RESULT, summary, lambda index: _records(journal, index, video.size))
        except ChangedVideoError:
            raise
        except BaseException:
            if journal.frames and video.can_be_read_again:
                warnings.warn(
                    f"{journal.frames} frames are finished; the same command with --resume goes on from there.",
                    InputWarning,
                    stacklevel=2,
                )
            else:
                journal.frames = 0
            raise
    journal.remove()
    _log.info("saved %d frames to %s as %s", journal.frames, place, ", ".join(form.name for form in formats))
    if ended is not None:
        raise InputError(f"{ended} The {journal.frames} frames before that are in '{folder}'.") from ended
    return Saved(place, journal.frames, scores, summary)


def _next(run: ClipRun | JoinedRun) -> SegmentedClip | InputError | None:
    """The next clip, None at the end; of a video that comes only once, what ends it is no reason to lose the rest."""
    try:
        return next(run, None)
    except InputError as error:
        if run.video.can_be_read_again or not run.done:
            raise
        return error


class _Pictures:
    """The pictures of the frames of clips: kept with these, or read again in step with them."""

    def __init__(self, run: ClipRun | JoinedRun) -> None:
        self._source = run.video.source
        self._again: Iterator[Frame] | None = iter(run.video) if run.video.can_be_read_again else None

    def of(self, frame: Frame) -> np.ndarray:
        if self._again is None:
            return frame.image
        again = next(self._again, None)
        if again is None:
            raise InputError(f"'{self._source}' has become shorter since it was segmented; try again.")
        return again.image


def _found(clip: SegmentedClip, pictures: _Pictures | None) -> Iterator[FoundFrame]:
    for index, frame in enumerate(clip.frames):
        yield FoundFrame(
            index=clip.start + index,
            name=frame.name,
            time=frame.time,
            duration=frame.duration,
            rles=[track[index] for track in clip.rles],
            scores=clip.scores[:, index],
            pixels=None if pictures is None else pictures.of(frame),
        )


def _records(journal: Journal, expression: int, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    for clip in journal:
        rles, scores = clip.rles(size)[expression], clip.scores[expression]
        for name, time, score, rle in zip(clip.names, clip.times, scores, rles, strict=True):
            yield frame_record(name, time, score, rle)
