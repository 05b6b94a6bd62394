"""Evaluations as tables for people to read."""

from __future__ import annotations

from rich.table import Table

from sgmg.evaluation.scores import Evaluation, MeanScore


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """J, F and J&F in percent: overall, by kind of expression, and how absent things were refused."""
    table = Table(title=title, title_justify="left")
    table.add_column("expressions")
    for name in ("n", "J", "F", "J&F"):
        table.add_column(name, justify="right")
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


def _cells(score: MeanScore) -> list[str]:
    values = (score.region, score.boundary, score.both)
    return [str(score.expressions), *("-" if value is None else f"{value:.1f}" for value in values)]
