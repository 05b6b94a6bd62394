"""Masks of whole videos, from a model or from files, had a few frames at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from sgmg import video as video_source
from sgmg.data.images import read_labels
from sgmg.data.video_data import Expression, Video, VideoData
from sgmg.errors import InputError
from sgmg.segmentation import Rle, encode_masks

if TYPE_CHECKING:
    from sgmg.segmenter import Segmenter

BoolArray = NDArray[np.bool_]

FRAMES_AT_ONCE = 16
"""Masks that are looked at together: long videos in high resolution do not fit into memory."""


class DatasetVideo(video_source.Video):
    """Frames of a dataset, read as they are asked for: memory does not grow with the video's length."""

    def __init__(self, data: VideoData, video: Video) -> None:
        super().__init__()
        self.source = video.name
        self.size = data.size(video)
        self.frame_count = len(video.frames)
        self.fps = video_source.DEFAULT_FPS
        self.time_base = 1 / self.fps
        self._data, self._video = data, video

    def __iter__(self) -> Iterator[video_source.Frame]:
        for index, name in enumerate(self._video.frames):
            image = self._data.frames(self._video, [index])[0].permute(1, 2, 0).numpy()
            if image.shape[:2] != self.size:
                raise InputError(
                    f"Frame {name} of {self.source} is {image.shape[1]}x{image.shape[0]}, but its first is "
                    f"{self.size[1]}x{self.size[0]}: all frames of a video must have one size."
                )
            yield video_source.Frame(image, index / self.fps, 1 / self.fps, name)


class VideoMasks(Protocol):
    """One object's masks over a video; small enough to be handed to another process."""

    def __call__(self, indices: Sequence[int]) -> BoolArray:
        """The masks of some frames, (n, H, W)."""


@dataclass(frozen=True)
class EncodedMasks:
    """Masks in memory, run-length encoded, one a frame."""

    rles: Sequence[Rle]

    def __call__(self, indices: Sequence[int]) -> BoolArray:
        return coco.decode([self.rles[index] for index in indices]).transpose(2, 0, 1).astype(bool)

    @classmethod
    def of(cls, masks: BoolArray) -> EncodedMasks:
        """Encode (T, H, W) masks."""
        return cls(encode_masks(masks))


@dataclass(frozen=True)
class MaskFiles:
    """Palette or grey images, one a frame.

    Attributes:
        folder: where they lie.
        frames: their names without suffix.
        size: height and width that they must have.
        label: value of the object's pixels; None for all but 0.
    """

    folder: Path
    frames: Sequence[str]
    size: tuple[int, int]
    label: int | None = None

    def __call__(self, indices: Sequence[int]) -> BoolArray:
        labels = self.labels(indices)
        return labels != 0 if self.label is None else labels == self.label

    def labels(self, indices: Sequence[int]) -> NDArray[np.int32]:
        """The values of some frames' pixels, (n, H, W).

        Raises:
            InputError: an image is missing, damaged, or not of this size.
        """
        labels = read_labels([self.folder / f"{self.frames[index]}.png" for index in indices])
        if labels.shape[1:] != self.size:
            height, width = labels.shape[1:]
            raise InputError(
                f"The masks in {self.folder} are {width}x{height}, but their frames are {self.size[1]}x{self.size[0]}: "
                "a mask must have the size of its frame."
            )
        return labels


def require_annotations(data: VideoData) -> None:
    """Tell before any work whether masks can be scored.

    Raises:
        InputError: the split has no annotations.
    """
    if not data.annotated:
        raise InputError(
            f"The split of {data.list_file} has no annotations to score against, as those that only a benchmark's "
            "server knows; sgmg predict writes what the server takes."
        )


def in_chunks(frames: int) -> list[range]:
    """Indices of a video's frames, a few at a time."""
    return [range(start, min(start + FRAMES_AT_ONCE, frames)) for start in range(0, frames, FRAMES_AT_ONCE)]


def save_masks(masks: VideoMasks, folder: Path, frames: Sequence[str]) -> None:
    """Write ``FOLDER/FRAME.png``, 0 and 255, as the benchmarks' servers take them."""
    folder.mkdir(parents=True)
    for chunk in in_chunks(len(frames)):
        for index, mask in zip(chunk, masks(chunk), strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{frames[index]}.png")


class Predictor(Protocol):
    """Where masks come from: a model, or a folder."""

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> Sequence[VideoMasks]:
        """Masks of a whole video for some of its expressions."""


class ModelPredictor:
    """Masks of a `Segmenter`, which is asked once per video for all its expressions.

    Args:
        segmenter: the model.
        clip_length: frames that the network sees together; "all" for whole videos.
        min_score: score that an object needs in some frame of a clip; by default the model's own.
    """

    def __init__(
        self, segmenter: Segmenter, clip_length: int | Literal["all"] = 36, min_score: float | None = None
    ) -> None:
        self.segmenter = segmenter
        self.clip_length = clip_length
        self.min_score = min_score

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
        texts = list(dict.fromkeys(expression.text for expression in expressions))
        frames = DatasetVideo(data, video)
        found = self.segmenter(frames, texts, clip_length=self.clip_length, min_score=self.min_score, overlap=0).rles
        return [EncodedMasks(found[texts.index(expression.text)]) for expression in expressions]


class KeptPredictor:
    """Masks that were kept as ``FOLDER/VIDEO/EXPRESSION_ID/FRAME.png``, 0 where the object is not.

    A folder that holds ``Annotations``, as an unpacked submission does, is taken too.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = kept_folder(folder, "VIDEO/EXPRESSION_ID/FRAME.png")

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> list[VideoMasks]:
        folder, size = self.folder / video.name, data.size(video)
        return [MaskFiles(folder / expression.id, video.frames, size) for expression in expressions]


def kept_folder(folder: str | Path, form: str) -> Path:
    """The folder itself, or ``Annotations`` in it, where there is one.

    Raises:
        InputError: there is no such folder; the sentence says which `form` its files have.
    """
    path = Path(folder)
    if (path / "Annotations").is_dir():
        path = path / "Annotations"
    if not path.is_dir():
        raise InputError(f"{folder} is not a folder: give one with {form}.")
    return path
