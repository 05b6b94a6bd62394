"""Ref-YouTube-VOS, and any data in its layout (a user's own, or what ``sgmg synth`` writes).

    meta_expressions/SPLIT/meta_expressions.json
    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/Annotations/VIDEO/FRAME.png         object ids, 0 is background; not public for valid and test
    SPLIT/meta.json                           categories of the objects, optional

The lists are checked when the dataset is opened, images when they are read. What is wrong there is an
`InputError` that names the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from torch import Tensor

from sgmg.data.images import image_size, read_frames, read_labels
from sgmg.data.sample import Sample
from sgmg.errors import InputError

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Expression:
    """A sentence about an object of a video.

    Attributes:
        id: the expression's id, unique in its video.
        text: the sentence.
        object_id: the value of the object's pixels in the annotations; None where the split does not say it.
        kind: kind of expression in generated data, "" elsewhere.
    """

    id: str
    text: str
    object_id: int | None = None
    kind: str = ""


@dataclass(frozen=True)
class Video:
    """A video as the lists describe it; no image has been read.

    Attributes:
        name: name of its folder.
        frames: names of its frames without suffix, in order.
        expressions: what is said about it.
        categories: object id to category, where ``meta.json`` has them.
    """

    name: str
    frames: tuple[str, ...]
    expressions: tuple[Expression, ...]
    categories: dict[int, str] = field(default_factory=dict)


class RefYouTubeVOS:
    """Reader of one split; as a sequence it holds one `Sample` of a whole video for each expression.

    Only the frames that are asked for are decoded.

    Args:
        root: folder with ``meta_expressions`` and the splits.
        split: "train", "valid", "test", or the name of a split of one's own. The published valid list also
            names the test videos: where there is a test list, "valid" is what is not in it.

    Attributes:
        videos: the `Video` s of the split, in the order of the list.
        annotated: True where the split has annotations.

    Raises:
        InputError: a list is missing or broken, or names something outside of the dataset.

    Example:
        >>> data = RefYouTubeVOS("ref-youtube-vos", "train")
        >>> video = data.videos[0]
        >>> sample = data.sample(video, video.expressions[0], indices=[0, 5, 10])
        >>> sample.frames.shape
        torch.Size([3, 3, 720, 1280])
    """

    def __init__(self, root: str | Path, split: str = "train") -> None:
        self.root = Path(root)
        self.split = split
        if not self.root.is_dir():
            raise InputError(f"{self.root} is not a folder: give the folder that holds meta_expressions.")
        _require_component(split, "the split", self.root)
        self.list_file = _list_file(self.root, split)
        entries = _read_videos(self.list_file)
        if split == "valid" and _list_file(self.root, "test").is_file():
            test = _read_videos(_list_file(self.root, "test"))
            entries = {name: entry for name, entry in entries.items() if name not in test}
        folder = self.root / split
        if split == "test" and not (folder / "JPEGImages").is_dir():
            folder = self.root / "valid"  # where the published test frames lie
        self.frames_folder = folder / "JPEGImages"
        self.annotations_folder = folder / "Annotations"
        if not self.frames_folder.is_dir():
            raise InputError(f"{self.frames_folder} is missing: the frames of {split} belong there.")
        self.annotated = self.annotations_folder.is_dir()
        categories = _read_categories(folder / "meta.json")
        self.videos = [
            _parse_video(name, entry, categories.get(name, {}), self.list_file) for name, entry in entries.items()
        ]
        self._pairs = [(video, expression) for video in self.videos for expression in video.expressions]

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

    def annotations(self, video: Video, indices: Sequence[int] | None = None) -> Tensor:
        """Object id of every pixel, (T, H, W) int32, 0 is background; all frames, or those at ``indices``."""
        if not self.annotated:
            raise InputError(
                f"{self.annotations_folder} is missing: {self.split} has no annotations "
                "(those of the published valid and test splits are not public)."
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
        """Masks of the expression's object, (T, H, W) bool; all False where it is not in a frame."""
        object_id = self.object_id(video, expression)
        return self.annotations(video, indices) == object_id

    def object_id(self, video: Video, expression: Expression) -> int:
        """The value of the object's pixels in the annotations, which must be known.

        Raises:
            InputError: the list does not say it.
        """
        if expression.object_id is None:
            raise InputError(f'{self.list_file}: {video.name!r}, expression "{expression.id}" has no "obj_id".')
        return expression.object_id

    def size(self, video: Video) -> tuple[int, int]:
        """Height and width of the video, read from the header of its first frame."""
        return image_size(self._frame_path(video, video.frames[0]))

    def _frame_path(self, video: Video, frame: str) -> Path:
        folder = self.frames_folder / video.name
        for suffix in FRAME_SUFFIXES:
            path = folder / f"{frame}{suffix}"
            if path.is_file():
                return path
        raise InputError(f"{folder / frame}.jpg is missing, which {self.list_file} lists.")


def _list_file(root: Path, split: str) -> Path:
    return root / "meta_expressions" / split / "meta_expressions.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
        raise InputError(f"{path} is not valid JSON: {error}.") from error


def _read_videos(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("videos"), dict):
        raise InputError(f'{path} must hold an object with the key "videos", by name of the video.')
    return content["videos"]


def _read_categories(path: Path) -> dict[str, dict[int, str]]:
    """Categories by video and object id from ``meta.json``; nothing where there is no such file."""
    if not path.is_file():
        return {}
    categories: dict[str, dict[int, str]] = {}
    for name, entry in _read_videos(path).items():
        objects = entry.get("objects") if isinstance(entry, dict) else None
        if not isinstance(objects, dict) or not all(isinstance(value, dict) for value in objects.values()):
            raise InputError(f'{path}: {name!r} must hold "objects", by id of the object.')
        categories[name] = {
            _parse_object_id(key, f"{path}: {name!r}"): str(value.get("category", "")) for key, value in objects.items()
        }
    return categories


def _parse_video(name: str, entry: Any, categories: dict[int, str], path: Path) -> Video:
    _require_component(name, "a video", path)
    if not isinstance(entry, dict):
        raise InputError(f'{path}: {name!r} must hold "expressions" and "frames".')
    frames, expressions = entry.get("frames"), entry.get("expressions")
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{path}: "frames" of {name!r} must be a list of at least one name.')
    if not isinstance(expressions, dict):
        raise InputError(f'{path}: "expressions" of {name!r} must be an object, by id of the expression.')
    for frame in frames:
        _require_component(frame, f"a frame of {name!r}", path)
    parsed = tuple(_parse_expression(key, value, f"{path}: {name!r}") for key, value in expressions.items())
    return Video(name, tuple(frames), parsed, categories)


def _parse_expression(key: str, entry: Any, where: str) -> Expression:
    _require_component(key, "an expression", where)
    text = entry.get("exp") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f'{where}, expression "{key}" must have a sentence under "exp".')
    kind = entry.get("kind", "")
    if not isinstance(kind, str):
        raise InputError(f'{where}, expression "{key}": "kind" must be a string.')
    object_id = entry.get("obj_id")
    if object_id is not None:
        object_id = _parse_object_id(object_id, f'{where}, expression "{key}"')
    return Expression(key, text, object_id, kind)


def _parse_object_id(value: Any, where: str) -> int:
    """Ids are written as strings, and by some as numbers."""
    if isinstance(value, bool) or not re.fullmatch("0*[1-9][0-9]{0,8}", str(value)):
        raise InputError(f"{where}: {value!r} is not the id of an object (1 or more).")
    return int(value)


def _require_component(name: Any, what: str, where: Path | str) -> None:
    """Names become file names: none may lead out of its folder, on any system."""
    plain = (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )
    if not plain:
        raise InputError(f"{where}: {name!r} cannot be the name of {what}, since it is no plain file name.")
