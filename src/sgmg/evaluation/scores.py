"""What an evaluation found: a score for each expression, and their means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ExpressionScore:
    """How well the masks of one expression fit.

    Attributes:
        video, expression_id, kind: which expression; ``kind`` is "" where the data has no kinds.
        present: the object is in at least one frame of the video.
        region: J, mean over frames, in [0, 1].
        boundary: F, mean over frames, in [0, 1].
        empty: fraction of frames whose predicted mask is empty.
    """

    video: str
    expression_id: str
    kind: str
    present: bool
    region: float
    boundary: float
    empty: float


@dataclass(frozen=True)
class MeanScore:
    """Means over expressions, in percent; None over no expressions."""

    expressions: int
    region: float | None
    boundary: float | None

    @property
    def both(self) -> float | None:
        """J&F, the mean of the two."""
        return None if self.region is None or self.boundary is None else (self.region + self.boundary) / 2

    @classmethod
    def of(cls, scores: Iterable[ExpressionScore]) -> MeanScore:
        """Average scores, each expression counting the same."""
        chosen = list(scores)
        if not chosen:
            return cls(0, None, None)
        return cls(
            len(chosen),
            100 * sum(score.region for score in chosen) / len(chosen),
            100 * sum(score.boundary for score in chosen) / len(chosen),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"J": self.region, "F": self.boundary, "J&F": self.both, "expressions": self.expressions}


@dataclass(frozen=True)
class Evaluation:
    """All scores of a run.

    Attributes:
        scores: one for each expression asked.
        own: with shuffled expressions, the scores of the same objects asked for with their own expressions;
            None otherwise.
        skipped: with shuffled expressions, how many had no expression of another object to be asked with.
        videos: how many videos were looked at.
    """

    scores: list[ExpressionScore]
    own: list[ExpressionScore] | None = None
    skipped: int = 0
    videos: int = 0

    @property
    def overall(self) -> MeanScore:
        """Over the expressions whose object is there; what is not there is in `absent`."""
        return MeanScore.of(score for score in self.scores if score.present)

    @property
    def kinds(self) -> dict[str, MeanScore]:
        """Over the expressions of each kind whose object is there; nothing where the data has no kinds."""
        present = [score for score in self.scores if score.present]
        names = sorted({score.kind for score in present if score.kind})
        return {name: MeanScore.of(score for score in present if score.kind == name) for name in names}

    @property
    def absent(self) -> AbsentScore:
        """Over the expressions whose object is in no frame."""
        return AbsentScore.of(score for score in self.scores if not score.present)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; scores in percent."""
        result = self.overall.to_dict()
        result["videos"] = self.videos
        result["kinds"] = {name: score.to_dict() for name, score in self.kinds.items()}
        result["absent"] = asdict(self.absent)
        result["shuffled"] = self.own is not None
        if self.own is not None:
            result["own"] = MeanScore.of(self.own).to_dict()
            result["skipped"] = self.skipped
        return result

    def rows(self) -> list[dict[str, Any]]:
        """One row an expression, for CSV; scores in percent."""
        return [
            {
                "video": score.video,
                "expression": score.expression_id,
                "kind": score.kind,
                "present": score.present,
                "J": 100 * score.region,
                "F": 100 * score.boundary,
                "J&F": 50 * (score.region + score.boundary),
                "empty frames": 100 * score.empty,
            }
            for score in self.scores
        ]


@dataclass(frozen=True)
class AbsentScore:
    """How well expressions of what is not there are refused, in percent; None over no expressions.

    Attributes:
        expressions: how many there are.
        empty: expressions whose masks are empty in all frames.
        empty_frames: frames whose mask is empty.
    """

    expressions: int
    empty: float | None = field(default=None)
    empty_frames: float | None = field(default=None)

    @classmethod
    def of(cls, scores: Iterable[ExpressionScore]) -> AbsentScore:
        """Average over expressions, each counting the same."""
        chosen = list(scores)
        if not chosen:
            return cls(0)
        return cls(
            len(chosen),
            100 * sum(score.empty == 1 for score in chosen) / len(chosen),
            100 * sum(score.empty for score in chosen) / len(chosen),
        )
