"""`sgmg segment`."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgmg.cli import options
from sgmg.cli.arguments import clip_frames, seconds
from sgmg.cli.progress import frames_bar
from sgmg.cli.save_as import saved
from sgmg.errors import InputError

if TYPE_CHECKING:
    from sgmg.formats.frames import FoundFrame
    from sgmg.video import Video


def segment(
    video: Annotated[
        str,
        typer.Argument(
            help="A video file, a folder of images, an image; '-' for a video on standard input; a camera "
            "(/dev/video0) or an address (rtsp://…).",
            show_default=False,
        ),
    ],
    expressions: Annotated[
        list[str], typer.Argument(help='What to segment, such as "the dog"; several at once are fine.')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make for the results.")],
    format: options.Format = None,
    model: Annotated[
        str | None, typer.Option(help="A model folder or a Hub id; by default the embedded sgmg-lite.")
    ] = None,
    clip_length: Annotated[
        str | None,
        typer.Option(help='Frames that the network sees together: a number, or "all"; by default 36, of streams 8.'),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Frames that a clip shares with the one before, to follow one object from clip to clip; by default a "
            "sixth of a clip, and none for models with one query, which have no choice."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Leave out what is before: seconds, or 1:30.", metavar="TIME")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Leave out what is from there on.", metavar="TIME")] = None,
    every: Annotated[
        int,
        typer.Option(
            min=1, help="Segment one frame in N; those between repeat the masks of the last one.", metavar="N"
        ),
    ] = 1,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="For what has no end: short clips, and Ctrl-C ends it with the result complete. Cameras and rtsp:// "
            "are streams by themselves.",
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds without a frame after which a camera, address or pipe has stalled.")
    ] = 10.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command was interrupted, if it was.")
    ] = False,
    short_side: options.ShortSide = None,
    long_side: options.LongSide = None,
    min_score: options.MinScore = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of a folder of images; 24 by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = "auto",
    dtype: options.Dtype = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default as many as there are cores.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print what was found as JSON; of streams, a line for each frame as it comes."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Segment what sentences mean in a video.

    Writes OUT/result.json (scores, boxes, run-length encoded masks), and what --format names: by default
    OUT/overlay.mp4 (to look at) and OUT/masks/EXPRESSION/FRAME.png (0 and 255, the video's size).
    [bold]sgmg save-as[/bold] writes other formats later.

    Videos of any length are read, segmented and written clip by clip, in the memory of one clip; an interrupted run
    goes on with --resume. So are streams: [bold]ffmpeg -i dog.mp4 -f nut - | sgmg segment - "the dog" -o out[/bold]

    Example: [bold]sgmg segment dog.mp4 "the dog" "the woman throwing a ball" -o out[/bold]
    """
    from sgmg.formats import DEFAULT_FORMATS, choose_formats
    from sgmg.live import is_live, is_stream, open_stream
    from sgmg.output import check_output
    from sgmg.video import Excerpt, open_video

    stream = stream or is_live(video)
    length = clip_frames(clip_length or ("8" if stream else "36"))
    cut_from = seconds(start, "--start") if start is not None else Fraction(0)
    cut_to = seconds(end, "--end") if end is not None else None
    formats = [form.name for form in choose_formats(format or DEFAULT_FORMATS)]
    check_output(output, overwrite)
    if resume and is_stream(video):
        raise InputError(f"'{video}' comes only once, and a run on it cannot be gone on with; leave --resume out.")
    whole = None if is_stream(video) else open_video(video, fps)

    from sgmg.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(model, device=device, dtype=dtype, threads=threads)  # type: ignore[arg-type]
    if whole is None:  # not before: a camera does not wait for a model to be loaded
        whole = open_stream(video, fps, timeout, waiting=length * every if isinstance(length, int) else 36)
    source = Excerpt(whole, cut_from, cut_to) if start is not None or end is not None else whole
    with stopped_by_interrupt(whole), frames_bar("Segmenting", not quiet, lambda: whole.dropped) as progress:
        done = segmenter.to_folder(
            source,
            expressions,
            output,
            formats,
            clip_length=length,
            short_side=short_side,
            long_side=long_side,
            min_score=min_score,
            progress=progress,
            overlap=overlap,
            every=every,
            overwrite=overwrite,
            resume=resume,
            on_frame=print_frame if stream and as_json else None,
        )
    if as_json:
        typer.echo(json.dumps({"output": str(done.folder), **done.summary}, ensure_ascii=False))
    elif not quiet:
        for expression, score in zip(expressions, done.scores, strict=True):
            typer.echo(f"{score:.2f}  {expression}")
        typer.echo(saved(output, formats))


@contextmanager
def stopped_by_interrupt(video: "Video") -> Iterator[None]:
    """Ctrl-C ends a video that comes only once as its own end would; the second time it interrupts."""
    from sgmg.live import LiveVideo

    if not isinstance(video, LiveVideo) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        video.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def print_frame(found: "FoundFrame") -> None:
    """One line of JSON, at once."""
    from sgmg.segmentation import frame_record

    scores = found.scores.tolist()
    records = [frame_record(found.name, float(found.time), *pair) for pair in zip(scores, found.rles, strict=True)]
    shared = {key: records[0][key] for key in ("frame", "time")}
    each = [{key: record[key] for key in ("score", "box", "rle")} for record in records]
    typer.echo(json.dumps({**shared, "expressions": each}))
    sys.stdout.flush()
