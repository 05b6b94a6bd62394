"""One visitor's segmentation: the work in a thread, what there is to tell about it as events.

They are:

- `started`: `job` (what to cancel), `expressions`, `size` of the masks, `frames` expected or None.
- `progress`: `phase` ("segmenting", "writing", "cutting out"), `done` of `total` frames, `rate` in frames a second,
  `left` in seconds.
- `frames`: those from `start` on are being worked on: their `times`, `pictures` of some.
- `masks`: what was found in the frames from `start` on: of each expression the `scores` and `masks` (COCO's compressed
  run lengths) of each frame.
- `segmented`: everything is found; `preview` is a video of the same frames for browsers.
- `saved`: the `files` that are there before the cut-outs.
- `finished`: all `files` to download, each with `what` it is and which sentence it is `about`; mean `scores`;
  `warnings`.
- `cancelled`.
"""

from __future__ import annotations

import copy
import math
import shutil
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from sgmg.app.events import Event, ProgressEvents, Tell, events_of
from sgmg.app.interruption import Interruption
from sgmg.app.limits import Limits
from sgmg.app.storage import Storage
from sgmg.app.uploads import THUMBNAIL_SIDE, Upload, picture
from sgmg.clips import SegmentedClip
from sgmg.errors import InputError
from sgmg.overlay import colour_of
from sgmg.recording import H264, VideoRecording
from sgmg.segmentation import Segmentation, encode_masks
from sgmg.segmenter import Segmenter
from sgmg.video import Frame, Video

FORMATS, CUTOUTS = ("overlay", "masks"), "cutout-webm"
CLIP_LENGTH, SHORTEST_CLIP = 36, 12
PREVIEW_SIDE = 1280
MASK_SIDE = 640
PICTURES = 120
"""Frames shown, at most, while the work goes on; more than that says nothing more and has to be sent."""

# A keyframe every half second or so: the player jumps to any frame at once.
_FOR_SEEKING = replace(H264, options=H264.options | {"crf": "23", "g": "12"})
_FRAMES_TOLD_TOGETHER = 6


@dataclass
class Job:
    """A segmentation that was asked for.

    Args:
        upload: the video.
        sentences: what to find in it.
        min_score: score that an object needs in some frame of a clip; None: the model's own.
        watched: whether somebody looks on: masks and pictures are told as they are found.

    Attributes:
        interruption: ends the work.
        ended: set when nothing is done any more.
    """

    upload: Upload
    sentences: list[str]
    min_score: float | None = None
    watched: bool = True
    interruption: Interruption = field(default_factory=Interruption, init=False)
    ended: threading.Event = field(default_factory=threading.Event, init=False)

    def events(self, segmenter: Segmenter, limits: Limits, storage: Storage) -> Iterator[Event]:
        """Do it. Closing the iterator ends the work, as does `interruption`.

        Raises:
            InputError: the video cannot be used.
        """
        ticket, folder = storage.new()
        try:
            with storage.held(ticket), storage.held(self.upload.ticket.partition("/")[0]):
                work = _Work(self, segmenter, limits, ticket, folder)
                complete = yield from events_of(work.run, self.interruption, name=f"segmentation of {ticket[:6]}")
        except BaseException:
            storage.remove(ticket)
            raise
        if not complete:
            storage.remove(ticket)


class _Work:
    """What the thread of a job does."""

    def __init__(self, job: Job, segmenter: Segmenter, limits: Limits, ticket: str, folder: Path) -> None:
        self._job, self._segmenter, self._limits = job, segmenter, limits
        self._ticket, self._folder = ticket, folder
        self._tell: Tell

    def run(self, tell: Tell) -> None:
        """Everything, to its end."""
        self._tell = tell
        try:
            with self._segmenter.engine.watched(self._job.interruption.check), self._job.upload.called_by_name():
                self._do()
        except InputError as error:  # such as of a full disk, which names the place
            raise InputError(str(error).replace(f"{self._folder}/", "")) from error
        finally:
            self._job.ended.set()

    def _do(self) -> None:
        job, video = self._job, self._job.upload.open()
        self._limits.check_video(video)
        size = _within(video.size, MASK_SIDE)
        self._tell(
            {
                "kind": "started",
                "job": self._ticket,
                "expressions": [{"text": text, "colour": colour_of(index)} for index, text in enumerate(job.sentences)],
                "size": size,
                "frames": video.frame_count,
                "fps": round(float(video.fps), 3),
            }
        )
        segmentation = self._segment(video, size)
        self._tell({"kind": "segmented", "preview": f"{self._ticket}/preview.mp4", "frames": len(segmentation)})
        files = self._save(segmentation)
        self._tell(
            {
                "kind": "finished",
                "files": files,
                "scores": [round(float(score), 4) for score in segmentation.scores],
                "warnings": segmentation.warnings,
            }
        )

    # --- finding -------------------------------------------------------------------------------------------

    def _segment(self, video: Video, size: tuple[int, int]) -> Segmentation:
        job = self._job
        watched = _WatchedVideo(video, job, self._limits, self._tell)
        run = self._segmenter.clips(
            watched,
            job.sentences,
            clip_length=_clip_length(video.frame_count),
            min_score=job.min_score,
            progress=ProgressEvents("segmenting", job.interruption, self._tell),
            keep_images=job.watched,
        )
        with ExitStack() as stack:
            recording = stack.enter_context(self._preview(video)) if job.watched else None
            for clip in run:
                if recording is not None:
                    self._tell(_masks(clip, size))
                    for frame in clip.frames:
                        image = Image.fromarray(frame.image).resize(self._preview_size(video)[::-1])
                        recording.write(np.asarray(image), frame.time, frame.duration)
        segmentation = run.result()
        segmentation.video = video
        return segmentation

    def _preview_size(self, video: Video) -> tuple[int, int]:
        height, width = _within(video.size, PREVIEW_SIDE)
        return height + height % 2, width + width % 2

    def _preview(self, video: Video) -> VideoRecording:
        """A video of the same frames that every browser plays, and whose frames are found fast."""
        like = copy.copy(video)
        like.size = self._preview_size(video)
        return VideoRecording(self._folder / "preview.mp4", like, _FOR_SEEKING)

    # --- writing -------------------------------------------------------------------------------------------

    def _save(self, segmentation: Segmentation) -> list[Event]:
        """Write the files; those that are soon there are told of before the cut-outs, which take longer."""
        self._write(segmentation, "writing", FORMATS)
        with zipfile.ZipFile(self._folder / "masks.zip", "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(self._folder.glob("masks/*/*.png")):
                self._job.interruption.check()
                archive.write(file, file.relative_to(self._folder / "masks"))
        shutil.rmtree(self._folder / "masks")
        files = [
            self._file(*file)
            for file in (("overlay", "overlay.mp4"), ("masks", "masks.zip"), ("result", "result.json"))
        ]
        self._tell({"kind": "saved", "files": files})
        self._write(segmentation, "cutting out", (CUTOUTS,))
        for number, text in enumerate(self._job.sentences):
            (file,) = self._folder.glob(f"{CUTOUTS}/{number}-*")
            file.replace(self._folder / file.name)
            files.append(self._file("cutout", file.name, text))
        return files

    def _write(self, segmentation: Segmentation, phase: str, formats: Sequence[str]) -> None:
        """Into this job's folder; `Segmentation.save` makes one of its own."""
        progress = ProgressEvents(phase, self._job.interruption, self._tell)
        saved = segmentation.save(self._folder / "saved", format=formats, progress=progress)
        for place in saved.iterdir():
            if not (self._folder / place.name).exists():  # of the second time, not result.json
                place.replace(self._folder / place.name)
        shutil.rmtree(saved)

    def _file(self, kind: str, name: str, text: str = "") -> Event:
        return download(kind, self._ticket, self._folder / name, self._job.upload, text)


def download(kind: str, ticket: str, path: Path, upload: Upload, about: str = "", called: str = "") -> Event:
    """A file as Gradio's clients expect it: they fetch it, and put the place where it then is instead.

    Args:
        kind: what it is.
        ticket: of the folder that it is in.
        path: where it is; its name only is told.
        upload: the video that it was made of, by which it is called on the visitor's disk.
        about: the sentence that it is about.
        called: its name on the visitor's disk, after the video's; by default its own.
    """
    return {
        "what": kind,
        "about": about,
        "file": {
            "path": f"{ticket}/{path.name}",
            "orig_name": f"{Path(upload.name).stem}-{called or path.name}",
            "size": path.stat().st_size,
            "meta": {"_type": "gradio.FileData"},
        },
    }


class _WatchedVideo(Video):
    """A video that tells which of its frames are being worked on, and that ends where nobody wants more of it."""

    def __init__(self, video: Video, job: Job, limits: Limits, tell: Tell) -> None:
        self.__dict__.update(video.__dict__)
        self._video, self._job, self._limits, self._tell = video, job, limits, tell

    def __iter__(self) -> Iterator[Frame]:
        thinning = math.ceil((self.frame_count or 2 * PICTURES) / PICTURES)
        times: list[float] = []
        pictures: dict[str, str] = {}
        count = 0
        for count, frame in enumerate(self._video, 1):
            self._job.interruption.check()
            if count > self._limits.frames:
                raise self._limits.too_long(self._job.upload.name)
            if self._job.watched:
                times.append(round(float(frame.time), 6))
                if (count - 1) % thinning == 0:
                    pictures[str(count - 1)] = picture(frame.image, THUMBNAIL_SIDE)
                if len(times) == _FRAMES_TOLD_TOGETHER:
                    self._tell_of(count, times, pictures)
                    times, pictures = [], {}
            yield frame
        if times:
            self._tell_of(count, times, pictures)

    def _tell_of(self, count: int, times: list[float], pictures: dict[str, str]) -> None:
        self._tell({"kind": "frames", "start": count - len(times), "times": times, "pictures": pictures})


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A (height, width) of at most `side` pixels a side, keeping proportions; nothing grows."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _clip_length(frames: int | None) -> int:
    """Frames that the network sees together: fewer in short videos, so that masks appear while there is time left."""
    return CLIP_LENGTH if frames is None else min(CLIP_LENGTH, max(SHORTEST_CLIP, math.ceil(frames / 4)))


def _masks(clip: SegmentedClip, size: tuple[int, int]) -> Event:
    """The event of a clip's masks, at a smaller (h, w)."""
    small = clip.rles
    if size != clip.size:
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, clip.size, strict=True)
        )
        masks = np.stack([clip.masks_of(index)[:, rows][:, :, columns] for index in range(len(clip))], axis=1)
        small = [encode_masks(track) for track in masks]
    return {
        "kind": "masks",
        "start": clip.start,
        "scores": np.round(clip.scores, 3).tolist(),
        "masks": [[rle["counts"].decode("ascii") for rle in track] for track in small],
    }
