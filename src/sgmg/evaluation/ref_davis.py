"""J&F on Ref-DAVIS17: for each of four annotators, all objects of a video merged into one map of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sgmg.data.images import save_labels
from sgmg.data.video_data import Expression, Video, VideoData
from sgmg.errors import InputError
from sgmg.evaluation.expressions import KEPT, Score
from sgmg.evaluation.region_and_boundary import boundary_accuracy, region_similarity
from sgmg.evaluation.scores import Evaluation, ExpressionScore, MeanScore
from sgmg.evaluation.video_masks import EncodedMasks, MaskFiles, VideoMasks, in_chunks, kept_folder, require_annotations
from sgmg.evaluation.workers import Workers
from sgmg.output import new_folder

if TYPE_CHECKING:
    from torch import Tensor

    from sgmg.segmenter import Segmenter

ANNOTATORS = 4
PROBABLE = 0.5
"""A pixel is an object's only where it is more probable than this."""

VOID = 255
"""Label of pixels that nobody annotated: predictions there count neither for nor against."""

Labels = NDArray[np.uint8]


class DavisData(VideoData, Protocol):
    """Ref-DAVIS17: every expression means one object, of which each annotator has one."""

    def annotations(self, video: Video, indices: Sequence[int] | None = None) -> Tensor:
        """Object id of every pixel, (T, H, W), 0 is background and 255 void; all frames, or those at ``indices``."""

    def annotator(self, expression: Expression) -> int:
        """Who said it, 0 to 3."""


class Predictor(Protocol):
    """Where the merged labels come from: a model, or a folder."""

    def __call__(self, data: DavisData, video: Video) -> list[list[VideoMasks]]:
        """For each annotator the masks of `objects`, which do not overlap."""


class ModelPredictor:
    """Labels merged from a `Segmenter`'s probabilities; the visual encoder runs once a clip for all expressions.

    Args:
        segmenter: the model.
        clip_length: frames that the network sees together; "all" for whole videos. Published is 36.
        min_score: score that an object needs in some frame of a clip; by default the model's own.
    """

    def __init__(
        self, segmenter: Segmenter, clip_length: int | Literal["all"] = 36, min_score: float | None = None
    ) -> None:
        self.segmenter = segmenter
        self.clip_length = clip_length
        self.min_score = min_score

    def __call__(self, data: DavisData, video: Video) -> list[list[VideoMasks]]:
        length = len(video.frames)
        step = length if self.clip_length == "all" else self.clip_length
        said = [objects(data, video, annotator) for annotator in range(ANNOTATORS)]
        labels = np.zeros((ANNOTATORS, length, *data.size(video)), np.uint8)
        for start in range(0, length, step):
            clip = range(start, min(start + step, length))
            with self.segmenter.encode(data.frames(video, clip).permute(0, 2, 3, 1).numpy()) as features:
                for annotator, expressions in enumerate(said):
                    texts = [expression.text for expression in expressions]
                    found = features.each_probability(texts, self.min_score) if texts else []
                    labels[annotator, clip.start : clip.stop] = merge(found)
        # The encoded masks keep memory small while they wait to be scored.
        return [
            [EncodedMasks.of(labels[annotator] == index) for index in range(1, len(expressions) + 1)]
            for annotator, expressions in enumerate(said)
        ]


class KeptPredictor:
    """Labels that were kept as ``FOLDER/anno_0/VIDEO/FRAME.png`` to ``anno_3``, whose pixels are ids of objects.

    A folder that holds ``Annotations`` is taken too.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = kept_folder(folder, "anno_0/VIDEO/FRAME.png to anno_3/VIDEO/FRAME.png")

    def __call__(self, data: DavisData, video: Video) -> list[list[VideoMasks]]:
        size = data.size(video)
        return [
            [
                MaskFiles(self.folder / folder_of(annotator) / video.name, video.frames, size, object_id(expression))
                for expression in objects(data, video, annotator)
            ]
            for annotator in range(ANNOTATORS)
        ]


def folder_of(annotator: int) -> str:
    """What the folder of an annotator's labels is called."""
    return f"anno_{annotator}"


def object_id(expression: Expression) -> int:
    """The one object an expression means.

    Raises:
        InputError: it means none, several, or one that has no place in a palette.
    """
    ids = expression.object_ids or ()
    if len(ids) != 1 or not 1 <= ids[0] <= 255:
        raise InputError(
            f'Expression "{expression.id}" ({expression.text!r}) must mean one object with an id from 1 to 255, '
            f"not {list(ids)}."
        )
    return ids[0]


def objects(data: DavisData, video: Video, annotator: int) -> list[Expression]:
    """An annotator's expressions of a video, one an object, in the order of the objects."""
    said = [expression for expression in video.expressions if data.annotator(expression) == annotator]
    return sorted(said, key=object_id)


def merge(probabilities: Iterable[NDArray[np.float32]]) -> Labels:
    """Per pixel the place, from 1, of the most probable object, 0 where none is more probable than 0.5.

    Args:
        probabilities: (T, H, W) of each object; one is looked at at a time. Of equals, the first wins.

    Returns:
        (T, H, W).
    """
    labels: Labels = np.zeros((), np.uint8)
    highest: NDArray[np.float32] = np.full((), PROBABLE, np.float32)
    for place, probability in enumerate(probabilities, 1):
        higher = probability > highest
        labels, highest = np.where(higher, np.uint8(place), labels), np.where(higher, probability, highest)
    return labels


@dataclass(frozen=True)
class DavisEvaluation:
    """Scores of each annotator, one for each object.

    Attributes:
        annotators: four evaluations.
        matched: objects were matched with whichever labels fit best.
    """

    annotators: list[Evaluation]
    matched: bool = False

    @property
    def overall(self) -> MeanScore:
        """The mean of the annotators' means, which is what is reported."""
        means = [evaluation.overall for evaluation in self.annotators]

        def mean(values: list[float | None]) -> float | None:
            known = [value for value in values if value is not None]
            return sum(known) / len(known) if known else None

        return MeanScore(
            sum(score.expressions for score in means),
            mean([score.region for score in means]),
            mean([score.boundary for score in means]),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; scores in percent."""
        return {
            **self.overall.to_dict(),
            "videos": self.annotators[0].videos,
            "matched": self.matched,
            "annotators": [evaluation.overall.to_dict() for evaluation in self.annotators],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row an object and annotator, for CSV; scores in percent."""
        return [
            {"annotator": index, **row} for index, evaluation in enumerate(self.annotators) for row in evaluation.rows()
        ]


def evaluate(
    data: DavisData,
    predict: Predictor,
    *,
    match_objects: bool = False,
    limit: int | None = None,
    workers: int = 1,
    keep: str | Path | None = None,
    progress: Callable[[Sequence[Video]], Iterable[Video]] = iter,
) -> DavisEvaluation:
    """Score merged labels against annotations: J and F are means over frames, then over objects, then annotators.

    Args:
        data: an annotated split.
        predict: gives the labels.
        match_objects: score each object against whichever label fits best, no label twice, as the unsupervised DAVIS
            evaluation does with which most published scores were made: it forgives a model that mixes objects up.
            It also counts objects of the first frame that no expression means, and no others.
        limit: only that many videos, the first.
        workers: score in that many processes while the next video is predicted; 1 scores in a thread. See `Workers`.
        keep: folder to make for the labels, as ANNOTATOR/VIDEO/FRAME.png with ids of objects.
        progress: wraps the videos, to show how far it is.

    Raises:
        InputError: the split has no annotations, or an image is missing or broken, or the folder to keep labels in
            exists.
    """
    require_annotations(data)
    videos = data.videos[:limit]
    score = Match if match_objects else ScoreOwn
    whose: list[int] = []  # of each job
    with ExitStack() as stack:
        folder = None if keep is None else stack.enter_context(new_folder(keep, marker=KEPT))
        pool: Workers[list[ExpressionScore]] = stack.enter_context(Workers(data, workers))
        for video in progress(videos):
            for annotator, masks in enumerate(predict(data, video)):
                expressions = objects(data, video, annotator)
                pool.submit(score(video, list(zip(expressions, masks, strict=True))))
                whose.append(annotator)
                if folder is not None:
                    ids = [object_id(expression) for expression in expressions]
                    pool.submit(Keep(video, masks, ids, folder / folder_of(annotator) / video.name))
                    whose.append(annotator)
        done = list(zip(whose, pool.results(), strict=True))
        if folder is not None:
            (folder / KEPT).write_text("ANNOTATOR/VIDEO/FRAME.png: ids of objects, 0 is background.\n")
    return DavisEvaluation(
        [
            Evaluation([score for who, scores in done if who == annotator for score in scores], videos=len(videos))
            for annotator in range(ANNOTATORS)
        ],
        match_objects,
    )


class WithoutVoid:
    """Masks without the pixels that nobody annotated.

    Args:
        data: which pixels they are.
        video: of the masks.
    """

    def __init__(self, data: DavisData, video: Video) -> None:
        self._data, self._video = data, video
        self._last: tuple[list[int], NDArray[np.bool_]] | None = None

    def of(self, masks: VideoMasks) -> VideoMasks:
        """The same masks, but False in void."""
        return lambda indices: masks(indices) & self._annotated(indices)

    def _annotated(self, indices: Sequence[int]) -> NDArray[np.bool_]:
        if self._last is None or self._last[0] != list(indices):  # masks of several objects are looked at in turn
            self._last = list(indices), self._data.annotations(self._video, indices).numpy() != VOID
        return self._last[1]


class ScoreOwn(Score):
    """The job of scoring masks of one video, each against the object that its expression means."""

    def __call__(self, data: VideoData) -> list[ExpressionScore]:
        void = WithoutVoid(cast(DavisData, data), self.video)
        return Score(self.video, [(expression, void.of(masks)) for expression, masks in self.pairs])(data)


class Match(Score):
    """The job of scoring masks of one video, each object against the mask that fits it best.

    Objects are those of the first frame, numbered from 1 to the highest, whether an expression means them or not.
    """

    def __call__(self, data: VideoData) -> list[ExpressionScore]:
        from scipy.optimize import linear_sum_assignment

        davis = cast(DavisData, data)
        first = davis.annotations(self.video, [0])
        meant = {object_id(expression): expression for expression, _ in self.pairs}
        highest = int(first.masked_fill(first == VOID, 0).max())
        truths = [meant.get(number, Expression("", "", (number,))) for number in range(1, highest + 1)]
        void = WithoutVoid(davis, self.video)
        masks = [void.of(masks) for _, masks in self.pairs]
        size = data.size(self.video)
        masks += [lambda indices: np.zeros((len(indices), *size), bool)] * (len(truths) - len(masks))
        region, boundary = np.zeros((2, len(truths), len(masks), len(self.video.frames)))
        for chunk in in_chunks(len(self.video.frames)):
            predictions = [of(chunk) for of in masks]
            place = slice(chunk.start, chunk.stop)
            for row, truth in enumerate(truths):
                annotation = data.masks(self.video, truth, chunk).numpy()
                for column, prediction in enumerate(predictions):
                    region[row, column, place] = region_similarity(prediction, annotation)
                    boundary[row, column, place] = boundary_accuracy(prediction, annotation)
        _, chosen = linear_sum_assignment((region.mean(2) + boundary.mean(2)) / 2, maximize=True)
        return Score(self.video, [(truth, masks[column]) for truth, column in zip(truths, chosen, strict=True)])(data)


@dataclass(frozen=True)
class Keep:
    """The job of writing one annotator's labels of one video; it scores nothing.

    Attributes:
        video: which.
        masks: of objects, which do not overlap.
        object_ids: theirs.
        folder: to make.
    """

    video: Video
    masks: Sequence[VideoMasks]
    object_ids: Sequence[int]
    folder: Path

    def __call__(self, data: VideoData) -> list[ExpressionScore]:
        self.folder.mkdir(parents=True)
        size = data.size(self.video)
        for chunk in in_chunks(len(self.video.frames)):
            labels = np.zeros((len(chunk), *size), np.uint8)
            for value, masks in zip(self.object_ids, self.masks, strict=True):
                labels[masks(chunk)] = value
            for index, label in zip(chunk, labels, strict=True):
                save_labels(self.folder / f"{self.video.frames[index]}.png", label)
        return []
