"""`sgmg segment`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sgmg.cli.arguments import clip_frames
from sgmg.cli.progress import frames_bar


def segment(
    video: Annotated[str, typer.Argument(help="A video file, a folder of images, or an image.", show_default=False)],
    expressions: Annotated[
        list[str], typer.Argument(help='What to segment, such as "the dog"; several at once are fine.')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make for the results.")],
    model: Annotated[
        str | None, typer.Option(help="A model folder or a Hub id; by default the embedded sgmg-lite.")
    ] = None,
    clip_length: Annotated[str, typer.Option(help='Frames that the network sees together: a number, or "all".')] = "36",
    short_side: Annotated[
        int | None, typer.Option(help="Resize frames to this many pixels on the shorter side …")
    ] = None,
    long_side: Annotated[
        int | None, typer.Option(help="… and at most this many on the longer; by default as the model says.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Leave a frame's mask empty below this score, 0 to 1.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of images; 24 by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default as many as there are cores.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Segment what sentences mean in a video.

    Writes OUT/overlay.mp4 (to look at), OUT/masks/EXPRESSION/FRAME.png (0 and 255, the video's size) and
    OUT/result.json (scores, boxes, run-length encoded masks).

    Example: [bold]sgmg segment dog.mp4 "the dog" "the woman throwing a ball" -o out[/bold]
    """
    from sgmg.output import check_output
    from sgmg.video import open_video

    length = clip_frames(clip_length)
    check_output(output, overwrite)
    source = open_video(video, fps)

    import torch

    from sgmg.segmenter import Segmenter

    if threads is not None:
        torch.set_num_threads(threads)
    segmenter = Segmenter.from_pretrained(model, device=device, dtype=dtype)  # type: ignore[arg-type]
    with frames_bar("Segmenting", shown=not quiet) as progress:
        result = segmenter(
            source,
            expressions,
            clip_length=length,
            short_side=short_side,
            long_side=long_side,
            min_score=min_score,
            progress=progress,
        )
    with frames_bar("Writing", shown=not quiet) as progress:
        folder = result.save(output, overwrite=overwrite, progress=progress)
    if as_json:
        typer.echo(json.dumps({"output": str(folder), **result.summary()}, ensure_ascii=False))
    elif not quiet:
        for expression, score in zip(result.expressions, result.scores, strict=True):
            typer.echo(f"{score:.2f}  {expression}")
        typer.echo(f"Saved to {output}; look at {output / 'overlay.mp4'}")
