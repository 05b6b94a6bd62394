"""Scores of single annotated frames: precision, overall and mean IoU of the best mask, and mAP of all of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from sgmg.data.extras import import_extra
from sgmg.segmentation import Rle

PRECISION_AT = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU that the best mask must exceed to be right."""


@dataclass(frozen=True)
class Answer:
    """What was predicted for one sentence about one annotated frame, and what is right.

    Attributes:
        id: the sample's id, unique in its benchmark.
        video: name of the video or image.
        annotation: the right mask.
        masks: N predicted masks of the annotation's size; may be none.
        scores: N numbers, the higher the surer.
    """

    id: str
    video: str
    annotation: Rle
    masks: Sequence[Rle]
    scores: Sequence[float]


@dataclass(frozen=True)
class BestMask:
    """How well the mask that scores highest fits; the first of equals.

    Attributes:
        id, video: of which sample.
        intersection, union: in pixels; of an empty mask where none was predicted.
        score: the mask's own, None where none was predicted.
    """

    id: str
    video: str
    intersection: int
    union: int
    score: float | None

    @property
    def iou(self) -> float:
        """Intersection over union, 1 where both masks are empty."""
        return self.intersection / self.union if self.union else 1.0

    @classmethod
    def of(cls, answer: Answer) -> BestMask:
        """Measure an answer."""
        right = int(coco.area(answer.annotation))
        if not len(answer.masks):
            return cls(answer.id, answer.video, 0, right, None)
        best = int(np.argmax(answer.scores))
        intersection = int(coco.area(coco.merge([answer.masks[best], answer.annotation], intersect=True)))
        union = right + int(coco.area(answer.masks[best])) - intersection
        return cls(answer.id, answer.video, intersection, union, float(answer.scores[best]))


@dataclass(frozen=True)
class InstanceEvaluation:
    """All scores of a run over single annotated frames.

    Attributes:
        best: one for each sample.
        ranked: mAP over 0.50:0.05:0.95 of all masks, in [0, 1]; None where a benchmark does not rank masks, or
            there is no sample.
    """

    best: list[BestMask]
    ranked: float | None = None

    @classmethod
    def of(cls, answers: Sequence[Answer], rank: bool = True) -> InstanceEvaluation:
        """Score answers, with mAP if `rank`."""
        return cls([BestMask.of(answer) for answer in answers], mean_average_precision(answers) if rank else None)

    @property
    def overall_iou(self) -> float | None:
        """Sum of intersections over sum of unions, so that large objects count for more; None over no samples."""
        if not self.best:
            return None
        union = sum(best.union for best in self.best)
        return sum(best.intersection for best in self.best) / union if union else 1.0

    @property
    def mean_iou(self) -> float | None:
        """Mean over samples, None over none."""
        return sum(best.iou for best in self.best) / len(self.best) if self.best else None

    def precision(self, threshold: float) -> float | None:
        """Share of samples whose best mask has an IoU above a threshold; None over no samples."""
        return sum(best.iou > threshold for best in self.best) / len(self.best) if self.best else None

    @property
    def means(self) -> dict[str, float | None]:
        """Every score by its name, in percent."""
        values = {f"P@{threshold}": self.precision(threshold) for threshold in PRECISION_AT}
        values |= {"overall IoU": self.overall_iou, "mean IoU": self.mean_iou}
        if self.ranked is not None:
            values["mAP"] = self.ranked
        return {name: None if value is None else 100 * value for name, value in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; scores in percent."""
        return {**self.means, "samples": len(self.best), "videos": len({best.video for best in self.best})}

    def rows(self) -> list[dict[str, Any]]:
        """One row a sample, for CSV; IoU in percent."""
        return [
            {"video": best.video, "sample": best.id, "IoU": 100 * best.iou, "score": best.score} for best in self.best
        ]


def mean_average_precision(answers: Sequence[Answer]) -> float | None:
    """mAP over IoU 0.50:0.05:0.95 as COCO defines it, every sample an image and all of them one category.

    Of a sample's masks, the 100 that score highest count.

    Returns:
        in [0, 1]; None over no answers.

    Raises:
        InputError: faster-coco-eval is not installed.
    """
    faster_coco = import_extra("faster_coco_eval", "mAP")
    if not answers:
        return None
    truth, found = coco_datasets(answers)
    indexed = []
    for dataset in (truth, found):
        index = faster_coco.COCO()
        index.dataset = dataset
        index.createIndex()
        indexed.append(index)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = faster_coco.COCOeval_faster(*indexed, iouType="segm")
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, categories, areas, numbers of masks): all areas, up to 100 masks.
    precision = np.asarray(evaluation.eval["precision"])[:, :, 0, 0, -1]
    return float(precision[precision > -1].mean())


def coco_datasets(answers: Sequence[Answer]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answers as two COCO datasets, annotations and predictions, with the samples' places for image ids."""
    images = [
        {"id": index, "height": int(answer.annotation["size"][0]), "width": int(answer.annotation["size"][1])}
        for index, answer in enumerate(answers, 1)
    ]
    right: list[tuple[int, Rle, dict[str, float]]] = [
        (index, answer.annotation, {}) for index, answer in enumerate(answers, 1)
    ]
    found = [
        (index, mask, {"score": float(score)})
        for index, answer in enumerate(answers, 1)
        for mask, score in zip(answer.masks, answer.scores, strict=True)
    ]
    categories = [{"id": 1, "name": "object"}]
    truth, predicted = (
        {
            "images": images,
            "categories": categories,
            "annotations": [
                {
                    "id": number,
                    "image_id": image,
                    "category_id": 1,
                    "segmentation": mask,
                    "area": int(coco.area(mask)),
                    "bbox": coco.toBbox(mask).tolist(),
                    "iscrowd": 0,
                    **more,
                }
                for number, (image, mask, more) in enumerate(masks, 1)
            ],
        }
        for masks in (right, found)
    )
    return truth, predicted
