"""Generated videos in the layout of MeViS.

    SPLIT/JPEGImages/VIDEO/FRAME.jpg
    SPLIT/meta_expressions.json       of valid without objects
    SPLIT/mask_dict.json              not for valid
    SPLIT/synth.json                  the seed and the configuration

Every second video also has a sentence about two of its objects at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import Drafts, Folder, Layout, Part, dump_json, frame_names, write_frames
from sgmg.data.synthetic.layouts.ref_davis import present_only

#: Videos of valid are others than those of valid_u: so much further on among the generated ones.
VALID_FROM = 500_000


class MeViSLayout(Layout):
    """A split at a time; the masks of valid are not written, as the published ones are not public."""

    name = "mevis"
    splits = ("train", "valid_u", "valid")

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """Every expression is about something that is there."""
        return present_only(config, self.name)

    def parts(self, split: str | None, count: int) -> list[Part]:
        """All videos are of the split asked for."""
        assert split is not None
        first = VALID_FROM if split == "valid" else 0
        return [Part(split, "train" if split == "train" else "valid", range(first, first + count))]

    def folders(self, split: str | None) -> list[Folder]:
        """The split."""
        return [Folder(f"{split}")]

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write the frames of one video; its name, frames, expressions with places of objects, and their masks."""
        name, names = f"{index:06d}", frame_names(video)
        write_frames(drafts[part.split] / "JPEGImages" / name, names, video.frames)
        places = {thing.id: place for place, thing in enumerate(video.objects)}
        said = [
            (expression.text, [places[expression.object_id]])
            for expression in video.expressions
            if expression.object_id is not None
        ]
        second = next((other for other in said if other[1] != said[0][1]), None)
        if index % 2 == 0 and second is not None:
            said.append((f"{said[0][0]} and {second[0]}", sorted(said[0][1] + second[1])))
        masks = [[_run_lengths(labels == thing.id) for labels in video.masks] for thing in video.objects]
        return name, names, said, masks

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write meta_expressions.json and mask_dict.json; annotations are numbered through all videos."""
        split = written[0][0].split
        videos: dict[str, Any] = {}
        masks: dict[str, Any] = {}
        for number, (_, (name, names, said, of_objects)) in enumerate(written):
            expressions: dict[str, Any] = {}
            for place, (text, objects) in enumerate(said):
                expressions[str(place)] = {"exp": text}
                if split != "valid":
                    annotations = [len(masks) + object_ for object_ in objects]
                    expressions[str(place)] |= {"obj_id": objects, "anno_id": annotations}
            videos[name] = {"expressions": expressions, "frames": names, "vid_id": number}
            masks |= {str(len(masks) + place): frames for place, frames in enumerate(of_objects)}
        dump_json(drafts[split] / "meta_expressions.json", {"videos": videos})
        if split != "valid":
            dump_json(drafts[split] / "mask_dict.json", masks)


def _run_lengths(mask: np.ndarray) -> dict[str, Any] | None:
    """Compressed run lengths of a mask, (H, W) bool; None where it is empty."""
    if not mask.any():
        return None
    encoded = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
