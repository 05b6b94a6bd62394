"""What a segmentation found: masks, boxes and scores over time; saving them in many formats, and loading them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from pycocotools import mask as coco

import sgmg
from sgmg.errors import InputError
from sgmg.formats import DEFAULT_FORMATS, FORMATS, Format, choose_formats
from sgmg.formats.frames import FoundFrame, Subject
from sgmg.output import new_folder
from sgmg.overlay import Look
from sgmg.paths import user_path
from sgmg.progress import Progress
from sgmg.video import ArrayVideo, Video, VideoSource

if TYPE_CHECKING:
    from supervision import Detections

RESULT = "result.json"

_log = logging.getLogger(__name__)


class Rle(TypedDict):
    """A mask in COCO's compressed run-length encoding."""

    size: list[int]  # height, width
    counts: bytes


def encode_masks(masks: np.ndarray) -> list[Rle]:
    """(T, H, W) bool to one run-length encoding a frame."""
    rles: list[Rle] = coco.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))
    return rles


def decode_masks(rles: Sequence[Rle], size: tuple[int, int]) -> np.ndarray:
    """Run-length encodings of E masks of (H, W) to (E, H, W) bool."""
    found = [coco.decode(rle) for rle in rles]
    return np.stack(found).astype(bool) if found else np.zeros((0, *size), dtype=bool)


@dataclass
class Segmentation:
    """One mask a frame for every expression, at the video's own size.

    Masks are kept run-length encoded, a few hundred bytes each, so that a long video fits into memory;
    `masks` decodes all of them, `masks_of` those of one frame. E expressions, T frames, H x W pixels.

    Attributes:
        expressions: the E sentences.
        rles: `rles[e][t]` is expression e's mask in frame t.
        frame_scores: (E, T) float32 in [0, 1], how sure the model is of each expression in each frame.
        size: (H, W).
        fps: average frames per second.
        times: (T,) seconds since the first frame.
        frame_names: T names: stems of the files of a folder, otherwise five-digit indices.
        source: what was segmented, for people to read.
        video: the frames, read again when an overlay is drawn; None where they cannot be had again.
        model: name of the model.
        settings: what the segmentation ran with.
        warnings: sentences about what was lost or cut.
    """

    expressions: list[str]
    rles: list[list[Rle]] = field(repr=False)
    frame_scores: np.ndarray = field(repr=False)
    size: tuple[int, int]
    fps: Fraction
    times: np.ndarray = field(repr=False)
    frame_names: list[str] = field(repr=False)
    source: str = ""
    video: Video | None = field(default=None, repr=False)
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def from_masks(
        cls,
        masks: np.ndarray,
        expressions: Sequence[str],
        frame_scores: np.ndarray | None = None,
        video: Video | np.ndarray | None = None,
    ) -> Segmentation:
        """From masks made elsewhere, to save and draw them as if they had been found here.

        Args:
            masks: (E, T, H, W) bool.
            expressions: the E sentences.
            frame_scores: (E, T) in [0, 1]; 1 everywhere by default.
            video: the frames, T of them, (T, H, W, 3) uint8 or a `Video`, which is read once for their names and
                times; without them there is no overlay.

        Raises:
            InputError: masks, expressions, scores and frames are not of one number or size.
        """
        masks = np.asarray(masks, dtype=bool)
        if masks.ndim != 4 or 0 in masks.shape:
            raise InputError(f"Masks are (E, T, H, W), of one expression and frame or more, not {masks.shape}.")
        count, length, height, width = masks.shape
        scores = np.ones((count, length), np.float32) if frame_scores is None else np.asarray(frame_scores, np.float32)
        if len(expressions) != count or scores.shape != (count, length):
            raise InputError(
                f"Masks of {count} expressions and {length} frames do not go with {len(expressions)} expressions "
                f"and scores of shape {scores.shape}."
            )
        frames = None if video is None else video if isinstance(video, Video) else ArrayVideo(video)
        fps = Fraction(24) if frames is None else frames.fps
        names, times = [f"{index:05d}" for index in range(length)], [index / float(fps) for index in range(length)]
        if frames is not None:
            seen = [frame.without_image() for frame in frames]
            if (len(seen), frames.size) != (length, (height, width)):
                raise InputError(
                    f"'{frames.source}' has {len(seen)} frames of {frames.size[1]}x{frames.size[0]}, the masks "
                    f"{length} of {width}x{height}."
                )
            names, times = [frame.name for frame in seen], [float(frame.time) for frame in seen]
        return cls(
            expressions=list(expressions),
            rles=[encode_masks(track) for track in masks],
            frame_scores=scores,
            size=(height, width),
            fps=fps,
            times=np.array(times),
            frame_names=names,
            source="" if frames is None else frames.source,
            video=frames,
        )

    @classmethod
    def load(cls, result: str | Path, video: VideoSource | None = None) -> Segmentation:
        """Read a saved result again, to look at it or to save it in other formats.

        >>> Segmentation.load("out").save("out-coco", format="coco")

        Args:
            result: the folder that was saved, or its result.json; only that file is read.
            video: the frames; by default the source, where it still is at the path by which it was segmented.
                Without it, `video` is None, and only formats that need no frames can be saved.

        Raises:
            InputError: there is no result, it is damaged, or the video is of another size.
        """
        from sgmg.result_file import load_result

        return load_result(result, video)

    @property
    def masks(self) -> np.ndarray:
        """All masks, (E, T, H, W) bool; E x T x H x W bytes."""
        decoded = np.empty((len(self.expressions), len(self), *self.size), dtype=bool)
        for index in range(len(self)):
            decoded[:, index] = self.masks_of(index)
        return decoded

    def masks_of(self, frame: int) -> np.ndarray:
        """The masks of one frame, (E, H, W) bool."""
        return decode_masks([track[frame] for track in self.rles], self.size)

    @property
    def scores(self) -> np.ndarray:
        """(E,) float32: each expression's mean over frames."""
        return np.asarray(self.frame_scores.mean(axis=1, dtype=np.float64), np.float32)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(E, T, 4) float32: x1, y1, x2, y2 around each mask in pixels, ends exclusive; zeros if empty."""
        boxes = np.array([coco.toBbox(track) for track in self.rles], np.float32)
        boxes = boxes.reshape(len(self.expressions), len(self), 4)
        boxes[..., 2:] += boxes[..., :2]
        return boxes

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_names)

    def _repr_html_(self) -> str:
        """What notebooks show: a strip of painted frames, and each expression's scores over time."""
        from sgmg.notebook import as_html

        return as_html(self)

    def to_detections(self, frame: int) -> Detections:
        """One frame for the supervision library: `Detections` of the n objects that are seen in it.

        They hold `xyxy` (n, 4), `mask` (n, H, W) bool, `confidence` (n,), the frame's scores, `class_id` and
        `tracker_id` (n,), the expressions' indices, and `data["class_name"]`, the expressions.

        >>> detections = result.to_detections(0)
        >>> supervision.MaskAnnotator().annotate(image, detections)

        Raises:
            InputError: supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise InputError("supervision is not installed; get it with `pip install sgmg[supervision]`.") from error
        masks = self.masks_of(frame)
        seen = np.flatnonzero(masks.any(axis=(1, 2)))
        return Detections(
            xyxy=self.boxes[seen, frame],
            mask=masks[seen],
            confidence=self.frame_scores[seen, frame],
            class_id=seen,
            tracker_id=seen.copy(),
            data={"class_name": np.array(self.expressions, dtype=np.str_)[seen]},
        )

    def save(
        self,
        folder: str | Path,
        format: str | Sequence[str] = DEFAULT_FORMATS,
        overwrite: bool = False,
        progress: Progress | None = None,
        look: Look | None = None,
    ) -> Path:
        """Write result.json, and the masks in one or several formats: by default overlay.mp4 and masks as PNG.

        >>> result.save("out", format=["cutout-webm", "coco"])
        >>> result.save("red", format="overlay", look=Look(["#FF0000"], opacity=0.3))

        The folder appears only when all of it is written. Videos have the source's size (an odd one grows by a
        pixel where H.264 wants it), frame rate, timestamps and sound. However long the video, a few of its frames
        are in memory at a time; it is decoded once for all formats, and not at all where none needs its pictures.

        Args:
            folder: made by this; its parents too.
            format: names from `sgmg.formats.FORMATS`.
            overwrite: replace an earlier result, once the new one is complete.
            progress: called with (frames written, frames in all). What it raises ends the saving.
            look: the colours of overlays, and how opaque they are.

        Raises:
            InputError: there is no such format, the look has another number of colours, the folder exists, the
                disk is full, or the video is needed and not there any more.
        """
        from sgmg.result_file import write_result

        formats = choose_formats(format)
        place = user_path(folder).resolve()
        needed = [form.name for form in formats if form.needs_frames]
        if needed and self.video is None:
            raise InputError(f"The frames are not at hand any more; set `video` to save {needed[0]}.")
        source = None if self.video is None else self.video.path
        if source is not None and place in (source, *source.parents):
            raise InputError(f"'{folder}' holds the video itself; choose another output.")
        look = look or Look()
        look.colours_of(len(self.expressions))
        subject = Subject(self.expressions, self.size, self.fps, self.source, self.video, look)
        with new_folder(place, overwrite, marker=RESULT) as draft:
            if progress is not None:
                progress(0, len(self))
            with ExitStack() as stack:
                writers = [stack.enter_context(form.open(draft, subject)) for form in formats]
                for found in self._frames(with_pixels=bool(needed)):
                    for write in writers:
                        write(found)
                    if progress is not None:
                        progress(found.index + 1, len(self))
            summary = self.summary_of(self.scores, len(self), formats, look)
            write_result(draft / RESULT, summary, self._frame_records)
        _log.info("saved %d frames to %s as %s", len(self), place, ", ".join(form.name for form in formats))
        return place

    def _frames(self, with_pixels: bool) -> Iterator[FoundFrame]:
        """What was found, frame by frame; with their pictures, the video is read again."""
        frames = iter(self.video) if with_pixels and self.video is not None else None
        for index, name in enumerate(self.frame_names):
            time, duration, pixels = Fraction(float(self.times[index])), 1 / self.fps, None
            if frames is not None:
                frame = next(frames, None)
                if frame is None:
                    raise InputError(f"'{self.source}' has become shorter since it was segmented; try again.")
                time, duration, pixels = frame.time, frame.duration, frame.image
            rles = [track[index] for track in self.rles]
            yield FoundFrame(index, name, time, duration, rles, self.frame_scores[:, index], pixels)

    def summary(self, format: str | Sequence[str] = DEFAULT_FORMATS) -> dict[str, Any]:
        """What `result.json` says of a result saved in these formats, without the frames: plain values."""
        return self.summary_of(self.scores, len(self), choose_formats(format))

    def summary_of(
        self, scores: np.ndarray, frame_count: int, formats: Sequence[Format], look: Look | None = None
    ) -> dict[str, Any]:
        """`summary` of a run whose frames are not in memory: with their number and mean scores (E,) given."""
        colours = (look or Look()).colours_of(len(self.expressions))
        subject = Subject(self.expressions, self.size, self.fps, self.source)
        summary: dict[str, Any] = {
            "sgmg": sgmg.__version__,
            "source": self.source,
            "width": self.size[1],
            "height": self.size[0],
            "frame_rate": round(float(self.fps), 6),
            "frame_rate_exact": f"{self.fps.numerator}/{self.fps.denominator}",
            "frame_count": frame_count,
            "model": self.model,
            "settings": self.settings,
            "warnings": self.warnings,
            "files": {form.name: form.place for form in formats},
            "expressions": [],
        }
        for index, (text, name, score) in enumerate(zip(self.expressions, subject.names, scores, strict=True)):
            entry = {"expression": text, "colour": colours[index], "score": round(float(score), 6)}
            if FORMATS["masks"] in formats:
                entry["masks"] = f"{FORMATS['masks'].place}/{name}"
            summary["expressions"].append(entry)
        return summary

    def _frame_records(self, expression: int) -> Iterator[dict[str, Any]]:
        for index, rle in enumerate(self.rles[expression]):
            score = float(self.frame_scores[expression, index])
            yield frame_record(self.frame_names[index], float(self.times[index]), score, rle)


def frame_record(name: str, time: float, score: float, rle: Rle) -> dict[str, Any]:
    """What result.json says of one expression in one frame."""
    x, y, width, height = np.asarray(coco.toBbox(rle), np.float32)
    box = [float(x), float(y), float(x + width), float(y + height)]
    return {
        "frame": name,
        "time": round(time, 6),
        "score": round(score, 6),
        "box": box if any(box) else None,
        "rle": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
    }
