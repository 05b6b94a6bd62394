"""The commands: parse, call, print. No logic, and no heavy import before a command needs it."""

import logging
import re
import signal
import sys
import warnings
from typing import Annotated, TextIO

import typer

from sgmg.cli.analyze import analyze_app
from sgmg.cli.batch import batch
from sgmg.cli.bench import bench_app
from sgmg.cli.convert import convert
from sgmg.cli.cutouts import cutouts
from sgmg.cli.data import data_app
from sgmg.cli.evaluate import evaluate_app
from sgmg.cli.export import export_app
from sgmg.cli.model import model_app
from sgmg.cli.predict import predict_app
from sgmg.cli.save_as import save_as
from sgmg.cli.segment import segment
from sgmg.cli.serve import serve
from sgmg.cli.synth import synth
from sgmg.cli.train import train
from sgmg.errors import InputError, InputWarning

app = typer.Typer(
    name="sgmg",
    help="A video and a sentence in, that object's mask in every frame out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sgmg import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on standard error what is done; before the command.")
    ] = False,
) -> None:
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("sgmg").setLevel(logging.INFO)


app.command(no_args_is_help=True)(segment)
app.command("save-as", no_args_is_help=True)(save_as)
app.command(no_args_is_help=True)(batch)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(predict_app, name="predict")
app.add_typer(analyze_app, name="analyze")
app.command()(train)
app.command(no_args_is_help=True)(cutouts)
app.command(no_args_is_help=True)(synth)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")
app.add_typer(model_app, name="model")
app.command(no_args_is_help=True)(convert)
app.add_typer(export_app, name="export")
app.command()(serve)


def main() -> None:
    """Run the command line; what a user can mend is one sentence on standard error and exit code 2."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half-written outputs are removed
    show_any = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, InputWarning):
            typer.echo(f"Warning: {message}", err=True)
        else:
            show_any(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        app()
    except ModuleNotFoundError as error:
        package = (error.name or "sgmg").partition(".")[0]
        if package == "sgmg":
            raise
        typer.echo(f"Error: {_how_to_get(package)}", err=True)
        sys.exit(2)
    except Exception as error:
        if not isinstance(error, _errors_that_users_mend()):
            raise
        typer.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(2)


def _how_to_get(package: str) -> str:
    """What to install for a package that is not there: the extra that brings it, where one does by that name."""
    from importlib.metadata import requires

    brought = rf"{re.escape(package)}\b.*extra == ['\"](?!dev)(\w+)"  # dev has all others in it
    extra = next((found[1] for line in requires("sgmg") or () if (found := re.match(brought, line))), None)
    return f"This needs {package}: install it with pip install {repr(f'sgmg[{extra}]') if extra else package}."


def _sentence(error: Exception) -> str:
    """Its own; of an error of the operating system what that said, without its number."""
    if not isinstance(error, OSError) or error.strerror is None or error.filename is None:
        return str(error)
    return f"'{error.filename}': {error.strerror}."


def _errors_that_users_mend() -> tuple[type[Exception], ...]:
    """Also the model's own, whose module is heavy and hence looked at only where it is loaded already."""
    model = sys.modules.get("sgmg.model")
    return (InputError, OSError, *((model.ModelError,) if model else ()))
