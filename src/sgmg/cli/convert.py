"""`sgmg convert`."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A published .pth: SgMg, or Video Swin trained on Kinetics.")],
    output: Annotated[Path, typer.Argument(help="Model folder to make.")],
    text_encoder: Annotated[
        str, typer.Option(help="Folder or Hub id of the text encoder: its configuration and tokenizer.")
    ] = "FacebookAI/roberta-base",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model folder.")] = False,
) -> None:
    """Turn a published checkpoint into a model folder.

    Every weight has its place or is named in an error; nothing in the checkpoint is executed. A Kinetics checkpoint
    of Video Swin becomes a model to start a training from: its visual encoder, the rest fresh.

    Example: [bold]sgmg convert video_swin_tiny.pth models/sgmg-t --text-encoder FacebookAI/roberta-base[/bold]
    """
    from sgmg.output import check_output, new_folder

    check_output(output, overwrite, marker="config.json")

    from sgmg.model.published import read_published

    model = read_published(checkpoint, text_encoder)
    with new_folder(output, overwrite, marker="config.json") as folder:
        model.write_folder(folder)
    weights = sum(parameter.numel() for parameter in model.parameters())
    typer.echo(f"{output}: {model.config.visual_encoder}, {weights / 1e6:.1f} million weights")
