"""What readers of video benchmarks with masks for every frame have in common, and what relies on them may ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from sgmg.data.images import image_size, read_frames, read_labels
from sgmg.data.sample import Sample
from sgmg.errors import InputError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Expression:
    """A sentence about an object of a video, or about several.

    Attributes:
        id: the expression's id, unique in its video.
        text: the sentence.
        object_ids: the objects meant, by the ids that the dataset gives them; one in most datasets, several or
            none in MeViS. None where the split does not say it.
        kind: kind of expression in generated data, "" elsewhere.
    """

    id: str
    text: str
    object_ids: tuple[int, ...] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Video:
    """A video as the lists describe it; no image has been read.

    Attributes:
        name: name of its folder.
        frames: names of its frames without suffix, in order.
        expressions: what is said about it.
        categories: object id to category, where the dataset has them.
    """

    name: str
    frames: tuple[str, ...]
    expressions: tuple[Expression, ...]
    categories: dict[int, str] = field(default_factory=dict)


class VideoData(Protocol):
    """A split of a video benchmark, whichever it is.

    Attributes:
        videos: its videos, in the order of the list.
        annotated: True where the split has masks.
        list_file: the list that names videos and expressions, for messages.
    """

    videos: list[Video]
    annotated: bool
    list_file: Path

    def frames(self, video: Video, indices: Sequence[int] | None = None) -> Tensor:
        """Frames of a video, (T, 3, H, W) uint8 RGB; all of them, or those at ``indices``."""

    def masks(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Tensor:
        """Union of the masks of the expression's objects, (T, H, W) bool; all frames, or those at ``indices``."""

    def sample(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Sample:
        """One expression with frames and masks of its video, all of them or those at ``indices``."""

    def size(self, video: Video) -> tuple[int, int]:
        """Height and width of the video."""


class FrameFolders(ABC):
    """Base of readers of ``FOLDER/VIDEO/FRAME.jpg``; as a sequence it holds a `Sample` of a whole video for each
    expression. Only the frames that are asked for are decoded.

    Args:
        videos: what the lists describe.
        list_file: the list that names them.
        frames_folder: where the folders of the videos lie.
        annotated: whether there are masks.

    Raises:
        InputError: there is no such folder of frames.
    """

    def __init__(self, videos: list[Video], list_file: Path, frames_folder: Path, annotated: bool) -> None:
        self.videos, self.list_file, self.annotated = videos, list_file, annotated
        self.frames_folder = frames_folder
        if not frames_folder.is_dir():
            raise InputError(f"{frames_folder} is missing: the frames of the videos belong there.")
        self._pairs = [(video, expression) for video in videos for expression in video.expressions]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(*self._pairs[index])

    def sample(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Sample:
        """One expression with frames of its video, all of them or those at ``indices``.

        Raises:
            InputError: an image is missing or broken, or the split has no annotations.
        """
        chosen = range(len(video.frames)) if indices is None else indices
        return Sample(
            frames=self.frames(video, chosen),
            masks=self.masks(video, expression, chosen),
            expression=expression.text,
            video=video.name,
            expression_id=expression.id,
            frame_names=[video.frames[index] for index in chosen],
            kind=expression.kind,
        )

    def frames(self, video: Video, indices: Sequence[int] | None = None) -> Tensor:
        """Frames of a video, (T, 3, H, W) uint8 RGB; all of them, or those at ``indices``."""
        chosen = range(len(video.frames)) if indices is None else indices
        images = read_frames([self._frame_path(video, video.frames[index]) for index in chosen])
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    @abstractmethod
    def masks(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Tensor:
        """Union of the masks of the expression's objects, (T, H, W) bool; all False where none is in a frame."""

    def size(self, video: Video) -> tuple[int, int]:
        """Height and width of the video, read from the header of its first frame."""
        return image_size(self._frame_path(video, video.frames[0]))

    def _object_ids(self, video: Video, expression: Expression) -> tuple[int, ...]:
        """The expression's objects, which must be known."""
        if expression.object_ids is None:
            raise InputError(f'{self.list_file}: {video.name!r}, expression "{expression.id}" has no "obj_id".')
        return expression.object_ids

    def _frame_path(self, video: Video, frame: str) -> Path:
        folder = self.frames_folder / video.name
        for suffix in FRAME_SUFFIXES:
            path = folder / f"{frame}{suffix}"
            if path.is_file():
                return path
        raise InputError(f"{folder / frame}.jpg is missing, which {self.list_file} lists.")


class LabelledFrames(FrameFolders):
    """Frames with annotations ``FOLDER/VIDEO/FRAME.png``, whose pixels are ids of objects.

    Args:
        videos, list_file, frames_folder: as for `FrameFolders`.
        annotations_folder: where the annotations of the videos lie; the split is annotated where it exists.
    """

    def __init__(self, videos: list[Video], list_file: Path, frames_folder: Path, annotations_folder: Path) -> None:
        super().__init__(videos, list_file, frames_folder, annotations_folder.is_dir())
        self.annotations_folder = annotations_folder

    def annotations(self, video: Video, indices: Sequence[int] | None = None) -> Tensor:
        """Object id of every pixel, (T, H, W) int32, 0 is background; all frames, or those at ``indices``."""
        if not self.annotated:
            raise InputError(
                f"{self.annotations_folder} is missing: the split has no annotations "
                "(those of the published valid and test splits of Ref-YouTube-VOS are not public)."
            )
        chosen = range(len(video.frames)) if indices is None else indices
        paths = [self.annotations_folder / video.name / f"{video.frames[index]}.png" for index in chosen]
        labels = read_labels(paths)
        height, width = self.size(video)
        if labels.shape[1:] != (height, width):
            raise InputError(
                f"{paths[0]} is {labels.shape[2]}x{labels.shape[1]}, but the frames of {video.name} are "
                f"{width}x{height}: a mask must have the size of its frame."
            )
        return torch.from_numpy(labels)

    def masks(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Tensor:
        """Union of the masks of the expression's objects, (T, H, W) bool; all False where none is in a frame.

        Raises:
            InputError: the list does not say which objects are meant; an annotation is missing or broken.
        """
        object_ids = torch.tensor(self._object_ids(video, expression), dtype=torch.int32)
        return torch.isin(self.annotations(video, indices), object_ids)
