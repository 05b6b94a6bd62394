"""Generated videos in the layout of A2D-Sentences, with the quirks of the published files.

    Release/videoset.csv                                  no header, subset in the last column: 0 train, 1 test
    Release/CLIPS320/VIDEO.mp4                            the same files also as Release/clips320H
    text_annotations/a2d_annotation.txt                   also a row with the instance id "1 (copy)"
    text_annotations/a2d_missed_videos.txt                names one video, which has sentences and no annotations
    text_annotations/a2d_annotation_with_instances/VIDEO/FRAME.h5    FRAME from 00001
    a2d_sentences_single_frame_{train,test}_annotations.json         [[query, video, frame, instance], …]
    synth.json                                            the seed and the configuration

Some public readers expect CLIPS320 and others clips320H, and most read the cached lists; so all are there.

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

from sgmg.data.a2d import NO_INSTANCE, annotations_folder, cached_list, missed_file, sentences_file, videoset_file
from sgmg.data.extras import import_extra
from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import Drafts, Folder, Layout, Part, dump_json, shares, without_kinds
from sgmg.output import link_or_copy
from sgmg.recording import VideoRecording
from sgmg.video import open_video

ANNOTATED = 4
MISSED = "missed"
SUBSETS = {"train": 0, "test": 1}
LABEL = 19
"""Of every video and instance, since generated things have none of A2D's classes: an adult (1), no action (9)."""


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
        """The root."""
        return [Folder(".")]

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write a video and its annotations; its row of videoset.csv and its sentences."""
        name = f"{index:06d}"
        clips = drafts["."] / "Release" / "CLIPS320"
        clips.mkdir(parents=True, exist_ok=True)
        source = open_video(video.frames)
        with VideoRecording(clips / f"{name}.mp4", like=source) as recording:
            for frame in source:
                recording.write(frame.image, frame.time, frame.duration)
        queries: dict[int, str] = {}
        for expression in video.expressions:
            if expression.object_id is not None and (index % 3 or not queries):
                queries.setdefault(expression.object_id, expression.text)
        folder = annotations_folder(drafts["."]) / name
        annotated = _annotate(folder, video.masks, sorted(queries))
        total, height, width = video.masks.shape
        row = [name, LABEL, "0:00:00", "0:00:01", height, width, total, len(annotated), SUBSETS[part.split]]
        return row, [(name, instance, query) for instance, query in queries.items()], annotated

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write the lists; a copied row and a missed video, as there are in the published ones."""
        root, clips = drafts["."], drafts["."] / "Release" / "CLIPS320"
        videos = [row for _, (row, _, _) in written]
        sentences = [sentence for _, (_, own, _) in written for sentence in own]
        first, _, query = sentences[0]
        shutil.copyfile(clips / f"{first}.mp4", clips / f"{MISSED}.mp4")
        shutil.copytree(clips, clips.with_name("clips320H"), copy_function=link_or_copy)
        _write_csv(videoset_file(root), [*videos, [MISSED, *videos[0][1:]]])
        rows = [*sentences, (first, NO_INSTANCE, query), (MISSED, 1, query)]
        _write_csv(sentences_file(root), [("video_id", "instance_id", "query"), *rows])
        missed_file(root).write_text(f"{MISSED}\n", encoding="utf-8")
        for split in SUBSETS:
            samples = [
                [text, name, frame, instance]
                for part, (_, own, annotated) in written
                if part.split == split
                for name, instance, text in own
                for frame, shown in annotated.items()
                if instance in shown
            ]
            dump_json(cached_list(root, split), samples)


def _annotate(folder: Path, labels: np.ndarray, objects: Sequence[int]) -> dict[int, list[int]]:
    """Write annotations of a few of the frames, (T, H, W) ids, that show one of these objects.

    Returns:
        The instances of each annotated frame, by its number from 1.
    """
    h5py = import_extra("h5py", "The layout a2d")
    folder.mkdir(parents=True)
    shown = np.flatnonzero(np.isin(labels, objects).any(axis=(1, 2)))
    chosen = np.unique(shown[np.linspace(0, len(shown) - 1, ANNOTATED).round().astype(int)])
    annotated = {}
    for t in chosen.tolist():
        instances = annotated[t + 1] = [thing for thing in objects if (labels[t] == thing).any()]
        masks = np.stack([thing == labels[t].T for thing in instances]).astype(np.uint8)  # (instances, W, H)
        boxes = np.stack([_box(mask) for mask in masks], axis=1)  # (4, instances)
        with h5py.File(folder / f"{t + 1:05d}.h5", "w") as file:
            file["instance"] = np.array(instances)
            file["reMask"] = masks if len(masks) > 1 else masks[0]
            file["reBBox"] = boxes  # keeps its axis of instances: MATLAB's arrays have two axes at least
            file["id"] = np.full((1, len(instances)), LABEL, np.float64)
    return annotated


def _box(mask: np.ndarray) -> np.ndarray:
    """x1 y1 x2 y2 of a mask, (W, H)."""
    x, y = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max(), y.max()], np.float64)


def _write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
