"""One object keeps its identity from clip to clip, by what the masks of the shared frames say."""

import json

import numpy as np
import pytest

from sgmg.tracking import Hypotheses, IdentityTracker

LEFT, RIGHT = slice(0, 4), slice(6, 10)  # columns of two look-alikes


def masks(*columns: slice | None, frames: int = 2) -> np.ndarray:
    """One query for each place, (N, frames, 8, 10); None is empty."""
    found = np.zeros((len(columns), frames, 8, 10), bool)
    for query, place in enumerate(columns):
        if place is not None:
            found[query, :, :, place] = True
    return found


def step(tracker: IdentityTracker, *queries: tuple[slice | None, float]) -> int:
    """Step with (place, score) of each query; nothing moves."""
    found = masks(*(place for place, _ in queries))
    return tracker.step(np.array([score for _, score in queries]), found, found)


def test_first_the_score_decides() -> None:
    assert step(IdentityTracker(), (LEFT, 0.4), (RIGHT, 0.6)) == 1


def test_the_object_is_followed_to_another_query() -> None:
    tracker = IdentityTracker()
    assert step(tracker, (LEFT, 0.7), (RIGHT, 0.6)) == 0
    assert step(tracker, (RIGHT, 0.7), (None, 0.1), (LEFT, 0.6)) == 2, "the look-alike's better score is not enough"


def test_without_persistence_each_clip_stands_alone() -> None:
    tracker = IdentityTracker(persistence=0, loyalty=0)
    assert step(tracker, (LEFT, 0.7), (RIGHT, 0.6)) == 0
    assert step(tracker, (LEFT, 0.6), (RIGHT, 0.7)) == 1


def test_a_first_mistake_is_mended_once_enough_speaks_for_the_other() -> None:
    tracker = IdentityTracker()
    assert step(tracker, (LEFT, 0.7), (RIGHT, 0.6)) == 0
    chosen = [step(tracker, (LEFT, 0.5), (RIGHT, 0.8)) for _ in range(4)]
    assert chosen[0] == 0
    assert chosen[-1] == 1
    assert sorted(chosen) == chosen, "and it does not waver"


def test_after_an_absence_the_score_decides_again() -> None:
    tracker = IdentityTracker()
    assert step(tracker, (LEFT, 0.9), (None, 0.1)) == 0
    step(tracker, (None, 0.2), (None, 0.1))
    assert step(tracker, (LEFT, 0.5), (RIGHT, 0.6)) == 1


def test_history_counts_as_far_as_masks_agree_and_for_as_long_as_it_is() -> None:
    tracker, whole, half = IdentityTracker(0.5, 0), masks(slice(0, 4)), masks(slice(0, 2))
    tracker.step(np.array([0.9]), whole, whole)
    tracker.step(np.array([0.3]), half, whole)  # an IoU of a half
    assert tracker.state is not None
    assert tracker.state.weight == pytest.approx([1.25])
    assert tracker.state.evidence == pytest.approx([(0.3 + 0.25 * 0.9) / 1.25])
    tracker.step(np.array([0.3]), whole, whole)
    assert tracker.state.weight == pytest.approx([1 + 0.5 * 1.25])


def test_clips_that_share_nothing_are_chosen_by_score() -> None:
    tracker = IdentityTracker()
    nothing = masks(LEFT, RIGHT, frames=0)
    assert tracker.step(np.array([0.7, 0.6]), nothing, nothing) == 0
    assert tracker.step(np.array([0.6, 0.7]), nothing, nothing) == 1


def test_fewer_frames_may_be_shared_than_were_kept() -> None:
    """Of the frames kept, the last ones are the shared ones."""
    tracker = IdentityTracker()
    kept = np.concatenate([masks(RIGHT, LEFT, frames=2), masks(LEFT, RIGHT, frames=1)], axis=1)
    tracker.step(np.array([0.7, 0.6]), masks(LEFT, RIGHT, frames=0), kept)
    assert tracker.step(np.array([0.6, 0.7]), masks(LEFT, RIGHT, frames=1), kept) == 0


def test_the_state_survives_json() -> None:
    tracker, other = IdentityTracker(), IdentityTracker()
    step(tracker, (LEFT, 0.1 + 0.2), (RIGHT, 1 / 3), (None, 0.0))
    assert tracker.state is not None
    other.state = Hypotheses.from_json(json.loads(json.dumps(tracker.state.as_json())))
    assert (other.state.masks == tracker.state.masks).all()
    assert (other.state.evidence == tracker.state.evidence).all()
    assert (other.state.weight == tracker.state.weight).all()
    assert other.state.chosen == tracker.state.chosen
    later = [(RIGHT, 0.5), (LEFT, 0.4)]
    assert step(tracker, *later) == step(other, *later)
