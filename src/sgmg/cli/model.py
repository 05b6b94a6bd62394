"""`sgmg model`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgmg.cli import options
from sgmg.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from sgmg.model.summary import Summary

model_app = typer.Typer(help="Networks.", no_args_is_help=True)


@model_app.callback()
def _group() -> None:
    pass  # with a callback, a single command keeps its name


@model_app.command("summary")
def summary(
    model: Annotated[
        str | None, typer.Argument(help="Model folder, embedded model or Hub id; by default the embedded one.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(help="Changes to the recipe.", metavar="[KEY=VALUE]...")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="In place of a model, the network that this recipe would train.")
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Count a network's weights by part, and show its configuration.

    Of a recipe's network nothing is loaded or trained. "As the paper counts" is one SCF operator for each level
    without the convolution in its gate, which gives the numbers of the paper's Table A.

    Example: [bold]sgmg model summary --recipe recipes/ref_youtube_vos_t.yaml model.fusion_operation=spatial[/bold]
    """
    from rich.console import Console

    from sgmg.model.summary import summarise, summarise_config

    if recipe is None:
        if changes:
            raise InputError("Changes are of a recipe: give --recipe, or no changes.")
        from sgmg.segmenter import Segmenter

        found = summarise(Segmenter.from_pretrained(model, device="cpu").model)
    else:
        from sgmg.training.recipe import model_config, read_recipe

        # With a recipe, the first word is a change too.
        found = summarise_config(
            model_config(read_recipe(recipe, [*([model] if model else []), *(changes or [])]).model)
        )
    if json_output:
        typer.echo(json.dumps(found.to_dict()))
    else:
        _print(found, Console())


def _print(summary: "Summary", console: "Console") -> None:
    from rich.table import Table

    table = Table(title="Parameters", title_justify="left")
    table.add_column("part")
    table.add_column("number", justify="right")
    for part, count in summary.parts.items():
        table.add_row(part, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{summary.total:,}", style="bold")
    table.add_row("all but the two encoders", f"{summary.without_encoders:,}")
    table.add_row("SCF operators, as the paper counts", f"{summary.operators:,}")
    console.print(table)
    settings = Table(title="Configuration", title_justify="left")
    settings.add_column("setting")
    settings.add_column("value", overflow="fold")
    for name, value in summary.config.to_dict().items():
        shown = value["model_type"] if name == "text_encoder" else value
        settings.add_row(name, str(shown))
    console.print(settings)
