"""`sgmg save-as`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli import options
from sgmg.cli.progress import frames_bar


def save_as(
    result: Annotated[
        Path, typer.Argument(help="A folder that sgmg segment wrote, or its result.json.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    format: options.Format = None,
    video: Annotated[
        str | None, typer.Option(help="The video that was segmented; by default looked for where it was then.")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Save a result in other formats; nothing is segmented again.

    The new folder holds a result.json too. Only videos and datasets with pictures need the video.

    Example: [bold]sgmg save-as out -o dog-coco --format coco --format cutout-webm[/bold]
    """
    from sgmg.formats import DEFAULT_FORMATS, choose_formats
    from sgmg.output import check_output

    formats = [form.name for form in choose_formats(format or DEFAULT_FORMATS)]
    check_output(output, overwrite)

    from sgmg.segmentation import Segmentation

    found = Segmentation.load(result, video)
    with frames_bar("Writing", shown=not quiet) as progress:
        folder = found.save(output, formats, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(json.dumps({"output": str(folder), **found.summary(formats)}, ensure_ascii=False))
    elif not quiet:
        typer.echo(saved(output, formats))


def saved(output: Path, formats: Sequence[str]) -> str:
    """A sentence that says where the formats lie in the output."""
    from sgmg.formats import choose_formats

    places = [str(output / form.place) for form in choose_formats(formats)]
    return f"Saved to {output}; look at {', '.join(places)}"
