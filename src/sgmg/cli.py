"""The commands: parse, call, print. No logic, and no heavy import before a command needs it."""

import sys
from typing import Annotated

import typer

from sgmg.errors import InputError

app = typer.Typer(
    name="sgmg",
    help="A video and a sentence in, that object's mask in every frame out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; what a user can mend is one sentence and exit code 2."""
    try:
        app()
    except (InputError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
