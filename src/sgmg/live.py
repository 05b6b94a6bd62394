"""Frames that come while they are asked for and only once: cameras, network streams, pipes, iterables.

A `LiveVideo` is read by a thread of its own. Where the source cannot wait (a camera, a network stream), the newest
frames are kept and older ones are dropped and counted, so that what is segmented is never far behind what happens; and
because they are dropped together, the frames of a clip stay neighbours. Where it can wait (a pipe), it does.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit, urlunsplit

import av
import numpy as np
from av.error import ExitError, FFmpegError
from PIL import Image

from sgmg.errors import InputError
from sgmg.video import (
    ArrayVideo,
    DecodedVideo,
    Frame,
    Losses,
    TimedFrame,
    Video,
    VideoSource,
    as_rate,
    decode,
    open_alone,
    open_video,
    picture_stream,
)

StreamSource: TypeAlias = "VideoSource | BinaryIO | Iterable[Any]"

STANDARD_INPUT = "-"
TIMEOUT = 10.0
"""Seconds without a frame after which a live source counts as stalled."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
# What sends at its own pace, whoever listens; others (http, tcp) wait.
_REAL_TIME = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srtp", "udp", "srt"})
_CAMERA = "/dev/video"
# Frames of a live source that wait while the network is busy: as many as a clip of `Segmenter.stream` has.
_WAITING = 8


def open_stream(
    source: StreamSource,
    fps: Fraction | float | None = None,
    timeout: float = TIMEOUT,
    waiting: int = _WAITING,
    options: Mapping[str, str] | None = None,
) -> Video:
    """Open anything that frames come from, also what has no end and can be read only once.

    Args:
        source: "-" for a video on standard input; an address such as "rtsp://…"; a camera's device such as
            "/dev/video0"; an open binary file or pipe; an iterable of (H, W, 3) or (3, H, W) arrays or tensors or of
            PIL images; or anything that `sgmg.video.open_video` takes.
        fps: frames per second of sources that state none (images and arrays; default 24).
        timeout: seconds after which a source that gives no frame has stalled, which is an error.
        waiting: frames of a live source that wait while the network is busy.
        options: FFmpeg's own options for the source, such as `{"framerate": "30", "video_size": "1280x720"}`.

    Raises:
        InputError: the source is missing, gives nothing in time, or gives no video.
    """
    if not 0 < timeout <= 86_400:
        raise InputError(f"A timeout of {timeout} seconds is not possible; give a number above 0.")
    if isinstance(source, (str, Path)):
        name = str(source)
        if name == STANDARD_INPUT:
            return LiveVideo(_standard_input(), "standard input", True, timeout, options=options)
        if _ADDRESS.match(name):
            return LiveVideo(name, _without_password(name), not is_live(name), timeout, waiting, options)
        if name.startswith(_CAMERA):
            return LiveVideo(_camera(name), name, False, timeout, waiting, options, form="v4l2")
        if _is_pipe(name):
            return LiveVideo(name, name, True, timeout, options=options)
        return open_video(source, fps)
    if isinstance(source, Video):
        return source
    if callable(getattr(source, "read", None)):
        return LiveVideo(cast(BinaryIO, source), "pipe", True, timeout, options=options)
    if isinstance(source, (list, tuple)) or hasattr(source, "shape") or not isinstance(source, Iterable):
        return open_video(cast(VideoSource, source), fps)
    return IteratedFrames(source, fps)


def is_live(source: str) -> bool:
    """Whether a name is that of a source that does not wait and may have no end: a camera or such an address."""
    address = _ADDRESS.match(source)
    return source.startswith(_CAMERA) or (address is not None and address[1].lower() in _REAL_TIME)


def is_stream(source: str) -> bool:
    """Whether a name is that of something that can be read only once: see `open_stream`."""
    return source == STANDARD_INPUT or source.startswith(_CAMERA) or bool(_ADDRESS.match(source)) or _is_pipe(source)


def _is_pipe(source: str) -> bool:
    try:
        return Path(source).is_fifo()
    except (OSError, ValueError):
        return False


class IteratedFrames(Video):
    """Images from an iterable, which is asked for the next one when it is needed and for each only once."""

    can_be_read_again = False

    def __init__(self, images: Iterable[Any], fps: Fraction | float | None = None) -> None:
        super().__init__()
        self.source, self.fps = "iterable", as_rate(fps)
        self.time_base = 1 / self.fps
        self._images = iter(images)
        first = next(self._images, None)
        if first is None:
            raise InputError("The iterable of frames is empty; give at least one frame.")
        self._first: np.ndarray | None = _one_frame(first)
        self.size = self._first.shape[:2]

    def __iter__(self) -> Iterator[Frame]:
        if self._first is None:
            raise InputError("The frames of an iterable can be read only once; make it again, or give a list.")
        first, self._first = self._first, None
        for index, image in enumerate(itertools.chain([first], map(_one_frame, self._images))):
            if image.shape[:2] != self.size:
                raise InputError(
                    f"Frame {index} is {image.shape[1]}x{image.shape[0]} where the first is "
                    f"{self.size[1]}x{self.size[0]}; give frames of one size."
                )
            yield Frame(image, index / self.fps, 1 / self.fps, f"{index:05d}")


def _one_frame(image: Any) -> np.ndarray:
    """An image or array as (H, W, 3) uint8, a copy: many sources write each frame over the one before."""
    if not isinstance(image, Image.Image) and len(getattr(image, "shape", ())) != 3:
        raise InputError(
            f"A {type(image).__name__} of shape {tuple(getattr(image, 'shape', ()))} is not a frame; "
            "give (H, W, 3) or (3, H, W), or PIL images."
        )
    return next(iter(ArrayVideo([image] if isinstance(image, Image.Image) else image[None]))).image.copy()


class LiveVideo(DecodedVideo):
    """A source that FFmpeg reads and that comes only once, read by a thread into a short queue.

    Args:
        place: what FFmpeg opens: an address, a device's path, or a binary file.
        source: what to call it.
        can_wait: whether the source waits while the queue is full; otherwise its oldest frame is dropped.
        timeout: seconds after which a source that gives no frame has stalled.
        waiting: frames in the queue.
        options: FFmpeg's own.
        form: FFmpeg's name of the input's format, where it must be told.

    Attributes:
        dropped: frames that the source gave and nobody got.

    Raises:
        InputError: nothing comes in time, or it is no video.
    """

    can_be_read_again = False

    def __init__(
        self,
        place: str | BinaryIO,
        source: str,
        can_wait: bool = False,
        timeout: float = TIMEOUT,
        waiting: int = _WAITING,
        options: Mapping[str, str] | None = None,
        form: str | None = None,
    ) -> None:
        super().__init__()
        self.source, self._timeout, self._taken = source, timeout, False
        self._name = "Standard input" if source == "standard input" else f"'{source}'"
        self._can_wait, self._lost = can_wait, 0
        self._queue = _Queue(waiting, can_wait)
        opening = {
            "format": form,
            "options": ({"rtsp_transport": "tcp"} if str(place).startswith("rtsp") else {}) | dict(options or {}),
            # Reading a file of Python's is not FFmpeg's to interrupt.
            "timeout": timeout if isinstance(place, str) else None,
        }
        opened = place if isinstance(place, str) else _Pipe(place)
        threading.Thread(target=self._read, args=(opened, opening), name=f"reads {source}", daemon=True).start()
        self._first = self._next()  # the thread has described the video by then
        if self._first is None:
            raise InputError(f"{self._name} holds no video frame; check what it gives.")

    @property
    def dropped(self) -> int:  # type: ignore[override]
        """Frames so far that came and were dropped, since what is done with them takes longer."""
        return self._queue.dropped

    def stop(self) -> None:
        """End the video here: the frames that wait already are still given, no more are read."""
        self._queue.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._taken:
            raise InputError(f"{self._name} can be read only once; keep its frames, or record it to a file.")
        self._taken, timed, count = True, self._first, 0
        self._first = None
        try:
            while timed is not None:
                yield self._frame(timed)
                count += 1
                timed = self._next()
        finally:
            self.stop()
        if self._lost:
            self._report(
                f"{self._name} is damaged or ended within a frame: {count + self.dropped} frames were decoded, "
                f"about {self._lost} are lost."
            )
        if self.dropped:
            self._report(
                f"{self._name} is faster than the segmentation: {self.dropped} of {count + self.dropped} frames "
                "were dropped."
            )

    def _next(self) -> TimedFrame | None:
        try:
            return self._queue.take(self._timeout)
        except TimeoutError:
            self.stop()
            raise InputError(self._stalled()) from None

    def _stalled(self) -> str:
        return (
            f"{self._name} has given no frame for {self._timeout:g} seconds; check it, or let it take longer "
            "with --timeout."
        )

    def _read(self, place: str | _Pipe, opening: dict[str, Any]) -> None:
        """What the thread does: decode until the end, and pass on what goes wrong."""
        losses = Losses()
        try:
            alone = isinstance(place, _Pipe) or _is_pipe(place)  # an address may well be a playlist's
            with (
                open_alone(place, self.source, **opening)
                if alone
                else av.open(place, metadata_errors="replace", **opening)
            ) as container:
                stream = picture_stream(container, self.source)
                frames = decode(container, stream, losses)
                if self._can_wait:
                    # Of frames in threads of their own, FFmpeg gives some before it is known that they are damaged.
                    stream.thread_type = "SLICE"
                    frames = _whole(frames, losses)
                first = next(frames, None)
                if first is not None:
                    self._describe(container, stream, first)
                    for timed in self._timed(itertools.chain([first], frames)):
                        if not self._queue.put(timed):
                            return
            self._lost = losses.damaged + losses.broke_off
            self._queue.close()
        except InputError as error:
            self._queue.close(error)
        except ExitError:  # FFmpeg's own timeout
            self._queue.close(InputError(self._stalled()))
        except (FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(place, _Pipe) and not place.any:
                self._queue.close(
                    InputError(f"{self._name} is empty; the program that should fill it may have failed.")
                )
            self._queue.close(InputError(f"{self._name} cannot be read as a video ({reason}); {_advice(place)}"))


def _whole(frames: Iterator[av.VideoFrame], losses: Losses) -> Iterator[av.VideoFrame]:
    """Without frames that are decoded in part. Of a network, which always loses something, they are worth having."""
    for frame in frames:
        if frame.is_corrupt:
            losses.damaged += 1
        else:
            yield frame


class _Pipe:
    """A binary file of which it is known whether anything came, and which FFmpeg does not try to seek in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.any = file, False

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self.any = self.any or bool(content)
        return content


class _Queue:
    """Frames between the thread that reads and whoever wants them; one end waits or drops, the other times out."""

    def __init__(self, length: int, can_wait: bool) -> None:
        self.dropped = 0
        self._length, self._can_wait = max(length, 1), can_wait
        self._items: deque[TimedFrame] = deque()
        self._closed = False
        self._error: InputError | None = None
        self._changed = threading.Condition()

    def put(self, item: TimedFrame) -> bool:
        """Append; False where nobody wants more."""
        with self._changed:
            while self._can_wait and len(self._items) >= self._length and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            if len(self._items) >= self._length:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> TimedFrame | None:
        """The oldest item; None at the end.

        Raises:
            TimeoutError: there was none in time.
            InputError: what the thread that reads met, once all before it is taken.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()
            if self._error is not None:
                raise self._error
            return None

    def close(self, error: InputError | None = None) -> None:
        """Nothing more comes, for this reason if any."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
            self._changed.notify_all()


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(
            "Nothing is piped into standard input; pipe a video in: `ffmpeg -i FILE -f nut - | sgmg segment - …`."
        )
    # Unbuffered: a thread that waits in a buffered read would hold its lock when the program ends.
    return FileIO(sys.stdin.fileno(), closefd=False)


def _camera(name: str) -> str:
    if not Path(name).exists():
        found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        raise InputError(f"There is no camera '{name}'; cameras here: {found}.")
    if not os.access(name, os.R_OK):
        raise InputError(f"The camera '{name}' may not be read; add yourself to the group 'video'.")
    return name


def _without_password(address: str) -> str:
    """An address as it may be shown and stored."""
    try:
        parts = urlsplit(address)
    except ValueError:  # such as a bracket in the password
        scheme, _, rest = address.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _advice(place: str | _Pipe) -> str:
    if isinstance(place, str):
        return "check the address, and that the source is running."
    return "pipe in a format that needs no seeking, such as `ffmpeg -i FILE -f nut -`."
