"""The server: Gradio's queue, API and sign-in, with files under tickets and a page of our own."""

from __future__ import annotations

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

import sgmg
from sgmg.app.examples import Example, render_examples
from sgmg.app.jobs import Event, Job
from sgmg.app.limits import Limits
from sgmg.app.storage import Storage, stored_name
from sgmg.app.uploads import Upload, poster
from sgmg.errors import InputError
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
        jobs = list(self._jobs.values())
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
            if min_score is not None and not 0 <= min_score <= 1:
                raise InputError("Scores lie between 0 and 1; give such a lowest score.")
            job = Job(upload, self.limits.sentences_of(str(expressions)), min_score, watched)
            yield from self._watch(job)
        except InputError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def _watch(self, job: Job) -> Iterator[Event]:
        ticket = None
        try:
            for event in job.events(self.segmenter, self.limits, self.storage):
                if event["kind"] == "started":
                    ticket = event["job"]
                    self._jobs[ticket] = job
                yield event
        finally:
            if ticket is not None:
                self._jobs.pop(ticket, None)

    def _upload_of(self, video: Any) -> Upload:
        name = video.get("path") if isinstance(video, dict) else video  # from Gradio's clients, from the page
        upload = self._uploads.get(str(name))
        self.storage.find(str(name))  # raises if it is gone
        if upload is None:
            raise InputError("This is no video that was given to this page; give the video again.")
        return upload

    # --- the pages and files behind it ---------------------------------------------------------------------------

    def _build(self) -> gradio.Server:
        # FastAPI's own documentation pages load scripts from elsewhere.
        app = gradio.Server(title="sgmg", docs_url=None, redoc_url=None, openapi_url=None)
        known = [Depends(_signed_in)]
        # These stand before Gradio's routes of the same addresses, which tell and take paths of the server.
        app.post("/gradio_api/upload", dependencies=known)(self._receive)
        app.get("/gradio_api/file={name:path}", dependencies=known)(self._file)
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
        with gradio.Blocks(mode="server", analytics_enabled=False) as blocks:
            gradio.api(
                _endpoint(self.segment),
                api_name="segment",
                api_description="Find what sentences, one a line, mean in a video.",
                concurrency_limit=1,
                concurrency_id="segmenter",
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
            "device": str(self.segmenter.device),
            "minScore": self.segmenter.model.config.min_score,
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
        with path.open("wb") as kept:
            while chunk := file.file.read(1 << 20):
                kept.write(chunk)
        upload = Upload.read(f"{ticket}/{path.name}", path, name)
        self._uploads[upload.ticket] = upload
        return upload

    def _about(self, name: str) -> Response:
        """What a video is; a sentence where it is none, or too much of one."""
        try:
            upload = self._upload_of({"path": name})
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


class _TooLargeError(InputError):
    """More bytes than one may upload."""


def _endpoint(method: Callable[..., Iterator[dict[str, Any]]]) -> Callable[..., Iterator[dict[str, Any]]]:
    """Gradio reads signatures; a bound method's is that of a function here."""

    def segment(
        video: gradio.FileData, expressions: str, min_score: float | None = None, watched: bool = False
    ) -> Iterator[dict[str, Any]]:
        yield from method(video, expressions, min_score, watched)

    return segment


def _is_signed_in(request: Request) -> bool:
    app = request.app
    if app.auth is None:
        return True
    cookies = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")  # as Gradio's sign-in sets
    return any(request.cookies.get(cookie) in app.tokens for cookie in cookies)


def _signed_in(request: Request) -> None:
    if not _is_signed_in(request):
        raise HTTPException(status_code=401, detail="Sign in first.")
