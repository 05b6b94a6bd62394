"""What each threshold of a model's scores costs and gains, on data in the layout of Ref-YouTube-VOS.

    python tools/calibrate_min_score.py runs/sgmg_lite/model toy/shapes toy/cutouts

A frame that scores below the threshold gets an empty mask. For each threshold: region similarity J over the
expressions whose object is there; and of those whose object is in no frame, the share of empty frames, and of videos
that are empty from end to end.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sgmg import Segmenter
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.evaluation import region_similarity

THRESHOLDS = np.arange(0.0, 0.95, 0.05)


@dataclass
class Found:
    """One expression's scores (T,), J of its masks (T,) and of empty masks (T,), and whether its object is there."""

    scores: np.ndarray
    kept: np.ndarray
    emptied: np.ndarray
    there: bool


def find(segmenter: Segmenter, data: RefYouTubeVOS) -> list[Found]:
    """Ask for every expression of a split, with no threshold."""
    found = []
    for video in track(data.videos, str(data.root), console=Console(stderr=True)):
        frames = data.frames(video).permute(0, 2, 3, 1).numpy()
        result = segmenter(frames, [expression.text for expression in video.expressions], min_score=0.0)
        for expression, masks, scores in zip(video.expressions, result.masks, result.frame_scores, strict=True):
            truth = data.masks(video, expression).numpy()
            empty = region_similarity(np.zeros_like(truth), truth)
            found.append(Found(scores, region_similarity(masks, truth), empty, bool(truth.any())))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--split", default="valid")
    arguments = parser.parse_args()
    segmenter = Segmenter.from_pretrained(arguments.model)
    found = [one for root in arguments.data for one in find(segmenter, RefYouTubeVOS(root, arguments.split))]
    there, absent = [one for one in found if one.there], [one for one in found if not one.there]
    table = Table(
        title=f"{arguments.model}: {len(there)} expressions of things there, {len(absent)} of things not there"
    )
    for column in ("min score", "J, there", "frames empty, not there", "videos empty, not there"):
        table.add_column(column, justify="right")
    for threshold in THRESHOLDS:
        region = [np.where(one.scores >= threshold, one.kept, one.emptied).mean() for one in there]
        frames = [(one.scores < threshold).mean() for one in absent]
        videos = [(one.scores < threshold).all() for one in absent]
        means = [f"{100 * np.mean(values):.1f}" if values else "" for values in (region, frames, videos)]
        table.add_row(f"{threshold:.2f}", *means)
    Console().print(table)


if __name__ == "__main__":
    main()
