"""MeViS, whose expressions may refer to several objects.

    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/meta_expressions.json   videos → {"expressions": {ID: {"exp", "obj_id": [0, 2], "anno_id": [3, 7]}}, "frames"}
    SPLIT/mask_dict.json          {anno_id: [run lengths or null, one per frame]}; not public for valid

The lists are checked when the dataset is opened, images when they are read, run lengths when they are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgmg.data.coco_masks import check_segmentation, decode_segmentation
from sgmg.data.lists import parse_video, read_json, read_videos, require_component
from sgmg.data.video_data import Expression, FrameFolders, Video
from sgmg.errors import InputError


class MeViS(FrameFolders):
    """Reader of one split; as a sequence it holds one `Sample` of a whole video for each expression.

    The mask of an expression is the union of its objects' masks. `Expression.object_ids` are the objects'
    numbers in the video, from 0.

    Args:
        root: folder with the splits.
        split: "train", "valid_u", "valid", or the name of a split of one's own.

    Raises:
        InputError: a list is missing or broken, names something outside of the dataset, or names masks that are
            not there.
    """

    def __init__(self, root: str | Path, split: str = "valid_u") -> None:
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root} is not a folder: give the folder that holds train, valid_u and valid.")
        require_component(split, "the split", root)
        folder = root / split
        list_file = folder / "meta_expressions.json"
        entries = read_videos(list_file)
        videos = [parse_video(name, entry, list_file, _objects) for name, entry in entries.items()]
        self.masks_file = folder / "mask_dict.json"
        super().__init__(videos, list_file, folder / "JPEGImages", self.masks_file.is_file())
        self.root, self.split = root, split
        self._run_lengths = _read_masks(self.masks_file) if self.annotated else {}
        self._annotations = {
            (video.name, expression.id): _annotation_ids(
                entries[video.name]["expressions"][expression.id],
                f'{list_file}: {video.name!r}, expression "{expression.id}"',
            )
            for video in videos
            for expression in video.expressions
        }
        if self.annotated:
            self._check_masks()

    def masks(self, video: Video, expression: Expression, indices: Sequence[int] | None = None) -> Tensor:
        """Union of the masks of the expression's objects, (T, H, W) bool; all False where none is in a frame.

        Raises:
            InputError: the split has no masks, the list does not say which are meant, or they are damaged.
        """
        if not self.annotated:
            raise InputError(f"{self.masks_file} is missing: the split has no masks (those of valid are not public).")
        self._object_ids(video, expression)
        size = self.size(video)
        chosen = range(len(video.frames)) if indices is None else indices
        union = torch.zeros(len(chosen), *size, dtype=torch.bool)
        for annotation in self._annotations[video.name, expression.id]:
            for place, index in enumerate(chosen):
                run_lengths = self._run_lengths[annotation][index]
                if run_lengths is not None:
                    where = f'{self.masks_file}: frame {index} of "{annotation}"'
                    union[place] |= torch.from_numpy(decode_segmentation(run_lengths, size, where))
        return union

    def mask_sizes(self, video: Video, expression: Expression) -> set[tuple[int, int]]:
        """Heights and widths of an expression's masks as their run lengths state them; none is decoded."""
        masks = (mask for number in self._annotations[video.name, expression.id] for mask in self._run_lengths[number])
        return {tuple(mask["size"]) for mask in masks if mask is not None}

    def _check_masks(self) -> None:
        """Every mask that an expression asks for must be there, for every frame."""
        for video, expression in self._pairs:
            where = f'{self.list_file}: {video.name!r}, expression "{expression.id}"'
            annotations = self._annotations[video.name, expression.id]
            if len(annotations) != len(self._object_ids(video, expression)):
                raise InputError(f'{where} must have as many ids under "anno_id" as under "obj_id".')
            for annotation in annotations:
                masks = self._run_lengths.get(annotation)
                if masks is None:
                    raise InputError(f'{where} asks for mask "{annotation}", which {self.masks_file} does not have.')
                if len(masks) != len(video.frames):
                    raise InputError(
                        f'{self.masks_file}: "{annotation}" has {len(masks)} masks, but {video.name!r} has '
                        f"{len(video.frames)} frames."
                    )


def _objects(entry: dict[str, Any], where: str) -> tuple[int, ...] | None:
    value = entry.get("obj_id")
    return None if value is None else _ids(value, "obj_id", where)


def _annotation_ids(entry: dict[str, Any], where: str) -> list[str]:
    return [str(number) for number in _ids(entry.get("anno_id", []), "anno_id", where)]


def _ids(value: Any, key: str, where: str) -> tuple[int, ...]:
    """Numbers from 0, which some files write as strings."""
    values = value if isinstance(value, list) else [value]
    plain = all((type(v) is int and v >= 0) or (isinstance(v, str) and v.isascii() and v.isdigit()) for v in values)
    if not plain or any(len(str(v)) > 9 for v in values):
        raise InputError(f'{where}: "{key}" must be a list of numbers, unlike {value!r}.')
    return tuple(int(v) for v in values)


def _read_masks(path: Path) -> dict[str, list[dict[str, Any] | None]]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold an object, by id of the annotation.")
    for annotation, masks in content.items():
        if not isinstance(masks, list):
            raise InputError(f'{path}: "{annotation}" must be a list of run lengths or null, one per frame.')
        for index, mask in enumerate(masks):
            if mask is not None:
                where = f'{path}: frame {index} of "{annotation}"'
                if not isinstance(mask, dict):
                    raise InputError(f"{where} must be run lengths or null.")
                check_segmentation(mask, where)
    return content
