"""What a segmentation found: masks, boxes and scores over time, and saving them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import Image
from pycocotools import mask as coco

import sgmg
from sgmg.errors import InputError
from sgmg.output import new_folder
from sgmg.overlay import Painter, colour_of
from sgmg.recording import VideoRecording
from sgmg.video import ArrayVideo, Video

OVERLAY, MASKS, RESULT = "overlay.mp4", "masks", "result.json"


class Rle(TypedDict):
    """A mask in COCO's compressed run-length encoding."""

    size: list[int]  # height, width
    counts: bytes


def encode_masks(masks: np.ndarray) -> list[Rle]:
    """(T, H, W) bool to one run-length encoding a frame."""
    return coco.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8))


@dataclass
class Segmentation:
    """One mask a frame for every expression, at the video's own size.

    Masks are kept run-length encoded, a few hundred bytes each, so that a long video fits into memory;
    `masks` decodes all of them, `masks_of` those of one frame. E expressions, T frames, H x W pixels.

    Attributes:
        expressions: the E sentences.
        rles: rles[e][t] is expression e's mask in frame t.
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
        """From (E, T, H, W) bool masks made elsewhere, scored 1 where nothing else is given."""
        masks = np.asarray(masks, dtype=bool)
        count, length, height, width = masks.shape
        if frame_scores is None:
            frame_scores = np.ones((count, length), np.float32)
        frames = None if video is None else video if isinstance(video, Video) else ArrayVideo(video)
        fps = Fraction(24) if frames is None else frames.fps
        return cls(
            expressions=list(expressions),
            rles=[encode_masks(track) for track in masks],
            frame_scores=np.asarray(frame_scores, np.float32),
            size=(height, width),
            fps=fps,
            times=np.arange(length) / float(fps),
            frame_names=[f"{index:05d}" for index in range(length)],
            source="" if frames is None else frames.source,
            video=frames,
        )

    @property
    def masks(self) -> np.ndarray:
        """All masks, (E, T, H, W) bool; E x T x H x W bytes."""
        decoded = np.empty((len(self.expressions), len(self), *self.size), dtype=bool)
        for index in range(len(self)):
            decoded[:, index] = self.masks_of(index)
        return decoded

    def masks_of(self, frame: int) -> np.ndarray:
        """The masks of one frame, (E, H, W) bool."""
        found = [coco.decode(track[frame]) for track in self.rles]
        return np.stack(found).astype(bool) if found else np.zeros((0, *self.size), dtype=bool)

    @property
    def scores(self) -> np.ndarray:
        """(E,) float32: each expression's mean over frames."""
        return self.frame_scores.mean(axis=1, dtype=np.float64).astype(np.float32)

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

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        progress: Callable[[float, int | None], None] | None = None,
    ) -> Path:
        """Write overlay.mp4, masks/EXPRESSION/FRAME.png and result.json.

        The folder appears only when all of it is written. The overlay has the video's size (an odd one
        grows by a pixel, as H.264 wants), frame rate, timestamps and sound. Mask files hold one channel
        of 0 and 255, at exactly the video's size.

        Args:
            folder: made by this; its parents too.
            overwrite: replace an earlier result, once the new one is complete.
            progress: called with (frames written, frames in all).

        Raises:
            InputError: the folder exists, the disk is full, or the video is not there any more.
        """
        place = Path(folder).expanduser().resolve()
        if self.video is None:
            raise InputError("The frames are not at hand any more; set `video` to draw the overlay on.")
        if self.video.path is not None and place in (self.video.path, *self.video.path.parents):
            raise InputError(f"'{folder}' holds the video itself; choose another output.")
        with new_folder(place, overwrite, marker=RESULT) as draft:
            if progress is not None:
                progress(0, len(self))
            folders = [draft / MASKS / name for name in self._folder_names()]
            for masks in folders:
                masks.mkdir(parents=True)
            painter = Painter(self.expressions, self.size)
            with VideoRecording(draft / OVERLAY, like=self.video) as recording:
                for index, frame in enumerate(self._frames_again()):
                    masks_now = self.masks_of(index)
                    for masks, mask in zip(folders, masks_now, strict=True):
                        file = masks / f"{self.frame_names[index]}.png"
                        Image.fromarray(mask.astype(np.uint8) * 255).save(file, compress_level=1)
                    recording.write(painter.paint(frame.image, masks_now), frame.time, frame.duration)
                    if progress is not None:
                        progress(index + 1, len(self))
            (draft / RESULT).write_text(self._as_json(), encoding="utf-8")
        return place

    def _frames_again(self) -> Iterator[Any]:
        assert self.video is not None
        count = 0
        for frame in self.video:
            if count == len(self):
                break
            yield frame
            count += 1
        if count < len(self):
            raise InputError(f"'{self.source}' has become shorter since it was segmented; try again.")

    def _folder_names(self) -> list[str]:
        return [f"{index}-{_slug(text)}" for index, text in enumerate(self.expressions)]

    def summary(self) -> dict[str, Any]:
        """What `result.json` says, without the frames: plain values."""
        return {
            "sgmg": sgmg.__version__,
            "source": self.source,
            "width": self.size[1],
            "height": self.size[0],
            "frame_rate": round(float(self.fps), 6),
            "frame_rate_exact": f"{self.fps.numerator}/{self.fps.denominator}",
            "frame_count": len(self),
            "model": self.model,
            "settings": self.settings,
            "warnings": self.warnings,
            "overlay": OVERLAY,
            "expressions": [
                {
                    "expression": text,
                    "masks": f"{MASKS}/{folder}",
                    "colour": colour_of(index),
                    "score": round(float(score), 6),
                }
                for index, (text, folder, score) in enumerate(
                    zip(self.expressions, self._folder_names(), self.scores, strict=True)
                )
            ],
        }

    def _as_json(self) -> str:
        """`summary` with the frames of every expression, one a line, so that people can read it too."""
        summary = self.summary()
        for index, expression in enumerate(summary["expressions"]):
            expression["frames"] = f"\0{index}"
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        for index in range(len(self.expressions)):
            lines = ",\n        ".join(json.dumps(record) for record in self._frame_records(index))
            text = text.replace(f'"\\u0000{index}"', f"[\n        {lines}\n      ]")
        return text + "\n"

    def _frame_records(self, expression: int) -> Iterator[dict[str, Any]]:
        for index, rle in enumerate(self.rles[expression]):
            box = self.boxes[expression, index]
            yield {
                "frame": self.frame_names[index],
                "time": round(float(self.times[index]), 6),
                "score": round(float(self.frame_scores[expression, index]), 6),
                "box": box.tolist() if box.any() else None,
                "rle": {"size": list(self.size), "counts": rle["counts"].decode("ascii")},
            }


def _slug(text: str) -> str:
    """A name for any file system: "The dog's ball!" becomes "the-dog-s-ball"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower())[:60].strip("-") or "expression"
