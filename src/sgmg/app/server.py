"""The server: Gradio's queue, API and sign-in, with files under tickets and a page of our own."""

from __future__ import annotations

import functools
import mimetypes
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: nothing is reported to anybody

import gradio
from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

import sgmg
from sgmg.app.events import Event
from sgmg.app.examples import Example, render_examples
from sgmg.app.jobs import Job
from sgmg.app.limits import Limits
from sgmg.app.painting import Painting, look_of
from sgmg.app.storage import Storage, gone, stored_name
from sgmg.app.uploads import Upload, poster
from sgmg.errors import InputError
from sgmg.output import is_disk_full
from sgmg.overlay import FILL
from sgmg.segmenter import Segmenter

PAGE = Path(__file__).parent / "page"

# Nothing on the page comes from anywhere else, and browsers see to it.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageServer:
    """Everything behind the page.

    Args:
        segmenter: one video after another goes through it.
        limits: what visitors may ask for.
    """

    def __init__(self, segmenter: Segmenter, limits: Limits | None = None) -> None:
        self.segmenter, self.limits = segmenter, limits or Limits()
        self.storage = Storage()
        self._uploads: dict[str, Upload] = {}
        self._jobs: dict[str, Job] = {}
        self._paintings: list[Painting] = []
        self._sources: dict[str, Upload] = {}  # what each result was made of
        self._examples: list[Example] = []
        self._examples_ready = threading.Event()
        self._came_from: Path | None = None
        self._closed = threading.Event()
        self.app = self._build()

    def start(self, host: str = "127.0.0.1", port: int | None = None, auth: tuple[str, str] | None = None) -> str:
        """Serve from threads of this process; gives the page's address.

        The process's working directory is then the folder of visitors' files, until `close`.

        Args:
            host: address to listen at.
            port: by default the first free one from 7860.
            auth: name and password that visitors must give.

        Raises:
            InputError: the address cannot be had.
        """
        threading.Thread(target=self._render_examples, name="examples", daemon=True).start()
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()
        # Gradio takes and tells files by their paths. From inside of the storage these are `TICKET/FILE`, and as static
        # ones they are left as they are: no longer path ever comes to a visitor.
        self._came_from = Path.cwd()
        os.environ["GRADIO_TEMP_DIR"] = str(self.storage.root / "gradio")
        os.chdir(self.storage.root)
        gradio.set_static_paths(self.storage.root)
        try:
            _, address, _ = self._queued().launch(
                _app=self.app,
                server_name=host,
                server_port=port,
                auth=auth,
                max_file_size=self.limits.upload,
                run_history=False,
                prevent_thread_lock=True,
                share=False,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                inbrowser=False,
                show_error=False,  # of errors that are not ours, nothing is told
                quiet=True,
            )
        except OSError as error:
            self.close()
            place = host if port is None else f"{host}, port {port},"
            raise InputError(
                f"Nothing can be served at {place} since it is taken or not ours; choose another."
            ) from error
        return str(address)

    def close(self) -> None:
        """End what is under way, and delete all files of visitors."""
        self._closed.set()
        jobs: list[Job | Painting] = [*self._jobs.values(), *self._paintings]
        for job in jobs:
            job.interruption.set()
        if self._came_from is not None:
            self.app.get_blocks().close(verbose=False)
            os.chdir(self._came_from)
        for job in jobs:
            job.ended.wait(timeout=10)  # so that nothing is written any more
        self.storage.close()

    # --- the API ---------------------------------------------------------------------------------------------

    def segment(
        self, video: gradio.FileData, expressions: str, min_score: float | None = None, watched: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Find what sentences mean in a video; see `sgmg.app.jobs` for the events that this gives."""
        try:
            upload = self._upload_of(video)
            if not isinstance(expressions, str):
                raise InputError("Give the sentences as one text, a line for each.")
            if min_score is not None and (not isinstance(min_score, (int, float)) or not 0 <= min_score <= 1):
                raise InputError("Scores lie between 0 and 1; give such a lowest score.")
            job = Job(upload, self.limits.sentences_of(expressions), min_score, watched)
            yield from self._watch(job)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def _watch(self, job: Job) -> Iterator[Event]:
        ticket = None
        try:
            for event in job.events(self.segmenter, self.limits, self.storage):
                if event["kind"] == "started":
                    ticket = event["job"]
                    self._jobs[ticket], self._sources[ticket] = job, job.upload
                yield event
        finally:
            if ticket is not None:
                self._jobs.pop(ticket, None)

    def overlay(self, job: str, colours: list[str | None], opacity: float = FILL) -> Iterator[Event]:
        """Paint the overlay of a finished segmentation anew; see `sgmg.app.painting` for the events that this gives."""
        try:
            upload = self._sources.get(str(job))
            if upload is None:
                raise gone()
            painting = Painting(str(job), upload, look_of(colours, opacity))
            self._paintings.append(painting)
            try:
                yield from painting.events(self.storage)
            finally:
                self._paintings.remove(painting)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def _upload_of(self, video: Any) -> Upload:
        if "://" in str(video):
            raise InputError("Nothing is fetched from addresses here; upload the video itself.")
        upload = self._uploads.get(str(video))
        self.storage.find(str(video))  # raises if it is gone
        if upload is None:
            raise InputError("This is no video that was given to this page; give the video again.")
        return upload

    # --- the pages and files behind it ---------------------------------------------------------------------------

    def _build(self) -> gradio.Server:
        # FastAPI's own documentation pages load scripts from elsewhere.
        app = gradio.Server(title="sgmg", docs_url=None, redoc_url=None, openapi_url=None)
        known = [Depends(_signed_in)]
        # These stand before Gradio's routes of the same addresses, which tell and take paths of the server, and fetch
        # files from anywhere.
        app.post("/gradio_api/upload", dependencies=known)(self._receive)
        for address in ("file={name:path}", "file/{name:path}", "proxy={name:path}"):
            route = app.api_route(f"/gradio_api/{address}", methods=["GET", "HEAD"], dependencies=known)
            route(self._file)
        app.api_route("/", methods=["GET", "HEAD"])(self._index)
        app.get("/about/{name:path}", dependencies=known)(self._about)
        app.get("/examples", dependencies=known)(self._list_examples)
        app.get("/settings", dependencies=known)(self._settings)
        app.post("/cancel/{ticket}", dependencies=known)(self._cancel)
        app.post("/forget/{ticket}", dependencies=known)(self._forget)
        app.mount("/page", StaticFiles(directory=PAGE))
        return app

    def _queued(self) -> gradio.Blocks:
        """The API with its queue, as `gradio.Server.launch` makes them, but with a say in its length and pace."""
        with _Api(mode="server", analytics_enabled=False) as blocks:
            gradio.api(
                _without_self(self.segment),
                api_name="segment",
                api_description="Find what sentences, one a line, mean in a video.",
                concurrency_limit=1,
                concurrency_id="segmenter",
            )
            gradio.api(
                _without_self(self.overlay),
                api_name="overlay",
                api_description="Paint the overlay of a finished segmentation in other colours; null paints none.",
                concurrency_limit=1,
                concurrency_id="painter",
            )
        # Places are told every second: those who leave the queue make it shorter for all behind them.
        return blocks.queue(max_size=self.limits.waiting, status_update_rate=1)

    async def _index(self, request: Request) -> Response:
        page = "index.html" if _is_signed_in(request) else "sign-in.html"
        return FileResponse(PAGE / page, headers=_HEADERS)

    async def _settings(self) -> dict[str, Any]:
        return {
            "version": sgmg.__version__,
            "model": Path(self.segmenter.name).name,
            "device": self.segmenter.engine.device,
            "minScore": self.segmenter.config.min_score,
            "opacity": FILL,
            "limits": self.limits.as_dict(),
        }

    async def _receive(self, request: Request) -> Response:
        """Take one file; tells its ticket, as a list, as Gradio's clients expect it."""
        form = None
        try:
            form = await MultiPartParser(request.headers, self._bounded(request), max_files=1, max_fields=4).parse()
            file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if file is None:
                raise InputError("No file came with this request; choose one.")
            upload = await run_in_threadpool(self._keep, file)
        except (InputError, MultiPartException, KeyError) as error:
            sentence = str(error) if isinstance(error, InputError) else "The upload is not understood; try again."
            code = 413 if isinstance(error, _TooLargeError) else 400
            return PlainTextResponse(sentence, status_code=code)
        except OSError as error:
            if not is_disk_full(error):
                raise
            return PlainTextResponse("There is no room for this file on the server; try again later.", status_code=507)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        finally:
            if form is not None:
                await form.close()
        return JSONResponse([upload.ticket])

    async def _bounded(self, request: Request) -> AsyncGenerator[bytes, None]:
        room = self.limits.upload + 10_000  # for what is around the file
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > room:
            raise _TooLargeError(str(self.limits.too_large("The file")))
        async for chunk in request.stream():
            room -= len(chunk)
            if room < 0:
                raise _TooLargeError(str(self.limits.too_large("The file")))
            yield chunk

    def _keep(self, file: UploadFile) -> Upload:
        name = file.filename or "video"
        ticket, folder = self.storage.new()
        path = folder / stored_name(name)
        try:
            with path.open("wb") as kept:
                while chunk := file.file.read(1 << 20):
                    kept.write(chunk)
        except OSError:
            self.storage.remove(ticket)
            raise
        upload = Upload.read(f"{ticket}/{path.name}", path, name)
        self._uploads[upload.ticket] = upload
        return upload

    def _about(self, name: str) -> Response:
        """What a video is; a sentence where it is none, or too much of one."""
        try:
            upload = self._upload_of(name)
            video = upload.open()
            self.limits.check_video(video)
            with upload.called_by_name():
                return JSONResponse({**upload.as_dict(), "poster": poster(video)})
        except InputError as error:
            return PlainTextResponse(str(error), status_code=422)

    def _file(self, name: str) -> Response:
        try:
            path = self.storage.find(name)
        except InputError as error:
            return PlainTextResponse(str(error), status_code=404)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        # An upload must never act as a page of this server.
        return FileResponse(path, media_type=kind, headers=_HEADERS | {"Content-Security-Policy": "sandbox"})

    def _list_examples(self) -> list[dict[str, Any]]:
        self._examples_ready.wait(timeout=60)
        return [example.as_dict() for example in self._examples]

    def _render_examples(self) -> None:
        try:
            self._examples = render_examples(self.storage)
            self._uploads |= {example.upload.ticket: example.upload for example in self._examples}
        except OSError:
            pass  # the server was closed meanwhile
        finally:
            self._examples_ready.set()

    async def _cancel(self, ticket: str) -> dict[str, bool]:
        job = self._jobs.get(ticket)
        if job is not None:
            job.interruption.set()
        return {"cancelled": job is not None}

    def _forget(self, ticket: str) -> dict[str, bool]:
        """Delete a visitor's file before its time."""
        self.storage.remove(ticket)
        return {"forgotten": True}

    def _sweep(self) -> None:
        """Delete what is old, also while no visitor comes."""
        while not self._closed.wait(timeout=60):
            self.storage.sweep()
            for ticket, upload in list(self._uploads.items()):
                if not upload.path.exists():
                    self._uploads.pop(ticket, None)
            for ticket in list(self._sources):
                if not self.storage.has(ticket):
                    self._sources.pop(ticket, None)


class _TooLargeError(InputError):
    """More bytes than one may upload."""


class _Api(gradio.Blocks):
    """Gradio's API, but that it neither fetches nor copies what a client names.

    Gradio takes every dictionary with a path for a file, and gets it, from whatever address, before it calls anything
    of ours. Here it never sees one: of an upload, only the ticket is handed on.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *others: Any, **options: Any) -> Any:
        inputs = [_without_files(value) for value in inputs]
        return await super().preprocess_data(block_fn, inputs, *others, **options)


def _without_files(value: Any) -> Any:
    """A value as a client sent it, in which nothing is a file any more."""
    if isinstance(value, dict):
        return str(value.get("path"))
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        raise gradio.Error("This is not what is asked for here; give plain values in lists.", print_exception=False)
    return value


def _without_self(method: Callable[..., Iterator[Event]]) -> Callable[..., Iterator[Event]]:
    """A function with the signature of a bound method: Gradio reads signatures of functions."""

    @functools.wraps(method)
    def endpoint(*values: Any, **named: Any) -> Iterator[Event]:
        yield from method(*values, **named)

    return endpoint


def _is_signed_in(request: Request) -> bool:
    app = request.app
    if app.auth is None:
        return True
    cookies = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")  # as Gradio's sign-in sets
    return any(request.cookies.get(cookie) in app.tokens for cookie in cookies)


def _signed_in(request: Request) -> None:
    if not _is_signed_in(request):
        raise HTTPException(status_code=401, detail="Sign in first.")
