"""Generated videos in the layout of A2D-Sentences, with the quirks of the published files.

    Release/videoset.csv                                  no header, subset in the last column: 0 train, 1 test
    Release/CLIPS320/VIDEO.mp4
    text_annotations/a2d_annotation.txt                   also a row with the instance id "1 (copy)"
    text_annotations/a2d_missed_videos.txt                names one video, which has sentences and no annotations
    text_annotations/a2d_annotation_with_instances/VIDEO/FRAME.h5    FRAME from 00001
    text_annotations/synth.json

A few frames of each video are annotated, each with the things in it that have a sentence; every third video has
one sentence only, so that masks without an axis of instances occur.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.data.extras import import_extra
from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import Drafts, Folder, Layout, Part, shares, without_kinds
from sgmg.recording import VideoRecording
from sgmg.video import open_video

ANNOTATED = 4
MISSED = "missed"
SUBSETS = {"train": 0, "test": 1}


class A2DLayout(Layout):
    """Train and test together, since one list says which video is of which."""

    name = "a2d"

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """Even sides, as the encoder wants them, and only sentences about things that are there."""
        height, width = config.size
        kinds = without_kinds(config, ("absent",), self.name)
        return replace(config, size=(height + height % 2, width + width % 2), kinds=kinds, absent_share=0.0)

    def parts(self, split: str | None, count: int) -> list[Part]:
        """A quarter of the videos is for testing."""
        return shares(count, [("train", "train", 0.75), ("test", "valid", 0.25)], self.name)

    def folders(self, split: str | None) -> list[Folder]:
        """The videos, and what is said of them."""
        return [Folder("Release", "videoset.csv"), Folder("text_annotations")]

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write a video and its annotations; its row of videoset.csv and its sentences."""
        name = f"{index:06d}"
        clips = drafts["Release"] / "CLIPS320"
        clips.mkdir(exist_ok=True)
        source = open_video(video.frames)
        with VideoRecording(clips / f"{name}.mp4", like=source) as recording:
            for frame in source:
                recording.write(frame.image, frame.time, frame.duration)
        queries: dict[int, str] = {}
        for expression in video.expressions:
            if expression.object_id is not None and (index % 3 or not queries):
                queries.setdefault(expression.object_id, expression.text)
        folder = drafts["text_annotations"] / "a2d_annotation_with_instances" / name
        annotated = _annotate(folder, video.masks, sorted(queries))
        total, height, width = video.masks.shape
        row = [name, 1, "0:00:00", "0:00:01", height, width, total, annotated, SUBSETS[part.split]]
        return row, [(name, instance, query) for instance, query in queries.items()]

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write the three lists; a copied row and a missed video, as there are in the published ones."""
        release, text = drafts["Release"], drafts["text_annotations"]
        videos = [row for _, (row, _) in written]
        sentences = [sentence for _, (_, own) in written for sentence in own]
        first, _, query = sentences[0]
        shutil.copyfile(release / "CLIPS320" / f"{first}.mp4", release / "CLIPS320" / f"{MISSED}.mp4")
        _write_csv(release / "videoset.csv", [*videos, [MISSED, *videos[0][1:]]])
        rows = [*sentences, (first, "1 (copy)", query), (MISSED, 1, query)]
        _write_csv(text / "a2d_annotation.txt", [("video_id", "instance_id", "query"), *rows])
        (text / "a2d_missed_videos.txt").write_text(f"{MISSED}\n", encoding="utf-8")


def _annotate(folder: Path, labels: np.ndarray, objects: Sequence[int]) -> int:
    """Write annotations of a few of the frames, (T, H, W) ids, that show one of these objects; how many."""
    h5py = import_extra("h5py", "The layout a2d")
    folder.mkdir(parents=True)
    shown = np.flatnonzero(np.isin(labels, objects).any(axis=(1, 2)))
    chosen = np.unique(shown[np.linspace(0, len(shown) - 1, ANNOTATED).round().astype(int)])
    for t in chosen:
        instances = [thing for thing in objects if (labels[t] == thing).any()]
        masks = np.stack([thing == labels[t].T for thing in instances]).astype(np.uint8)  # (instances, W, H)
        boxes = np.stack([_box(mask) for mask in masks], axis=1)  # (4, instances)
        with h5py.File(folder / f"{t + 1:05d}.h5", "w") as file:
            file["instance"] = np.array(instances)
            file["reMask"] = masks if len(masks) > 1 else masks[0]
            file["reBBox"] = boxes if len(masks) > 1 else boxes[:, 0]
    return len(chosen)


def _box(mask: np.ndarray) -> np.ndarray:
    """x1 y1 x2 y2 of a mask, (W, H)."""
    x, y = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max(), y.max()], np.float64)


def _write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
