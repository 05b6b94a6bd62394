"""`sgmg data`."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sgmg.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from sgmg.data.check import Report

data_app = typer.Typer(help="Datasets on disk.", no_args_is_help=True)


@data_app.callback()
def _group() -> None:
    pass  # with a callback, a single command keeps its name


@data_app.command("check", no_args_is_help=True)
def check(
    benchmark: options.Benchmark,
    root: options.Root,
    split: Annotated[str | None, typer.Option(help="Only this split; by default all that are there.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every pixel, not only lists and headers.")] = False,
    json_output: options.Json = False,
) -> None:
    """Say what of a benchmark is there, what is missing and what does not match, with the fix for each.

    Problems end with exit code 1; warnings, such as other counts than the published ones, do not.

    Example: [bold]sgmg data check a2d datasets/a2d_sentences --deep[/bold]
    """
    from rich.console import Console
    from rich.progress import track

    from sgmg.data.check import check_benchmark

    def progress(things: Iterable[Any], title: str) -> Iterable[Any]:
        return track(list(things), f"Checking {title}", console=Console(stderr=True), transient=True)

    report = check_benchmark(benchmark, root, split, deep, progress)
    if json_output:
        typer.echo(json.dumps(report.to_dict()))
    else:
        _print(report, f"{benchmark} in {root}", Console())
    if report.problems:
        raise typer.Exit(1)


def _print(report: "Report", title: str, console: "Console") -> None:
    from rich.markup import escape
    from rich.table import Table

    there = Table(title=escape(title), title_justify="left")
    for column in ("split", "what"):
        there.add_column(column)
    for column in ("found", "published"):
        there.add_column(column, justify="right")
    for count in report.counts:
        published = " or ".join(f"{number:,}" for number in count.published)
        there.add_row(escape(count.split) or "all", count.what, f"{count.found:,}", published)
    if report.counts:
        console.print(there)
    if report.findings:
        findings = Table(show_lines=True)
        findings.add_column("", no_wrap=True)
        findings.add_column("what", ratio=2)
        findings.add_column("times", justify="right")
        findings.add_column("where", ratio=4, overflow="fold")
        findings.add_column("fix", ratio=2)
        for finding in report.findings:
            more = (
                [f"… and {finding.count - len(finding.places):,} more"] if finding.count > len(finding.places) else []
            )
            colour = "red" if finding.severity == "problem" else "yellow"
            findings.add_row(
                f"[{colour}]{finding.severity}[/]",
                finding.kind,
                f"{finding.count:,}",
                escape("\n".join([*finding.places, *more])),
                finding.fix,
            )
        console.print(findings)
    kinds = [finding for finding in report.findings if finding.severity == "warning"]
    warnings = sum(finding.count for finding in kinds)
    console.print(
        f"Problems: {report.problems:,}, warnings: {warnings:,}." if report.findings else "All is as it should be."
    )
