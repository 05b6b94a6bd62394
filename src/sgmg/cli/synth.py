"""`sgmg synth`."""

from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli.arguments import two_numbers


def synth(
    output: Annotated[Path, typer.Argument(help="The dataset's root; the other split may be there already.")],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)] = 0,
    videos: Annotated[int, typer.Option(help="How many videos.", min=1)] = 100,
    layout: Annotated[
        str,
        typer.Option(
            help="Of which benchmark: ref-youtube-vos, ref-davis17, ref-davis17-raw, a2d, jhmdb, refcoco, refcoco+, "
            "refcocog or mevis."
        ),
    ] = "ref-youtube-vos",
    split: Annotated[
        str | None,
        typer.Option(
            help="train (the default) or valid, which has cutouts, backgrounds and random numbers of its own; of mevis "
            "also valid_u. Layouts that hold all splits together take none.",
            show_default=False,
        ),
    ] = None,
    cutouts: Annotated[
        Path | None, typer.Option(help="Folder of cutouts with alpha, described by its labels.json.")
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of photographs; without it backgrounds are procedural.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="shapes, cutouts or both; by default both where there are cutouts.", show_default=False),
    ] = None,
    size: Annotated[str, typer.Option(help="Height and width of the frames in pixels.", metavar="HxW")] = "288x512",
    length: Annotated[int, typer.Option(help="Frames of a video.", min=1)] = 24,
    objects: Annotated[str, typer.Option(help="How many things are in a video.", metavar="N|N-M")] = "2-5",
    kinds: Annotated[
        str | None,
        typer.Option(
            help="Kinds of expressions, with commas: name, synonym (that training never uses; split valid), clothes, "
            "attribute, motion, position, relation, combined, absent. All by default.",
            show_default=False,
        ),
    ] = None,
    expressions: Annotated[int, typer.Option(help="Expressions of a video, at most.", min=1)] = 6,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that generate videos.", min=1)] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Generate videos with exact masks and sentences, in the layout of a benchmark.

    Things move in front of backgrounds; each sentence is true of exactly one of them, or, of the kind
    "absent", of none: then its object has empty masks. Each benchmark gets what it has:
    single images for RefCOCO, expressions of several objects for MeViS. Nothing is downloaded.

    Example: [bold]sgmg synth data --seed 1 --videos 200 && sgmg synth data --seed 1 --videos 40 --split valid[/bold]
    """
    from rich.console import Console
    from rich.progress import track

    from sgmg.data.synthetic import KINDS, SyntheticConfig
    from sgmg.data.synthetic.writer import write_videos

    config = SyntheticConfig(
        size=two_numbers(size, "x", "--size", "288x512"),
        length=length,
        objects=two_numbers(objects if "-" in objects else f"{objects}-{objects}", "-", "--objects", "2-5"),
        source=source or ("both" if cutouts else "shapes"),
        cutouts=cutouts,
        backgrounds=backgrounds,
        kinds=tuple(kind.strip() for kind in kinds.split(",")) if kinds is not None else KINDS,
        expressions=expressions,
    )
    write_videos(
        output,
        config,
        seed,
        videos,
        layout=layout,
        split=split,
        overwrite=overwrite,
        workers=workers,
        progress=lambda written: track(
            written, "Generating", total=videos, console=Console(stderr=True), disable=quiet
        ),
    )
    if not quiet:
        typer.echo(f"Saved {videos} videos in the layout {layout} to {output}.")
