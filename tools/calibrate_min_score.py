"""What each threshold of a model's scores costs and gains, on data in the layout of Ref-YouTube-VOS.

    python tools/calibrate_min_score.py runs/sgmg_lite/model valid/shapes valid/cutouts --markdown

Masks are empty in a clip whose best frame scores below the threshold, and in frames that score less than half of it.
For each threshold: region similarity J over the expressions whose object is there; and of those whose object is in no
frame, the share of empty frames, and of videos that are empty from end to end. The row in bold refuses most of those
that keep 95 % of J (--keep); with `tools/embed_lite.py --min-score` it becomes the model's own.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sgmg import Segmenter
from sgmg.clips import frames_shown
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


@dataclass(frozen=True)
class Cost:
    """What a threshold costs and gains, in percent.

    Attributes:
        threshold: the score that an object needs in some frame of a clip.
        region: J over the expressions whose object is there.
        frames: of the expressions whose object is in no frame, frames that are empty.
        videos: of the same, videos that are empty from end to end.
    """

    threshold: float
    region: float
    frames: float
    videos: float


def cost(found: list[Found], threshold: float) -> Cost:
    """What one threshold does; 0 where there are no expressions of a sort."""
    shown = [frames_shown(one.scores, threshold) for one in found]
    region = [np.where(s, one.kept, one.emptied).mean() for s, one in zip(shown, found, strict=True) if one.there]
    absent = [~s for s, one in zip(shown, found, strict=True) if not one.there]
    means = (region, [empty.mean() for empty in absent], [empty.all() for empty in absent])
    return Cost(threshold, *(100 * float(np.mean(values)) if values else 0.0 for values in means))


HEADINGS = ("min score", "J, there", "frames empty, not there", "videos empty, not there")


def as_table(costs: list[Cost], best: Cost, title: str) -> Table:
    """For a terminal, the best row in bold."""
    table = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in costs:
        table.add_row(*cells(row), style="bold" if row is best else None)
    return table


def as_markdown(costs: list[Cost], best: Cost, title: str) -> str:
    """For a model card, the best row in bold."""
    lines = [title, "", f"| {' | '.join(HEADINGS)} |", "|" + "---:|" * len(HEADINGS)]
    for row in costs:
        shown = [f"**{cell}**" if row is best else cell for cell in cells(row)]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def cells(row: Cost) -> list[str]:
    """A row's numbers as text."""
    return [f"{row.threshold:.2f}", f"{row.region:.1f}", f"{row.frames:.1f}", f"{row.videos:.1f}"]


def main() -> None:
    """Print the table, and which threshold to take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder, or sgmg-lite for the default")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--markdown", action="store_true", help="print the table as it stands in model cards")
    parser.add_argument(
        "--keep", type=float, default=0.95, help="share of the best J that a threshold may not go below"
    )
    arguments = parser.parse_args()
    segmenter = Segmenter.from_pretrained(arguments.model)
    found = [one for root in arguments.data for one in find(segmenter, RefYouTubeVOS(root, arguments.split))]
    costs = [cost(found, threshold) for threshold in THRESHOLDS]
    most = max(row.region for row in costs)
    best = max((row for row in costs if row.region >= arguments.keep * most), key=lambda row: row.threshold)
    there = sum(one.there for one in found)
    title = f"{arguments.model}: {there} expressions of things there, {len(found) - there} of things not there"
    if arguments.markdown:
        print(as_markdown(costs, best, title))
    else:
        Console().print(as_table(costs, best, title))
    print(f"\nThe highest that keeps {arguments.keep:.0%} of J: --min-score {best.threshold:.2f}")


if __name__ == "__main__":
    main()
