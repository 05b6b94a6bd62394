"""`sgmg serve`."""

import signal
import threading
from typing import Annotated

import typer

from sgmg.cli import options
from sgmg.errors import InputError


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets others in your network in (think of --auth).")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default the first free one from 7860.", min=1, max=65535)
    ] = None,
    auth: Annotated[
        str | None, typer.Option(help="NAME:PASSWORD that visitors must give.", metavar="NAME:PASSWORD")
    ] = None,
    max_upload: Annotated[str, typer.Option(help="The largest file that may be uploaded, such as 500MB.")] = "200MB",
    max_frames: Annotated[int, typer.Option(help="The longest video, in frames.", min=1)] = 1800,
    max_sentences: Annotated[int, typer.Option(help="The most sentences about one video.", min=1, max=50)] = 8,
    model: Annotated[
        str | None, typer.Option(help="A model folder or a Hub id; by default the embedded sgmg-lite.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps …")] = "auto",
    dtype: options.Dtype = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default as many as there are cores.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """A web page: drop a video, write sentences, see the masks appear.

    Only this computer reaches it unless --host says otherwise. Uploads and results lie in a temporary folder that
    is emptied: an hour after their last use, and when the server stops (Ctrl+C).

    Example: [bold]sgmg serve --open[/bold], or for a group: [bold]sgmg serve --host 0.0.0.0 --auth lab:secret[/bold]
    """
    from sgmg.app.limits import Limits, as_bytes

    limits = Limits(upload=as_bytes(max_upload), frames=max_frames, sentences=max_sentences)
    name, colon, password = (auth or "").partition(":")
    if auth is not None and not (name and colon and password):
        raise InputError("--auth is not understood: write it like NAME:PASSWORD.")
    try:
        from sgmg.app.server import PageServer
    except ImportError as error:
        raise InputError('The web page needs Gradio; install it with: pip install "sgmg[web]"') from error

    from sgmg.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(model, device=device, dtype=dtype, threads=threads)  # type: ignore[arg-type]
    server = PageServer(segmenter, limits)
    try:
        address = server.start(host, port, (name, password) if auth is not None else None)
        ended = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: ended.set())
        typer.echo(f"The page is at {address} (Ctrl+C ends it)")
        if open_page:
            typer.launch(address)
        while not ended.wait(timeout=1):  # in short waits, so that signals come through on every system
            pass
    finally:
        server.close()
