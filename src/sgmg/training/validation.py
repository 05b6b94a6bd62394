"""What a validation measures: what the benchmark of its clips reports, with the code of `sgmg evaluate`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sgmg.evaluation.instances import Answer, InstanceEvaluation
from sgmg.evaluation.region_and_boundary import boundary_accuracy, region_similarity
from sgmg.evaluation.scores import Evaluation, ExpressionScore
from sgmg.segmentation import encode_masks


@dataclass(frozen=True)
class Found:
    """What the network found for one expression in the K annotated frames of a clip.

    Attributes:
        name: the sample's id.
        kind: of the expression, "" where the data has none.
        truth: (K, H, W) bool.
        masks: (Q, K, H, W) bool, of all queries, or of the best one alone.
        scores: (Q, K) in [0, 1].
    """

    name: str
    kind: str
    truth: NDArray[np.bool_]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]


Row = TypeVar("Row")


class Measure(ABC, Generic[Row]):
    """Scores expressions one by one, wherever they are validated, and all of them together.

    Attributes:
        best_by: name of the score that the best model is chosen by, the higher the better.
        every_query: whether the masks of all queries are looked at, or those of the best one alone.
    """

    best_by: str
    every_query: bool

    @abstractmethod
    def row(self, found: Found) -> Row:
        """What has to be kept of an expression; small enough to be sent to other processes."""

    @abstractmethod
    def summary(self, rows: Sequence[Row]) -> dict[str, float]:
        """Scores over all expressions by name, each only if there is an expression for it."""


class RegionAndBoundary(Measure[tuple[ExpressionScore, float]]):
    """J and F, as of Ref-YouTube-VOS, Ref-DAVIS17, MeViS and generated data.

    A summary has `val/J`, `val/F`, `val/J&F` and `val/J&F/KIND` in percent, over the expressions whose object is in the
    clip, and the best query's mean score where it is and where it is not, `val/score_present`, `val/score_absent`.
    """

    best_by = "val/J&F"
    every_query = False

    def row(self, found: Found) -> tuple[ExpressionScore, float]:
        """J and F of the best query's masks, and its score, a mean over frames."""
        masks, scores = found.masks[0], found.scores[0]
        score = ExpressionScore(
            video="",
            expression_id=found.name,
            kind=found.kind,
            present=bool(found.truth.any()),
            region=float(region_similarity(masks, found.truth).mean()),
            boundary=float(boundary_accuracy(masks, found.truth).mean()),
            empty=float((~masks.any((1, 2))).mean()),
        )
        return score, float(scores.mean())

    def summary(self, rows: Sequence[tuple[ExpressionScore, float]]) -> dict[str, float]:
        """As above."""
        evaluation = Evaluation([score for score, _ in rows])
        overall = evaluation.overall
        values = {"val/J": overall.region, "val/F": overall.boundary, "val/J&F": overall.both}
        values |= {f"val/J&F/{kind}": mean.both for kind, mean in evaluation.kinds.items()}
        for name, present in (("val/score_present", True), ("val/score_absent", False)):
            scores = [score for expression, score in rows if expression.present == present]
            values[name] = sum(scores) / len(scores) if scores else None
        return {name: value for name, value in values.items() if value is not None}


class SingleFrames(Measure[Answer]):
    """Precision, overall and mean IoU, as of RefCOCO; if ranked, mAP of all queries' masks, as of A2D and JHMDB.

    A summary has them in percent by the names that `sgmg evaluate` gives them, such as `val/overall IoU`.

    Args:
        rank: whether masks are ranked.
    """

    every_query = True

    def __init__(self, rank: bool) -> None:
        self.rank = rank
        self.best_by = "val/mAP" if rank else "val/overall IoU"

    def row(self, found: Found) -> Answer:
        """All masks of the one annotated frame, encoded."""
        (truth,) = encode_masks(found.truth)
        # Which video it is of, no mean asks for.
        return Answer(found.name, "", truth, encode_masks(found.masks[:, 0]), found.scores[:, 0].tolist())

    def summary(self, rows: Sequence[Answer]) -> dict[str, float]:
        """As above."""
        means = InstanceEvaluation.of(rows, self.rank).means
        return {f"val/{name}": value for name, value in means.items() if value is not None}
