"""`sgmg bench`."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sgmg.cli import options
from sgmg.cli.arguments import two_numbers

if TYPE_CHECKING:
    from sgmg.speed import Speed

bench_app = typer.Typer()


@bench_app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, embedded model or Hub id; or video_swin_t, _s or _b for the published shapes with "
            "random weights. By default the embedded one."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of the clip.", min=1)] = 5,
    size: Annotated[
        str | None, typer.Option(help="Height and width of the frames; by default the model's own.", metavar="HxW")
    ] = None,
    expressions: Annotated[int, typer.Option(help="Expressions about the clip.", min=1)] = 1,
    dtype: Annotated[
        str | None,
        typer.Option(help="bf16 (bfloat16) or fp32 (float32); by default bf16, and exported models as they are."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; by default as many as there are cores.", min=1)
    ] = None,
    repeats: Annotated[int, typer.Option(help="Runs, of which the median counts.", min=1)] = 3,
    json_output: options.Json = False,
) -> None:
    """Measure how fast a network is on this machine's CPU, on noise; [bold]bench data[/bold] measures the loading of a
    dataset.

    Machines differ: the time is also given times the rate of a float32 matrix product measured in turns with it
    ("normalized"), which is comparable between them. Memory is the most that the whole process held.

    Example: [bold]sgmg bench --model video_swin_t --frames 5 --size 360x640 --dtype bf16[/bold]
    """
    if context.invoked_subcommand is not None:
        return
    height_width = None if size is None else two_numbers(size, "x", "--size", "360x640")

    from sgmg.cli.progress import items_bar
    from sgmg.speed import bench_model, measure

    segmenter = bench_model(model, dtype, threads)

    def progress(runs: range) -> Iterable[int]:
        return runs if json_output else items_bar(runs, "Measuring")

    speed = measure(segmenter, frames, height_width, expressions, repeats, progress)
    if json_output:
        typer.echo(json.dumps({"model": segmenter.name, **speed.to_dict()}))
    else:
        _print(segmenter.name, speed)


def _print(name: str, speed: "Speed") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    height, width = speed.size
    title = (
        f"{name}: {speed.frames} frames of {height}x{width}, {speed.expressions} expression(s), {speed.dtype}, "
        f"{speed.threads} thread(s)"
    )
    table = Table(title=escape(title), title_justify="left", show_header=False)
    table.add_row("seconds per frame", f"{speed.seconds_per_frame:.3f}", f"{speed.fastest:.3f} to {speed.slowest:.3f}")
    table.add_row("CPU seconds per frame", f"{speed.cpu_seconds_per_frame:.3f}", "summed over threads")
    memory = "unknown" if speed.peak_memory_gb is None else f"{speed.peak_memory_gb:.2f}"
    table.add_row("peak memory, GB", memory, "of the whole process")
    gflop = "unknown" if speed.gflop_per_frame is None else f"{speed.gflop_per_frame:.1f}"
    table.add_row("GFLOP per frame", gflop, "products, convolutions, attention")
    table.add_row("matrix rate, GFLOP/s", f"{speed.matmul_gflops:.0f}", "float32, 2048³")
    table.add_row("normalized, GFLOP", f"{speed.normalized_gflop:.1f}", "seconds per frame x matrix rate")
    table.add_row("the same by CPU time", f"{speed.cpu_normalized_gflop:.1f}", "for machines that others use")
    table.add_section()
    for stage, seconds in speed.stages.items():
        table.add_row(stage.replace("_", " "), f"{seconds:.3f}", f"{seconds / speed.seconds_per_frame:.0%}")
    Console().print(table)


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
