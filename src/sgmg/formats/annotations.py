"""Segmentations as the datasets and label files of other tools."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image
from pycocotools import mask as mask_tools

from sgmg.data.coco_masks import run_lengths
from sgmg.data.images import save_labels
from sgmg.formats import Write
from sgmg.formats.frames import FoundFrame, Subject
from sgmg.formats.images import require_palette
from sgmg.formats.lists import LongList, dump_json
from sgmg.formats.polygons import polygon_of
from sgmg.segmentation import Rle

JPEG_QUALITY = 95

CVAT_LABEL = 64
"""Letters that CVAT allows in the name of a label."""


@contextmanager
def coco(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/annotations/instances_default.json and PLACE/images: expressions are categories, masks run lengths."""
    for folder in ("annotations", "images"):
        (place / folder).mkdir(parents=True)
    with LongList() as images, LongList() as annotations:

        def write(found: FoundFrame) -> None:
            file = _save_frame(place / "images", found)
            images.append({"id": found.index + 1, "file_name": file, **_size(subject)})
            for category, (rle, score) in enumerate(zip(found.rles, found.scores, strict=True), start=1):
                if area := _area(rle):
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": found.index + 1,
                            "category_id": category,
                            "segmentation": _plain(rle),
                            "bbox": _box(rle),
                            "area": area,
                            "iscrowd": 0,
                            "score": round(float(score), 6),
                        }
                    )

        yield write
        dump_json(
            place / "annotations" / "instances_default.json",
            {"images": images, "categories": _categories(subject), "annotations": annotations},
        )


@contextmanager
def youtube_vis(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/annotations.json and PLACE/JPEGImages/VIDEO: one track an expression, which is its category."""
    folder = place / "JPEGImages" / subject.name
    folder.mkdir(parents=True)
    scores = np.zeros(len(subject.expressions))
    with ExitStack() as stack:
        files = stack.enter_context(LongList())
        tracks = [
            {key: stack.enter_context(LongList()) for key in ("segmentations", "bboxes", "areas")}
            for _ in subject.expressions
        ]

        def write(found: FoundFrame) -> None:
            nonlocal scores
            files.append(f"{subject.name}/{_save_frame(folder, found)}")
            scores += found.scores
            for track, rle in zip(tracks, found.rles, strict=True):
                area = _area(rle)
                track["segmentations"].append(_uncompressed(rle) if area else None)
                track["bboxes"].append(_box(rle) if area else None)
                track["areas"].append(area or None)

        yield write
        about = {"length": len(files), **_size(subject)}
        annotations = [
            {
                "id": index,
                "video_id": 1,
                "category_id": index,
                "iscrowd": 0,
                "score": round(float(score) / max(len(files), 1), 6),
                **about,
                **track,
            }
            for index, (track, score) in enumerate(zip(tracks, scores, strict=True), start=1)
        ]
        videos = [{"id": 1, "file_names": files, **about}]
        dump_json(
            place / "annotations.json",
            {"videos": videos, "categories": _categories(subject), "annotations": annotations},
        )


@contextmanager
def ref_youtube_vos(place: Path, subject: Subject) -> Iterator[Write]:
    """A dataset in the layout of Ref-YouTube-VOS, of one video in the split "train"; expression e is object e + 1."""
    require_palette(subject, "Ref-YouTube-VOS")
    frames, labels = (place / "train" / name / subject.name for name in ("JPEGImages", "Annotations"))
    lists = place / "meta_expressions" / "train"
    for folder in (frames, labels, lists):
        folder.mkdir(parents=True)
    names: list[str] = []
    seen: list[list[str]] = [[] for _ in subject.expressions]

    def write(found: FoundFrame) -> None:
        _save_frame(frames, found)
        drawn = found.labels()
        save_labels(labels / f"{found.name}.png", drawn)
        names.append(found.name)
        for index, frames_seen in enumerate(seen):
            if (drawn == index + 1).any():
                frames_seen.append(found.name)

    yield write
    expressions = {
        str(index): {"exp": text, "obj_id": str(index + 1)} for index, text in enumerate(subject.expressions)
    }
    objects = {
        str(index + 1): {"category": text, "frames": frames_seen}
        for index, (text, frames_seen) in enumerate(zip(subject.expressions, seen, strict=True))
    }
    video = {"expressions": expressions, "frames": names}
    dump_json(lists / "meta_expressions.json", {"videos": {subject.name: video}})
    dump_json(place / "train" / "meta.json", {"videos": {subject.name: {"objects": objects}}})


_YOLO_DATA = """\
# The same frames to train on and to validate on: split them before you trust a score.
train: images/train
val: images/train
names:
"""


@contextmanager
def yolo(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/data.yaml, PLACE/images/train and PLACE/labels/train: a polygon an object, expressions are classes."""
    images, labels = (place / name / "train" for name in ("images", "labels"))
    for folder in (images, labels):
        folder.mkdir(parents=True)
    sides = subject.size[::-1]

    def write(found: FoundFrame) -> None:
        _save_frame(images, found)
        lines = []
        for index, mask in enumerate(found.masks):
            polygon = polygon_of(mask)
            if polygon is not None:
                numbers = " ".join(f"{value:.6f}" for value in (polygon / sides).reshape(-1))
                lines.append(f"{index} {numbers}\n")
        (labels / f"{found.name}.txt").write_text("".join(lines), encoding="ascii")

    yield write
    # JSON's strings are YAML's, but for letters that JSON writes as two.
    names = "".join(
        f"  {index}: {json.dumps(label, ensure_ascii=False)}\n" for index, label in enumerate(subject.labels())
    )
    (place / "data.yaml").write_text(_YOLO_DATA + names, encoding="utf-8")


_CVAT_HEAD = """\
<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>{name}</name>
      <size>{frames}</size>
      <mode>interpolation</mode>
      <overlap>0</overlap>
      <start_frame>0</start_frame>
      <stop_frame>{last}</stop_frame>
      <labels>
{labels}
      </labels>
      <original_size><width>{width}</width><height>{height}</height></original_size>
    </task>
  </meta>
"""


@contextmanager
def cvat(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE: annotations of one task in the version 1.1 of CVAT's XML for videos, a track of polygons an expression."""
    labels = subject.labels(longest=CVAT_LABEL)
    frames = 0
    with ExitStack() as stack:
        # They lie one after the other in the file, but grow together.
        tracks = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in labels]
        last: list[str | None] = [None] * len(labels)

        def write(found: FoundFrame) -> None:
            nonlocal frames
            frames = found.index + 1
            for index, (track, mask) in enumerate(zip(tracks, found.masks, strict=True)):
                polygon = polygon_of(mask)
                if polygon is not None:
                    last[index] = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
                    track.write(_cvat_polygon(found.index, last[index], outside=False))
                elif last[index] is not None:
                    track.write(_cvat_polygon(found.index, last[index], outside=True))  # gone until the next one
                    last[index] = None

        yield write
        head = _CVAT_HEAD.format(
            name=subject.name,
            frames=frames,
            last=max(frames - 1, 0),
            labels="\n".join(f"        <label><name>{escape(label)}</name></label>" for label in labels),
            width=subject.size[1],
            height=subject.size[0],
        )
        with place.open("w", encoding="utf-8") as file:
            file.write(head)
            for index, (label, track) in enumerate(zip(labels, tracks, strict=True)):
                file.write(f'  <track id="{index}" label={quoteattr(label)} source="auto">\n')
                track.seek(0)
                shutil.copyfileobj(track, file)
                file.write("  </track>\n")
            file.write("</annotations>\n")


def _cvat_polygon(frame: int, points: str | None, outside: bool) -> str:
    return (
        f'    <polygon frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="0" '
        f'points="{points}" z_order="0"></polygon>\n'
    )


def _save_frame(folder: Path, found: FoundFrame) -> str:
    """Save the picture of a frame; its file's name."""
    file = f"{found.name}.jpg"
    Image.fromarray(found.image).save(folder / file, quality=JPEG_QUALITY)
    return file


def _categories(subject: Subject) -> list[dict[str, Any]]:
    return [
        {"id": index, "name": label, "supercategory": "expression"}
        for index, label in enumerate(subject.labels(), start=1)
    ]


def _size(subject: Subject) -> dict[str, int]:
    return {"width": subject.size[1], "height": subject.size[0]}


def _plain(rle: Rle) -> dict[str, Any]:
    """Compressed run lengths, as JSON holds them."""
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode("ascii")}


def _uncompressed(rle: Rle) -> dict[str, Any]:
    """Run lengths as the published annotations of YouTube-VIS hold them: some readers know no others."""
    return {"size": list(map(int, rle["size"])), "counts": run_lengths(rle["counts"])}


def _area(rle: Rle) -> int:
    return int(mask_tools.area(rle))


def _box(rle: Rle) -> list[float]:
    """x, y, width, height."""
    return [float(side) for side in mask_tools.toBbox(rle)]
