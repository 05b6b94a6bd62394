"""Evaluations as tables for people to read, and as CSV for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from sgmg.evaluation.instances import InstanceEvaluation
from sgmg.evaluation.ref_davis import DavisEvaluation
from sgmg.evaluation.scores import Evaluation, MeanScore


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """J, F and J&F in percent: overall, by kind of expression, and how absent things were refused."""
    table = _region_and_boundary(title, "expressions")
    for name, score in evaluation.kinds.items():
        table.add_row(name, *_cells(score))
    if evaluation.kinds:
        table.add_section()
    if evaluation.own is not None:
        table.add_row("of another object", *_cells(evaluation.overall), style="bold")
        table.add_row("of the object itself", *_cells(MeanScore.of(evaluation.own)))
        if evaluation.skipped:
            table.caption = f"skipped, without another object in the video: {evaluation.skipped}"
        return table
    table.add_row("all whose object is there", *_cells(evaluation.overall), style="bold")
    absent = evaluation.absent
    if absent.expressions:
        table.add_section()
        table.add_row(f"not there: {absent.empty:.1f} % left empty", str(absent.expressions), "", "", "")
        table.add_row(f"not there: {absent.empty_frames:.1f} % of frames left empty", "", "", "", "")
    return table


def davis_table(evaluation: DavisEvaluation, title: str) -> Table:
    """J, F and J&F in percent of each annotator, and their mean."""
    table = _region_and_boundary(title, "annotators")
    for index, annotator in enumerate(evaluation.annotators):
        table.add_row(str(index), *_cells(annotator.overall))
    table.add_section()
    table.add_row("mean", *_cells(evaluation.overall), style="bold")
    if evaluation.matched:
        table.caption = "each object with the label that fits best"
    return table


def instance_table(evaluation: InstanceEvaluation, title: str) -> Table:
    """Precision, IoU and, where masks are ranked, mAP, in percent."""
    table = Table(title=title, title_justify="left", caption=f"{len(evaluation.best)} samples")
    for name in evaluation.means:
        table.add_column(name, justify="right")
    table.add_row(*(_cell(value) for value in evaluation.means.values()))
    return table


def write_csv(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the same keys; a file of this name is replaced, once all of it is written."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.unfinished")
    try:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(rows)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def by_video(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of expressions or samples to one a video, with the mean of each score.

    As in the overall means, expressions of things that are not there do not count.
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        there = grouped.setdefault(row["video"], [])
        if row.get("present", True):
            there.append(row)
    means = []
    for video, there in grouped.items():
        mean: dict[str, Any] = {"video": video, "n": len(there)}
        for name in ("J", "F", "J&F", "IoU"):
            if any(name in row for group in grouped.values() for row in group[:1]):
                mean[name] = sum(row[name] for row in there) / len(there) if there else None
        means.append(mean)
    return means


def _region_and_boundary(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in ("n", "J", "F", "J&F"):
        table.add_column(name, justify="right")
    return table


def _cells(score: MeanScore) -> list[str]:
    return [str(score.expressions), *(_cell(value) for value in (score.region, score.boundary, score.both))]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
