"""Identity over clips: independent clips against tracking, on long generated videos of look-alikes that cross.

The network is stood in for, so that what is measured is the choice of the query alone: in each clip, five queries in an
order that is new every time show the three look-alikes (their visible masks, a pixel off) and two scraps of background.
The object's mean score is 0.6 and its look-alikes' 0.6 less a margin, and each clip's scores are off by a normal error:
a network that mostly, but not always, knows which one is meant. Reported for each choice of the query: J&F, the share
of clips in which the object is the right one, and how often per 100 clips the object becomes another.

    python benchmarks/identity.py                # about a minute on one core
    python benchmarks/identity.py --margin 0.05 --error 0.15
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass

import numpy as np

from sgmg.evaluation import boundary_accuracy, region_similarity
from sgmg.tracking import LOYALTY, PERSISTENCE, IdentityTracker

SIZE = (72, 128)
THINGS, SCRAPS = 3, 2


@dataclass(frozen=True)
class Choice:
    """One way to choose the query of a clip."""

    overlap: int
    persistence: float
    loyalty: float


CHOICES = {
    "independent clips": Choice(0, 0, 0),
    "agreement with the last clip alone": Choice(6, 0, 100),
    "mean score over clips, no loyalty": Choice(6, PERSISTENCE, 0),
    "score and loyalty, no mean over clips": Choice(6, 0, LOYALTY),
    "as shipped, but an overlap of 1": Choice(1, PERSISTENCE, LOYALTY),
    "as shipped (an overlap of 6)": Choice(6, PERSISTENCE, LOYALTY),
}


def look_alikes(random: np.random.Generator, length: int) -> np.ndarray:
    """(3, T, H, W) bool: the visible parts of equal discs on paths that cross; the first is in front."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    hidden = np.zeros((length, *SIZE), bool)
    masks = []
    for _ in range(THINGS):
        rates, phases = random.uniform(0.004, 0.012, 2), random.uniform(0, 1, 2)
        t = np.arange(length)[:, None, None]
        across = SIZE[1] * (0.5 + 0.38 * np.sin(math.tau * (rates[0] * t + phases[0])))
        down = SIZE[0] * (0.5 + 0.3 * np.sin(math.tau * (rates[1] * t + phases[1])))
        disc = np.hypot(y - down, x - across) < 11
        masks.append(disc & ~hidden)
        hidden |= disc
    return np.stack(masks)


def queries(
    random: np.random.Generator, things: np.ndarray, target: int, margin: float, error: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a network might say of a clip: scores (N,), masks (N, T, H, W), which thing each query shows (-1: none)."""
    rough = np.roll(things, random.integers(-1, 2, 2), (2, 3))
    scraps = np.zeros((SCRAPS, *things.shape[1:]), bool)
    for scrap in scraps:
        top, left = random.integers(0, SIZE[0] - 20), random.integers(0, SIZE[1] - 20)
        scrap[:, top : top + 20, left : left + 20] = True
    means = np.where(np.arange(THINGS) == target, 0.6, 0.6 - margin)
    scores = np.concatenate([means + random.normal(0, error, THINGS), random.uniform(0, 0.3, SCRAPS)]).clip(0, 1)
    order = random.permutation(THINGS + SCRAPS)
    shown = np.concatenate([np.arange(THINGS), np.full(SCRAPS, -1)])
    return scores[order], np.concatenate([rough, scraps])[order], shown[order]


def follow(choice: Choice, things: np.ndarray, length: int, margin: float, error: float, seed: int) -> dict[str, float]:
    """Choose through a video clip by clip, and score what comes out."""
    random = np.random.default_rng([2, seed])
    target = int(random.integers(THINGS))
    tracker = IdentityTracker(choice.persistence, choice.loyalty)
    found = np.zeros(things.shape[1:], bool)
    chosen: list[int] = []
    start = 0
    while start < things.shape[1]:
        first = max(start - choice.overlap, 0)
        clip = things[:, first : first + length]
        scores, masks, shown = queries(random, clip, target, margin, error)
        known = start - first
        query = tracker.step(scores, masks[:, :known], masks[:, -choice.overlap :] if choice.overlap else masks[:, :0])
        found[start : first + length] = masks[query, known:]
        chosen.append(int(shown[query]))
        start = first + length
    truth = things[target]
    return {
        "J&F": 50 * float(region_similarity(found, truth).mean() + boundary_accuracy(found, truth).mean()),
        "right": 100 * float(np.mean(np.array(chosen) == target)),
        "switches": 100 * float(np.mean(np.diff(chosen) != 0)),
    }


def main() -> None:
    """Every choice on the same videos; a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--frames", type=int, default=720)
    parser.add_argument("--clip-length", type=int, default=36)
    parser.add_argument("--margin", type=float, default=0.1, help="how much less look-alikes score on average")
    parser.add_argument("--error", type=float, default=0.1, help="standard deviation of a clip's scores")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    videos = [look_alikes(np.random.default_rng([1, seed]), arguments.frames) for seed in range(arguments.videos)]
    table: dict[str, dict[str, float]] = {}
    for name, choice in CHOICES.items():
        results = [
            follow(choice, things, arguments.clip_length, arguments.margin, arguments.error, seed)
            for seed, things in enumerate(videos)
        ]
        table[name] = {key: round(float(np.mean([result[key] for result in results])), 1) for key in results[0]}
    if arguments.json:
        print(json.dumps(table, indent=2))
        return
    print("| choice of the query | J&F | clips with the right object, % | switches per 100 clips |\n|---|---|---|---|")
    for name, result in table.items():
        print(f"| {name} | {result['J&F']} | {result['right']} | {result['switches']} |")


if __name__ == "__main__":
    main()
