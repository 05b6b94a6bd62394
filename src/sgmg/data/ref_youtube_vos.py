"""Ref-YouTube-VOS, and any data in its layout (a user's own, or what ``sgmg synth`` writes).

    meta_expressions/SPLIT/meta_expressions.json
    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/Annotations/VIDEO/FRAME.png         object ids, 0 is background; not public for valid and test
    SPLIT/meta.json                           categories of the objects, optional

The lists are checked when the dataset is opened, images when they are read. What is wrong there is an
`InputError` that names the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sgmg.data.lists import parse_video, read_videos, require_component
from sgmg.data.video_data import LabelledFrames
from sgmg.errors import InputError


class RefYouTubeVOS(LabelledFrames):
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
        root = Path(root)
        if not root.is_dir():
            raise InputError(f"{root} is not a folder: give the folder that holds meta_expressions.")
        require_component(split, "the split", root)
        list_file = _list_file(root, split)
        entries = read_videos(list_file)
        if split == "valid" and _list_file(root, "test").is_file():
            test = read_videos(_list_file(root, "test"))
            entries = {name: entry for name, entry in entries.items() if name not in test}
        folder = root / split
        if split == "test" and not (folder / "JPEGImages").is_dir():
            folder = root / "valid"  # where the published test frames lie
        categories = _read_categories(folder / "meta.json")
        videos = [
            parse_video(name, entry, list_file, _one_object, categories.get(name)) for name, entry in entries.items()
        ]
        super().__init__(videos, list_file, folder / "JPEGImages", folder / "Annotations")
        self.root, self.split = root, split


def _list_file(root: Path, split: str) -> Path:
    return root / "meta_expressions" / split / "meta_expressions.json"


def _read_categories(path: Path) -> dict[str, dict[int, str]]:
    """Categories by video and object id from ``meta.json``; nothing where there is no such file."""
    if not path.is_file():
        return {}
    categories: dict[str, dict[int, str]] = {}
    for name, entry in read_videos(path).items():
        objects = entry.get("objects") if isinstance(entry, dict) else None
        if not isinstance(objects, dict) or not all(isinstance(value, dict) for value in objects.values()):
            raise InputError(f'{path}: {name!r} must hold "objects", by id of the object.')
        categories[name] = {
            parse_object_id(key, f"{path}: {name!r}"): str(value.get("category", "")) for key, value in objects.items()
        }
    return categories


def _one_object(entry: dict[str, Any], where: str) -> tuple[int, ...] | None:
    value = entry.get("obj_id")
    return None if value is None else (parse_object_id(value, where),)


def parse_object_id(value: Any, where: str) -> int:
    """The id of an object, 1 or more: written as a string, and by some as a number.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, bool) or not re.fullmatch("0*[1-9][0-9]{0,8}", str(value)):
        raise InputError(f"{where}: {value!r} is not the id of an object (1 or more).")
    return int(value)
