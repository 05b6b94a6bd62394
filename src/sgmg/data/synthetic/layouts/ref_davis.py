"""Generated videos in the layout of Ref-DAVIS17, converted to that of Ref-YouTube-VOS or raw.

Raw:

    DAVIS/{JPEGImages,Annotations_unsupervised}/480p/VIDEO/FRAME.{jpg,png}
    DAVIS/ImageSets/2017/{train,val}.txt
    DAVIS/davis_semantics.json
    davis_text_annotations/Davis17_annot{1,2}{,_full_video}.txt

Four annotators describe each object. What nobody generated a sentence about counts as background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticObject, SyntheticVideo
from sgmg.data.synthetic.layouts.layout import (
    Drafts,
    Folder,
    Layout,
    Part,
    dump_json,
    frame_names,
    shares,
    without_kinds,
    write_frames,
    write_labels,
)
from sgmg.data.synthetic.layouts.ref_youtube_vos import RefYouTubeVOSLayout, describe_object

ANNOTATORS = 4
#: The annotators' lists in the order of the expressions, and their encodings.
TEXT_FILES = (
    ("Davis17_annot1.txt", "utf-8"),
    ("Davis17_annot1_full_video.txt", "utf-8"),
    ("Davis17_annot2.txt", "latin-1"),
    ("Davis17_annot2_full_video.txt", "latin-1"),
)


class RefDAVIS17Layout(RefYouTubeVOSLayout):
    """The converted form, a split at a time: expression k is of object k // 4 + 1 and annotator k % 4."""

    name = "ref-davis17"

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """Every expression is about something that is there."""
        return present_only(config, self.name)

    def describe(self, video: SyntheticVideo) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
        """Annotations of the objects that are described, and the lists."""
        labels, described = by_annotator(video)
        objects = {str(number): describe_object(video, thing) for number, (thing, _) in enumerate(described, 1)}
        expressions = {
            str(ANNOTATORS * place + annotator): {"exp": text, "obj_id": str(place + 1)}
            for place, (_, texts) in enumerate(described)
            for annotator, text in enumerate(texts)
        }
        return labels, expressions, objects


class RefDAVIS17RawLayout(Layout):
    """The files as DAVIS 2017 and Ref-DAVIS17 publish them, train and val together."""

    name = "ref-davis17-raw"

    def configure(self, config: SyntheticConfig) -> SyntheticConfig:
        """Every expression is about something that is there."""
        return present_only(config, self.name)

    def parts(self, split: str | None, count: int) -> list[Part]:
        """A third of the videos is of val."""
        return shares(count, [("train", "train", 2 / 3), ("val", "valid", 1 / 3)], self.name)

    def folders(self, split: str | None) -> list[Folder]:
        """DAVIS, and the expressions."""
        return [Folder("davis_text_annotations", TEXT_FILES[0][0]), Folder("DAVIS")]

    def write_video(self, drafts: Drafts, part: Part, index: int, video: SyntheticVideo) -> Any:
        """Write frames and annotations; the video's name, categories, and what the annotators say of each object."""
        name, names, davis = f"{index:06d}", frame_names(video), drafts["DAVIS"]
        labels, described = by_annotator(video)
        write_frames(davis / "JPEGImages" / "480p" / name, names, video.frames)
        write_labels(davis / "Annotations_unsupervised" / "480p" / name, names, labels)
        categories = {str(number): thing.kind for number, (thing, _) in enumerate(described, 1)}
        return name, categories, [texts for _, texts in described]

    def write_lists(self, drafts: Drafts, written: Sequence[tuple[Part, Any]]) -> None:
        """Write the sets, the categories and the expressions."""
        sets = drafts["DAVIS"] / "ImageSets" / "2017"
        sets.mkdir(parents=True)
        for split in ("train", "val"):
            names = [name for part, (name, _, _) in written if part.split == split]
            (sets / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
        dump_json(drafts["DAVIS"] / "davis_semantics.json", {name: categories for _, (name, categories, _) in written})
        for annotator, (file, encoding) in enumerate(TEXT_FILES):
            lines = [
                f'{name} {number} "{texts[annotator]}"\n'
                for _, (name, _, said) in written
                for number, texts in enumerate(said, 1)
            ]
            (drafts["davis_text_annotations"] / file).write_text("".join(lines), encoding=encoding, newline="\n")


def present_only(config: SyntheticConfig, layout: str) -> SyntheticConfig:
    """The configuration without expressions of things that are not there."""
    return replace(config, kinds=without_kinds(config, ("absent",), layout))


def by_annotator(video: SyntheticVideo) -> tuple[np.ndarray, list[tuple[SyntheticObject, list[str]]]]:
    """Label maps of the objects that are described, numbered from 1, and what each annotator says of them."""
    labels = np.zeros_like(video.masks)
    described = []
    for thing in video.objects:
        texts = [expression.text for expression in video.expressions if expression.object_id == thing.id]
        if texts:
            described.append((thing, [texts[annotator % len(texts)] for annotator in range(ANNOTATORS)]))
            labels[video.masks == thing.id] = len(described)
    return labels, described
