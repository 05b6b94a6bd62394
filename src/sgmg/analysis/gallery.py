"""Rows of frames with masks, expressions under each row (the paper's Figure C); and error cases, worst first."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.analysis.figures import INK, figure, save, save_numbers, shortened
from sgmg.data.video_data import Expression, Video, VideoData
from sgmg.errors import InputError
from sgmg.evaluation.video_masks import Predictor, VideoMasks
from sgmg.overlay import Painter, colour_of

WIDTH = 2.1
"""Inches of a frame."""

PARTS = ("right", "missed", "wrong")
"""What an error case shows of a mask: in both, in the annotation alone, in the prediction alone."""


@dataclass(frozen=True)
class Row:
    """A row of a gallery.

    Attributes:
        video: whose frames are shown.
        expressions: sentences under the row; expression i has `colour_of(i)`.
        masks: of each.
        note: said above the row.
    """

    video: Video
    expressions: Sequence[Expression]
    masks: Sequence[VideoMasks]
    note: str = ""


@dataclass(frozen=True)
class Case:
    """An expression by its score, in percent."""

    video: str
    expression: str
    score: float


def choose(data: VideoData, predict: Predictor, names: Sequence[str], rows: int, expressions: int) -> list[Row]:
    """Rows of some videos, or of the first ones.

    Args:
        data: the split.
        predict: gives the masks.
        names: of videos; where empty, the first `rows`.
        rows: how many, where there are no names.
        expressions: at most so many for each video, one for each object where the data says which is meant.

    Raises:
        InputError: there is no such video, or nothing is asked of it.
    """
    known = {video.name: video for video in data.videos}
    for name in names:
        if name not in known:
            raise InputError(f"{data.list_file} names no video '{name}': give one of its videos.")
        if not known[name].expressions:
            raise InputError(f"{data.list_file} has no expression for '{name}': give another of its videos.")
    found = []
    for video in [known[name] for name in names] or [video for video in data.videos if video.expressions][:rows]:
        different: dict[object, Expression] = {}
        for expression in video.expressions:
            different.setdefault(expression.object_ids or expression.id, expression)
        chosen = list(different.values())[:expressions]
        found.append(Row(video, chosen, predict(data, video, chosen)))
    return found


def read_cases(path: Path) -> list[Case]:
    """The scores that ``sgmg evaluate … --csv-expressions`` wrote.

    Raises:
        InputError: the file is missing, or no such table.
    """
    if not path.is_file():
        raise InputError(f"There is no table {path}: make one with sgmg evaluate … --csv-expressions.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return cases_of(list(csv.DictReader(file)))
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"{path} is no table of expressions (video, expression, J&F): make one with sgmg evaluate … "
            "--csv-expressions."
        ) from error


def cases_of(rows: Sequence[dict[str, Any]]) -> list[Case]:
    """Rows of an `Evaluation` as cases."""
    return [Case(row["video"], row["expression"], float(row["J&F"])) for row in rows]


def worst(data: VideoData, predict: Predictor, cases: Sequence[Case], count: int) -> list[Row]:
    """The expressions with the lowest J&F, lowest first.

    Expressions of things that are not there take part: their J&F is the share of frames that are left empty.

    Raises:
        InputError: a case is none of the split's expressions.
    """
    known = {
        (video.name, expression.id): (video, expression) for video in data.videos for expression in video.expressions
    }
    rows = []
    for case in sorted(cases, key=lambda case: (case.score, case.video, case.expression))[:count]:
        if (case.video, case.expression) not in known:
            raise InputError(
                f"{data.list_file} has no expression '{case.expression}' of a video '{case.video}': scores and split "
                "must belong together."
            )
        video, expression = known[case.video, case.expression]
        kind = f", {expression.kind}" if expression.kind else ""
        rows.append(
            Row(
                video, [expression], predict(data, video, [expression]), f"J&F {case.score:.1f} %  ({video.name}{kind})"
            )
        )
    return rows


def draw(data: VideoData, rows: Sequence[Row], folder: Path, columns: int = 5, errors: bool = False) -> None:
    """Write `gallery.png` and `.svg` (with errors: `errors.png` and `.svg`) and a list of what they show.

    Args:
        data: the split.
        rows: what to show.
        folder: where the files go.
        columns: frames of a row, spread over the video.
        errors: compare with the annotation, in three colours, rows of one expression each.

    Raises:
        InputError: there is nothing to show, or an image or annotation is missing or broken.
    """
    if not rows:
        raise InputError(f"{data.list_file} has nothing to show.")
    pictures = [_pictures(data, row, columns, errors) for row in rows]
    heights = [WIDTH * frames[0].shape[0] / frames[0].shape[1] for frames, _ in pictures]
    texts = [0.22 + 0.19 * len(row.expressions) + (0.2 if row.note else 0) for row in rows]
    with figure(columns * WIDTH, sum(heights) + sum(texts) + (0.35 if errors else 0.0)) as fig:
        fig.set_layout_engine("none")
        total = fig.get_figheight()
        top = total - (0.35 if errors else 0.0)
        if errors:
            for place, (part, colour) in enumerate(zip(PARTS, map(colour_of, range(3)), strict=True)):
                meaning = f"{part} ({('in both', 'annotation only', 'prediction only')[place]})"
                fig.text(0.01 + place * 0.22, (total - 0.15) / total, "■", color=colour, fontsize=12, va="center")
                fig.text(0.03 + place * 0.22, (total - 0.15) / total, meaning, color=INK, fontsize=9, va="center")
        for row, (frames, indices), height, text in zip(rows, pictures, heights, texts, strict=True):
            if row.note:
                fig.text(0.005, (top - 0.1) / total, row.note, fontsize=9, fontweight="bold", color=INK, va="center")
                top -= 0.2
            for column, (picture, index) in enumerate(zip(frames, indices, strict=True)):
                axes = fig.add_axes((column / columns, (top - height) / total, 1 / columns - 0.004, height / total))
                axes.imshow(picture, aspect="auto", interpolation="antialiased")
                axes.set_axis_off()
                axes.text(
                    0.985,
                    0.03,
                    f"frame {index}",
                    transform=axes.transAxes,
                    fontsize=6,
                    color="white",
                    ha="right",
                    bbox={"facecolor": "black", "alpha": 0.5, "pad": 1, "edgecolor": "none"},
                )
            line = top - height - 0.12
            for place, expression in enumerate(row.expressions):
                if not errors:
                    fig.text(0.005, line / total, "■", color=colour_of(place), fontsize=12, va="center")
                fig.text(
                    0.005 if errors else 0.025,
                    line / total,
                    f'"{shortened(expression.text, 18 * columns)}"',
                    fontsize=9,
                    style="italic",
                    color=INK,
                    va="center",
                )
                line -= 0.19
            top -= height + text - (0.2 if row.note else 0)
        save(fig, folder, "errors" if errors else "gallery")
    shown = [
        {
            "video": row.video.name,
            "note": row.note,
            "frames": indices,
            "expressions": {e.id: e.text for e in row.expressions},
        }
        for row, (_, indices) in zip(rows, pictures, strict=True)
    ]
    save_numbers({"rows": shown}, folder)


def _pictures(data: VideoData, row: Row, columns: int, errors: bool) -> tuple[list[np.ndarray], list[int]]:
    """Painted frames (h, w, 3) and their indices."""
    count = len(row.video.frames)
    indices = sorted({round(x) for x in np.linspace(0, count - 1, min(count, columns)).tolist()})
    frames = data.frames(row.video, indices).permute(0, 2, 3, 1).numpy()
    masks = np.stack([found(indices) for found in row.masks])  # (E, n, h, w)
    if errors:
        truth = data.masks(row.video, row.expressions[0], indices).numpy()
        # Grey and darker, so that the three colours are not those of the picture.
        frames = np.repeat((0.6 * frames.mean(-1, keepdims=True)).astype(np.uint8), 3, axis=-1)
        masks = np.stack([masks[0] & truth, truth & ~masks[0], masks[0] & ~truth])
    painter = Painter([""] * len(masks), frames.shape[1:3])
    return [painter.paint(frame, masks[:, i]) for i, frame in enumerate(frames)], indices
