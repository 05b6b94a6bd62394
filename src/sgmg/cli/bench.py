"""`sgmg bench`."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from sgmg.cli import options

bench_app = typer.Typer(help="Measure how fast things are here.", no_args_is_help=True)


@bench_app.callback()
def _group() -> None:
    pass  # with a callback, a single command keeps its name


@bench_app.command("data", no_args_is_help=True)
def bench_data(
    benchmark: options.Benchmark,
    root: options.Root,
    split: Annotated[
        str | None, typer.Option(help="Which split; by default the one that is trained on.", show_default=False)
    ] = None,
    workers: Annotated[
        list[int] | None,
        typer.Option(help="Processes that load; give it several times to compare. By default 0, 1 and 2.", min=0),
    ] = None,
    clips: Annotated[int, typer.Option(help="Clips to load for each number of workers.", min=1)] = 64,
    clip_length: Annotated[int, typer.Option(help="Frames of a clip; images stay single.", min=1)] = 5,
    batch_size: Annotated[int, typer.Option(help="Clips of a batch.", min=1)] = 2,
    augment: Annotated[bool, typer.Option(help="With the augmentation of a training.")] = True,
    json_output: options.Json = False,
) -> None:
    """Frames and samples a second that the loader of a training gives, without a network behind it.

    Training waits for data where this is less than the network takes: then give it more workers.

    Example: [bold]sgmg bench data a2d datasets/a2d_sentences --workers 2 --workers 4[/bold]
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track
    from rich.table import Table

    from sgmg.data.benchmarks import find_benchmark
    from sgmg.training.throughput import benchmark_source, loading_speed

    source = benchmark_source(find_benchmark(benchmark), root, split, clip_length, augment)
    speeds = []
    for number in dict.fromkeys(workers or (0, 1, 2)):

        def progress(batches: Iterable[Any], number: int = number) -> Iterable[Any]:
            return track(batches, f"{number} workers", console=Console(stderr=True), transient=True)

        speeds.append(loading_speed(source, number, clips, batch_size, progress))
    if json_output:
        settings = {"clip_length": clip_length, "batch_size": batch_size, "augment": augment}
        typer.echo(json.dumps({"benchmark": benchmark, **settings, "speeds": [s.to_dict() for s in speeds]}))
        return
    table = Table(title=escape(f"{benchmark} in {root}"), title_justify="left")
    for column in ("workers", "frames/s", "samples/s", "start, s"):
        table.add_column(column, justify="right")
    for speed in speeds:
        table.add_row(
            str(speed.workers),
            f"{speed.frames_per_second:.1f}",
            f"{speed.samples_per_second:.1f}",
            f"{speed.start_seconds:.1f}",
        )
    Console().print(table)
