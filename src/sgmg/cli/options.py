"""Arguments and options that several commands have, described once."""

from pathlib import Path
from typing import Annotated

import typer

from sgmg.formats import FORMATS

Benchmark = Annotated[
    str,
    typer.Argument(
        help="ref-youtube-vos, ref-davis17, a2d, jhmdb, refcoco, refcoco+, refcocog or mevis.", show_default=False
    ),
]
Root = Annotated[Path, typer.Argument(help="The dataset's folder.", show_default=False)]
Split = Annotated[str, typer.Option(help="Which split.")]
Model = Annotated[str | None, typer.Option(help="Model folder, embedded model or Hub id; by default the embedded one.")]
ClipLength = Annotated[str, typer.Option(help="Frames that the network sees together, or 'all'.", metavar="N|all")]
ShortSide = Annotated[int | None, typer.Option(help="Resize frames to this many pixels on the shorter side …")]
LongSide = Annotated[
    int | None, typer.Option(help="… and at most this many on the longer; by default as the model says.")
]
MinScore = Annotated[
    float | None,
    typer.Option(
        help="Score, 0 to 1, that an object needs in some frame of a clip; else its masks there are empty, as they are "
        "in frames that score less than half of it. By default the model's own."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps, …")]
Dtype = Annotated[str, typer.Option(help="What products are computed in: float32 or bfloat16.")]
Limit = Annotated[int | None, typer.Option(help="Only that many videos or samples, the first.", min=1)]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes that score while the model runs; by default one for each core.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        help=f"Repeat it for several: {', '.join(FORMATS)}.",
        metavar="NAME",
        autocompletion=lambda: [(form.name, form.summary) for form in FORMATS.values()],
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")]

Predictions = Annotated[
    Path | None, typer.Option(help="Score these, kept by --keep or made by another method, without a model.")
]
Keep = Annotated[Path | None, typer.Option(help="Folder to make for the predictions.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Also write the scores of each video to this file.")]
CsvExpressions = Annotated[
    Path | None, typer.Option("--csv-expressions", help="Also write the scores of each expression to this file.")
]
