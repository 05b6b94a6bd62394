"""`sgmg cutouts`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def cutouts(
    photos: Annotated[
        Path,
        typer.Argument(
            help="Folder with a folder of photographs for each class: its name is what they show, further names after "
            "commas.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    size: Annotated[int, typer.Option(help="Longest side of a cutout in pixels.")] = 320,
    remover: Annotated[str, typer.Option(help="Model of rembg that removes backgrounds.")] = "u2net",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no table.")] = False,
) -> None:
    """Cut things out of photographs, to generate training videos from them.

    Pictures with an alpha channel are taken as they are; of the others the background is removed with rembg, an extra
    that downloads its model once: pip install 'sgmg[cutouts]'. The result is what --cutouts of sgmg synth, and
    data.synthetic.cutouts of a training, take.

    Example: [bold]sgmg cutouts photos my-cutouts && sgmg synth data --cutouts my-cutouts[/bold]
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from sgmg.data.cutouts import make_cutouts

    def progress(files: list[Path]) -> Iterable[Path]:
        return track(files, "Cutting out", console=Console(stderr=True), disable=quiet, transient=True)

    made = make_cutouts(photos, output, size=size, remover=remover, overwrite=overwrite, progress=progress)
    for place, reason in made.skipped.items():
        typer.echo(f"Warning: {place} is left out: {reason}.", err=True)
    if quiet:
        return
    table = Table(title=f"Cutouts in {output}", title_justify="left")
    table.add_column("class")
    table.add_column("cutouts", justify="right")
    for name, count in sorted(made.kept.items()):
        table.add_row(name, str(count))
    table.add_section()
    table.add_row("all", str(sum(made.kept.values())), style="bold")
    Console().print(table)
    typer.echo(f"{made.with_alpha} had an alpha channel of their own; {len(made.skipped)} photographs were left out.")
