"""Generated images in the layouts of RefCOCO, RefCOCO+ and RefCOCOg.

train2014/COCO_train2014_000000000009.jpg        shared by the three
NAME/instances.json                              polygons
NAME/refs(unc).p                                 refs(umd).p of refcocog
NAME/synth.json                                  the seed and the configuration
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import (
    JPEG_QUALITY,
    Drafts,
    Folder,
    Layout,
    Part,
    dump_json,
    shares,
    without_kinds,
)
from sgmg.data.synthetic.outlines import outlines

#: Images of each dataset have numbers of their own, so that they can share a folder.
NUMBERS = 1_000_000
_HELD = 0.1


class RefCOCOLayout(Layout):
    """One of the three datasets with all its splits; its images go into the folder that they share.

    Args:
        name: "refcoco", "refcoco+" or "refcocog".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.first = ("refcoco", "refcoco+", "refcocog").index(name) * NUMBERS

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """Single images: nothing moves. RefCOCO+ has no words for places."""
        unfit = ["absent", "motion"]
        if self.name == "refcoco+":
            unfit += ["position", "relation", "combined"]
        return replace(config, length=1, kinds=without_kinds(config, unfit, self.name))

    def parts(self, split: str | None, count: int) -> list[Part]:
        """One image in ten for each of the splits but train, at least one."""
        held = ("val", "test") if self.name == "refcocog" else ("val", "testA", "testB")
        parts = [("train", "train", 1.0), *((name, "valid", _HELD) for name in held)]
        return shares(count, parts, self.name, self.first)

    def folders(self, split: str | None) -> list[Folder]:
        """The dataset's own folder, and the images."""
        return [Folder(self.name), Folder("train2014", shared=True)]

    def owns(self, file: Path) -> bool:
        """Whether an image has one of this dataset's numbers."""
        number = re.fullmatch(r"COCO_train2014_(\d{12})", file.stem)
        return number is not None and self.first < int(number[1]) <= self.first + NUMBERS

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write one image; its entry, and for each object its category, its annotation and its sentences."""
        number = index + 1
        name = f"COCO_train2014_{number:012d}.jpg"
        Image.fromarray(video.frames[0]).save(drafts["train2014"] / name, quality=JPEG_QUALITY)
        height, width = video.frames.shape[1:3]
        objects = []
        for thing in video.objects:
            mask = video.masks[0] == thing.id
            if not mask.any():
                continue
            polygons = outlines(mask)
            xs = [x for polygon in polygons for x in polygon[::2]]
            ys = [y for polygon in polygons for y in polygon[1::2]]
            annotation = {
                "id": 100 * number + thing.id,
                "image_id": number,
                "segmentation": polygons,
                "area": int(mask.sum()),
                "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
                "iscrowd": 0,
            }
            texts = [
                expression.text.replace(" in the video", " in the picture")
                for expression in video.expressions
                if expression.object_id == thing.id
            ]
            objects.append((thing.kind, annotation, texts))
        return {"id": number, "file_name": name, "height": height, "width": width}, objects

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write instances.json and the pickle of the references."""
        kinds = sorted({kind for _, (_, objects) in written for kind, _, _ in objects})
        categories = {kind: number for number, kind in enumerate(kinds, 1)}
        annotations: list[dict[str, Any]] = []
        references: list[dict[str, Any]] = []
        sentences = 0
        for part, (image, objects) in written:
            stem = Path(image["file_name"]).stem
            for place, (kind, annotation, texts) in enumerate(objects):
                annotations.append(annotation | {"category_id": categories[kind]})
                if not texts:
                    continue
                sent_ids = list(range(sentences, sentences + len(texts)))
                sentences += len(texts)
                references.append(
                    {
                        "ref_id": len(references),
                        "ann_id": annotation["id"],
                        "image_id": image["id"],
                        "category_id": categories[kind],
                        "split": part.split,
                        "file_name": f"{stem}_{place}.jpg",  # as published: not the image's own name
                        "sent_ids": sent_ids,
                        "sentences": [
                            {"sent_id": sent_id, "sent": text, "raw": text, "tokens": text.split()}
                            for sent_id, text in zip(sent_ids, texts, strict=True)
                        ],
                    }
                )
        folder = drafts[self.name]
        listed = [{"id": number, "name": kind, "supercategory": "object"} for kind, number in categories.items()]
        images = [image for _, (image, _) in written]
        # Others copy "info" and "licenses" into what they convert.
        about: dict[str, Any] = {"info": {"description": "generated by sgmg"}, "licenses": []}
        instances = about | {"images": images, "annotations": annotations, "categories": listed}
        dump_json(folder / "instances.json", instances)
        pickled = folder / ("refs(umd).p" if self.name == "refcocog" else "refs(unc).p")
        pickled.write_bytes(pickle.dumps(references, protocol=2))
