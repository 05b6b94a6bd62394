"""J&F over the expressions of a video benchmark: Ref-YouTube-VOS, MeViS, and data of one's own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgmg.data.video_data import Expression, Video, VideoData
from sgmg.evaluation.region_and_boundary import boundary_accuracy, region_similarity
from sgmg.evaluation.scores import Evaluation, ExpressionScore
from sgmg.evaluation.video_masks import Predictor, VideoMasks, in_chunks, require_annotations, save_masks
from sgmg.evaluation.workers import Workers
from sgmg.output import new_folder

KEPT = "predictions.txt"
"""What marks a folder of kept predictions, and says how they lie in it."""

EXPRESSIONS_A_JOB = 8
"""A video with more is scored by several workers."""


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
    workers: int = 1,
    keep: str | Path | None = None,
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
        workers: score in that many processes while the next video is predicted; 1 scores in a thread. See `Workers`.
        keep: folder to make for the masks, as VIDEO/EXPRESSION_ID/FRAME.png.
        progress: wraps the videos, to show how far it is.

    Raises:
        InputError: the split has no annotations, or an image is missing or broken, or the folder to keep masks in
            exists.
    """
    require_annotations(data)
    videos = data.videos[:limit]
    skipped = 0
    scored: list[Question] = []
    with ExitStack() as stack:
        folder = None if keep is None else stack.enter_context(new_folder(keep, marker=KEPT))
        pool: Workers[list[ExpressionScore]] = stack.enter_context(Workers(data, workers))
        for video in progress(videos):
            questions = [Question(expression, expression) for expression in video.expressions]
            if shuffle_expressions:
                own = [question for question in questions if _is_there(data, video, question.about)]
                others = _shuffle(video, [question.about for question in own])
                skipped += len(own) - len(others)
                questions = [*others, *(Question(other.about, other.about) for other in others)]
            if not questions:
                continue
            asked = list({question.asked.id: question.asked for question in questions}.values())
            masks = dict(zip([expression.id for expression in asked], predict(data, video, asked), strict=True))
            scored += questions
            pairs = [(question.about, masks[question.asked.id]) for question in questions]
            for start in range(0, len(pairs), EXPRESSIONS_A_JOB):
                pool.submit(Score(video, pairs[start : start + EXPRESSIONS_A_JOB]))
            if folder is not None:
                pool.submit(Keep(video, masks, folder))
        done = list(zip(scored, (score for scores in pool.results() for score in scores), strict=True))
        if folder is not None:
            (folder / KEPT).write_text("VIDEO/EXPRESSION_ID/FRAME.png: 255 where the object is, else 0.\n")
    return Evaluation(
        scores=[score for question, score in done if question.shuffled == shuffle_expressions],
        own=[score for question, score in done if not question.shuffled] if shuffle_expressions else None,
        skipped=skipped,
        videos=len(videos),
    )


@dataclass(frozen=True)
class Score:
    """The job of scoring masks of one video, each against the object of an expression.

    Attributes:
        video: which.
        pairs: expressions, and the masks to score against what they mean.
    """

    video: Video
    pairs: Sequence[tuple[Expression, VideoMasks]]

    def __call__(self, data: VideoData) -> list[ExpressionScore]:
        region: list[list[np.ndarray]] = [[] for _ in self.pairs]
        boundary: list[list[np.ndarray]] = [[] for _ in self.pairs]
        empty, present = [0] * len(self.pairs), [False] * len(self.pairs)
        for chunk in in_chunks(len(self.video.frames)):
            # Read once for all expressions of the same objects.
            annotations: dict[tuple[int, ...] | None, np.ndarray] = {}
            for index, (expression, masks) in enumerate(self.pairs):
                if expression.object_ids not in annotations:
                    annotations[expression.object_ids] = data.masks(self.video, expression, chunk).numpy()
                annotation, prediction = annotations[expression.object_ids], masks(chunk)
                region[index].append(region_similarity(prediction, annotation))
                boundary[index].append(boundary_accuracy(prediction, annotation))
                empty[index] += int((~prediction.any(axis=(1, 2))).sum())
                present[index] |= bool(annotation.any())
        return [
            ExpressionScore(
                video=self.video.name,
                expression_id=expression.id,
                kind=expression.kind,
                present=present[index],
                region=float(np.concatenate(region[index]).mean()),
                boundary=float(np.concatenate(boundary[index]).mean()),
                empty=empty[index] / len(self.video.frames),
            )
            for index, (expression, _) in enumerate(self.pairs)
        ]


@dataclass(frozen=True)
class Keep:
    """The job of writing the masks of one video, by id of the expression, below a folder; it scores nothing."""

    video: Video
    masks: dict[str, VideoMasks]
    folder: Path

    def __call__(self, data: VideoData) -> list[ExpressionScore]:
        for name, masks in self.masks.items():
            save_masks(masks, self.folder / self.video.name / name, self.video.frames)
        return []


def _is_there(data: VideoData, video: Video, expression: Expression) -> bool:
    """The expression's object is in at least one frame."""
    return any(bool(data.masks(video, expression, chunk).any()) for chunk in in_chunks(len(video.frames)))


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
