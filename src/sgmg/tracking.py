"""Which query is the object, from clip to clip.

The network looks at one clip at a time, and the numbers of its queries mean nothing from one clip to the next: the
third query may be the left dog now and the right dog later. Clips that share frames tell: masks that cover the same
pixels in the shared frames are of the same object. `IdentityTracker` is that reasoning with its state in plain sight;
it knows nothing of the network and can be stepped with masks and scores from anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from pycocotools import mask as coco

PERSISTENCE = 0.9
"""Share of the weight of earlier clips that still counts in the next; see `IdentityTracker`."""

LOYALTY = 0.15
"""By how much another object must be better before the one that is followed is left; see `IdentityTracker`."""


@dataclass(frozen=True)
class Hypotheses:
    """What a tracker takes from one clip to the next: everything that may be the object.

    Attributes:
        evidence: (N,) float64 in [0, 1], what speaks for each query so far: a mean over clips.
        weight: (N,) float64, over how many clips.
        masks: (N, O, h, w) bool, their masks in the O last frames of the clip.
        chosen: the query that is the object.
    """

    evidence: np.ndarray
    weight: np.ndarray
    masks: np.ndarray
    chosen: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes exactly these hypotheses again."""
        return {
            "chosen": self.chosen,
            "evidence": self.evidence.tolist(),
            "weight": self.weight.tolist(),
            **_masks_as_json(self.masks),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Hypotheses:
        """The reverse of `as_json`."""
        evidence, weight = (np.array(values[key], np.float64) for key in ("evidence", "weight"))
        return cls(evidence, weight, _masks_from_json(values), values["chosen"])


@dataclass(frozen=True)
class Observation:
    """What a tracker is told of a clip: the arguments of `IdentityTracker.step`, for when it is to be stepped later.

    Attributes:
        scores: (N,) float32, mean over the clip's frames.
        shared: (N, O, h, w) bool, masks in the frames that the clip before held too.
        last: (N, P, h, w) bool, masks in the frames that the next clip will hold too.
    """

    scores: np.ndarray
    shared: np.ndarray
    last: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes exactly this observation again."""
        return {
            "scores": self.scores.tolist(),
            "shared": _masks_as_json(self.shared),
            "last": _masks_as_json(self.last),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Observation:
        """The reverse of `as_json`."""
        shared, last = (_masks_from_json(values[key]) for key in ("shared", "last"))
        return cls(np.array(values["scores"], np.float32), shared, last)


def _masks_as_json(masks: np.ndarray) -> dict[str, Any]:
    """Masks (N, O, h, w) as plain values."""
    pictures = masks.reshape(-1, *masks.shape[2:]).transpose(1, 2, 0)
    rles = coco.encode(np.asfortranarray(pictures, dtype=np.uint8)) if pictures.size else []
    return {"shape": list(masks.shape), "masks": [rle["counts"].decode("ascii") for rle in rles]}


def _masks_from_json(values: dict[str, Any]) -> np.ndarray:
    """The reverse."""
    shape = values["shape"]
    rles = [{"size": shape[2:], "counts": counts.encode("ascii")} for counts in values["masks"]]
    if not rles:
        return np.zeros(shape, bool)
    masks: np.ndarray = coco.decode(cast(Any, rles)).transpose(2, 0, 1).reshape(shape).astype(bool)
    return masks


class IdentityTracker:
    """Chooses one of N queries in each clip so that one object keeps its identity.

    In the first clip the query with the best mean score is the object. Later, each query n takes over the history of
    that query m of the clip before with which it agrees best on the shared frames (by the IoU of their masks over all
    of them), as far as it does agree:

        history(n)  = persistence * IoU(m, n) * weight before(m)
        evidence(n) = (score(n) + history(n) * evidence before(m)) / (1 + history(n))
        weight(n)   = 1 + history(n)

    and the object is the query with the highest evidence(n) + loyalty * IoU(the object before, n). So a look-alike that
    scores better for a while does not take over; an object that was mistaken at first is left for the right one
    once enough clips have spoken for that one; and after an object was away altogether the scores decide, as in
    a first clip. `benchmarks/identity.py` measures it against other ways to choose.

    Args:
        persistence: share of earlier weight that still counts, 0 (none) to 1 (all, for ever).
        loyalty: by how much another object must be better before the one that is followed is left. With both at
            0, each clip is chosen for by itself.

    Attributes:
        state: the hypotheses of the last clip; None before the first. Set it to go on from there.
    """

    def __init__(self, persistence: float = PERSISTENCE, loyalty: float = LOYALTY) -> None:
        self.persistence, self.loyalty = persistence, loyalty
        self.state: Hypotheses | None = None

    def step(self, scores: np.ndarray, shared: np.ndarray, last: np.ndarray) -> int:
        """The query that is the object in the next clip.

        Args:
            scores: (N,) mean over the clip's frames, in [0, 1].
            shared: (N, O, h, w) bool, the queries' masks in the frames that the clip before held too; O may be 0.
            last: (N, P, h, w) bool, their masks in the frames that the next clip will hold too.
        """
        evidence, weight, bonus = scores.astype(np.float64), np.ones(len(scores)), 0.0
        before = self.state
        if before is not None and shared.shape[1]:
            agreement = _agreement(before.masks[:, -shared.shape[1] :], shared)
            partner = agreement.argmax(0)
            history = self.persistence * agreement.max(0) * before.weight[partner]
            evidence = (evidence + history * before.evidence[partner]) / (1 + history)
            weight = 1 + history
            bonus = self.loyalty * agreement[before.chosen]
        self.state = Hypotheses(evidence, weight, last, int((evidence + bonus).argmax()))
        return self.state.chosen


def _agreement(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(M, N) IoU of masks (M, O, h, w) with masks (N, O, h, w), over all frames; 0 where both are empty."""
    one, two = (masks.reshape(len(masks), -1).astype(np.float32) for masks in (before, now))
    both = (one @ two.T).astype(np.float64)
    either = one.sum(1, dtype=np.float64)[:, None] + two.sum(1, dtype=np.float64) - both
    agreement: np.ndarray = both / np.maximum(either, 1)
    return agreement
