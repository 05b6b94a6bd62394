"""`sgmg train`."""

import logging
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file that says what is trained, on what, and how.")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="Changes to the recipe.", metavar="[KEY=VALUE]...")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start anew even though the run's folder holds a checkpoint.")
    ] = False,
) -> None:
    """Train a network as a recipe says.

    Checkpoint, logs (CSV and TensorBoard) and the trained model go to the recipe's [b]run[/b] folder. Where that
    holds a checkpoint, training goes on from it, exactly as if it had not stopped.

    Example: [bold]sgmg train recipes/sgmg_lite.yaml data.synthetic.source=shapes run=runs/lite[/bold]
    """
    from lightning.pytorch.utilities import rank_zero_only

    from sgmg.training.recipe import read_recipe
    from sgmg.training.run import resumes
    from sgmg.training.run import train as run

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and what hardware it found
    say = rank_zero_only(typer.echo)  # once, however many processes train
    read = read_recipe(recipe, changes or [])
    if resumes(read, restart):
        say(f"Going on from the checkpoint in {read.run} (--restart starts anew).")
    say(f"The trained model is in {run(read, restart)}.")
