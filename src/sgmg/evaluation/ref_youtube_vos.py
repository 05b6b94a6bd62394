"""J&F over the expressions of data in the layout of Ref-YouTube-VOS."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sgmg.data.images import read_labels
from sgmg.data.video_data import Expression, Video, VideoData
from sgmg.errors import InputError
from sgmg.evaluation.region_and_boundary import boundary_accuracy, region_similarity
from sgmg.evaluation.scores import Evaluation, ExpressionScore

if TYPE_CHECKING:
    from sgmg.segmenter import Segmenter

BoolArray = NDArray[np.bool_]

VIDEOS_IN_FLIGHT = 2
"""Videos whose masks may wait to be scored: bounds the memory where scoring is slower than predicting."""


class Predictor(Protocol):
    """Where masks come from: a model, or a folder."""

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> BoolArray:
        """Masks of a whole video for some of its expressions, (E, T, H, W)."""


class ModelPredictor:
    """Masks of a `Segmenter`, which is asked once per video for all its expressions.

    Args:
        segmenter: the model.
        clip_length: frames that the network sees together; "all" for whole videos.
        min_score: score below which a frame's mask is left empty; by default the model's own.
    """

    def __init__(
        self, segmenter: Segmenter, clip_length: int | Literal["all"] = 36, min_score: float | None = None
    ) -> None:
        self.segmenter = segmenter
        self.clip_length = clip_length
        self.min_score = min_score

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> BoolArray:
        texts = list(dict.fromkeys(expression.text for expression in expressions))
        frames = data.frames(video).permute(0, 2, 3, 1).numpy()
        found = self.segmenter(frames, texts, clip_length=self.clip_length, min_score=self.min_score).masks
        return found[[texts.index(expression.text) for expression in expressions]]


class KeptPredictor:
    """Masks that were kept as ``FOLDER/VIDEO/EXPRESSION_ID/FRAME.png``, 0 where the object is not.

    A folder that holds ``Annotations``, as an unpacked submission does, is taken too.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if (self.folder / "Annotations").is_dir():
            self.folder = self.folder / "Annotations"
        if not self.folder.is_dir():
            raise InputError(f"{folder} is not a folder: give one with VIDEO/EXPRESSION_ID/FRAME.png.")

    def __call__(self, data: VideoData, video: Video, expressions: Sequence[Expression]) -> BoolArray:
        masks = []
        for expression in expressions:
            folder = self.folder / video.name / expression.id
            masks.append(read_labels([folder / f"{frame}.png" for frame in video.frames]) != 0)
            if masks[-1].shape[1:] != (size := data.size(video)):
                height, width = masks[-1].shape[1:]
                raise InputError(
                    f"The masks in {folder} are {width}x{height}, but their frames are {size[1]}x{size[0]}: "
                    "a mask must have the size of its frame."
                )
        return np.stack(masks)


@dataclass(frozen=True)
class Question:
    """What is asked, and about which object: with shuffled expressions the two differ.

    Attributes:
        about: the expression whose object the masks are scored against.
        asked: the expression that the masks are predicted for.
    """

    about: Expression
    asked: Expression

    @property
    def shuffled(self) -> bool:
        """The object is asked for with an expression of another one."""
        return self.about.id != self.asked.id


def evaluate(
    data: VideoData,
    predict: Predictor,
    *,
    shuffle_expressions: bool = False,
    limit: int | None = None,
    workers: int = 2,
    progress: Callable[[Sequence[Video]], Iterable[Video]] = iter,
) -> Evaluation:
    """Score masks against annotations: J and F are means over frames, then over expressions.

    Args:
        data: an annotated split.
        predict: gives the masks.
        shuffle_expressions: ask for each object with an expression of another object of the same video, and
            score what comes against the first. Only objects that are there take part. A model that ignores
            language scores the same as with the objects' own expressions, which are scored beside.
        limit: only that many videos, the first.
        workers: threads that score while the next video is predicted.
        progress: wraps the videos, to show how far it is.

    Raises:
        InputError: the split has no annotations, or an image is missing or broken.
    """
    videos = data.videos[:limit]
    skipped = 0
    done: list[tuple[Question, ExpressionScore]] = []
    in_flight: deque[list[tuple[Question, Future[ExpressionScore]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for video in progress(videos):
            annotations = _annotations(data, video)
            questions = [Question(expression, expression) for expression in video.expressions]
            if shuffle_expressions:
                own = [question for question in questions if annotations[question.about.object_ids].any()]
                others = _shuffle(video, [question.about for question in own])
                skipped += len(own) - len(others)
                questions = [*others, *(Question(other.about, other.about) for other in others)]
            if not questions:
                continue
            asked = list({question.asked.id: question.asked for question in questions}.values())
            masks = dict(zip([expression.id for expression in asked], predict(data, video, asked), strict=True))
            in_flight.append(
                [
                    (
                        question,
                        pool.submit(
                            _score,
                            video,
                            question.about,
                            masks[question.asked.id],
                            annotations[question.about.object_ids],
                        ),
                    )
                    for question in questions
                ]
            )
            while len(in_flight) > VIDEOS_IN_FLIGHT:
                done += [(question, score.result()) for question, score in in_flight.popleft()]
        done += [(question, score.result()) for scored in in_flight for question, score in scored]
    return Evaluation(
        scores=[score for question, score in done if question.shuffled == shuffle_expressions],
        own=[score for question, score in done if not question.shuffled] if shuffle_expressions else None,
        skipped=skipped,
        videos=len(videos),
    )


def _annotations(data: VideoData, video: Video) -> dict[tuple[int, ...] | None, BoolArray]:
    """Masks of the video by the objects that its expressions mean, read once for all expressions of the same."""
    masks: dict[tuple[int, ...] | None, BoolArray] = {}
    for expression in video.expressions:
        if expression.object_ids not in masks:
            masks[expression.object_ids] = data.masks(video, expression).numpy()
    return masks


def _shuffle(video: Video, expressions: Sequence[Expression]) -> list[Question]:
    """Each object asked for with an expression of another, the same in every run; none where none is."""
    questions = []
    for expression in expressions:
        others = [
            other
            for other in expressions
            if other.object_ids != expression.object_ids and other.text.casefold() != expression.text.casefold()
        ]
        if others:
            choice = random.Random(f"{video.name}/{expression.id}").choice(others)
            questions.append(Question(about=expression, asked=choice))
    return questions


def _score(video: Video, expression: Expression, prediction: BoolArray, annotation: BoolArray) -> ExpressionScore:
    return ExpressionScore(
        video=video.name,
        expression_id=expression.id,
        kind=expression.kind,
        present=bool(annotation.any()),
        region=float(region_similarity(prediction, annotation).mean()),
        boundary=float(boundary_accuracy(prediction, annotation).mean()),
        empty=float((~prediction.any(axis=(1, 2))).mean()),
    )
