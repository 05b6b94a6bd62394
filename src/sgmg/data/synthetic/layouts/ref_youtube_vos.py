"""Generated videos in the layout of Ref-YouTube-VOS.

    meta_expressions/SPLIT/meta_expressions.json
    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/Annotations/VIDEO/FRAME.png        palette images of object ids, 0 is background
    SPLIT/meta.json                          objects with their categories and the frames they are seen in
    SPLIT/synth.json                         the seed and the configuration

Every expression also has its ``kind``. An expression about a thing that is not there carries the id of an
object of its own that no annotation holds: ``meta.json`` lists it with the category asked for and no frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgmg.data.synthetic.generator import SyntheticObject, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import (
    Drafts,
    Folder,
    Layout,
    Part,
    dump_json,
    frame_names,
    write_frames,
    write_labels,
)

LIST = "meta_expressions.json"


class RefYouTubeVOSLayout(Layout):
    """A split at a time; "valid" has annotations too, so that it can be scored."""

    name = "ref-youtube-vos"
    splits = ("train", "valid")

    def parts(self, split: str | None, count: int) -> list[Part]:
        """All videos are of the split asked for."""
        assert split is not None
        return [Part(split, split, range(count))]

    def folders(self, split: str | None) -> list[Folder]:
        """The split's lists, and its images."""
        return [Folder(f"meta_expressions/{split}", LIST), Folder(f"{split}")]

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write the frames and annotations of one video; its name, its expressions and its objects."""
        name, names, folder = f"{index:06d}", frame_names(video), drafts[part.split]
        labels, expressions, objects = self.describe(video)
        write_frames(folder / "JPEGImages" / name, names, video.frames)
        write_labels(folder / "Annotations" / name, names, labels)
        return name, {"expressions": expressions, "frames": names}, {"objects": objects}

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write meta.json and meta_expressions.json."""
        split = written[0][0].split
        dump_json(drafts[split] / "meta.json", {"videos": {name: objects for _, (name, _, objects) in written}})
        listed = {name: expressions for _, (name, expressions, _) in written}
        dump_json(drafts[f"meta_expressions/{split}"] / LIST, {"videos": listed})

    def describe(self, video: SyntheticVideo) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
        """Annotations, (T, H, W) uint8, and the expressions and objects as the two lists hold them."""
        objects: dict[str, dict[str, Any]] = {str(thing.id): describe_object(video, thing) for thing in video.objects}
        expressions: dict[str, dict[str, str]] = {}
        free = max((thing.id for thing in video.objects), default=0) + 1
        for number, expression in enumerate(video.expressions):
            object_id = expression.object_id
            if object_id is None:
                object_id, free = free, free + 1
                objects[str(object_id)] = {"category": expression.noun, "frames": []}
            expressions[str(number)] = {"exp": expression.text, "obj_id": str(object_id), "kind": expression.kind}
        return video.masks, expressions, objects


def describe_object(video: SyntheticVideo, thing: SyntheticObject) -> dict[str, Any]:
    """An object as ``meta.json`` has it, with the frames that it is seen in."""
    seen = (video.masks == thing.id).any(axis=(1, 2))
    return {
        "category": thing.kind,
        "frames": [name for name, here in zip(frame_names(video), seen, strict=True) if here],
        "motion": thing.motion,
        "source": thing.source,
    }
