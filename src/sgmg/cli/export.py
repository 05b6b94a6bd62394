"""`sgmg export`."""

from pathlib import Path
from typing import Annotated

import typer

export_app = typer.Typer(help="Models for other runtimes.", no_args_is_help=True)


@export_app.callback()
def _group() -> None:
    pass  # with a callback, a single command keeps its name


@export_app.command("onnx", no_args_is_help=True)
def onnx(
    model: Annotated[str, typer.Argument(help="Model folder, embedded model (sgmg-lite) or Hub id.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Linear layers in eight bits: a smaller file, and a little less exact.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> None:
    """Write a model as two ONNX graphs that run without PyTorch, for any number of frames, any size, any sentence.

    The graphs are run beside the model before the folder appears. Every command but those of sgmg analyze that look
    inside a network takes the folder as its [bold]--model[/bold], and Python as [bold]Segmenter.from_onnx[/bold].

    Example: [bold]sgmg export onnx sgmg-lite models/sgmg-lite-onnx[/bold]
    """
    from sgmg.engines.onnx import ABOUT
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, marker=ABOUT)

    from sgmg.export import export_onnx
    from sgmg.segmenter import Segmenter

    network = Segmenter.from_pretrained(model, device="cpu").model
    with new_folder(output, overwrite, marker=ABOUT) as folder:
        difference = export_onnx(network, folder, "int8" if int8 else "float32")
        size = sum(path.stat().st_size for path in folder.iterdir())
    typer.echo(f"{output}: {size / 1e6:.0f} MB; scores and probabilities are the model's to within {difference:.1g}")
