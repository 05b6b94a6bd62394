"""Frames from files, folders, images and arrays, one at a time.

What every source gives is the same: upright RGB frames, 8 bits a channel, each with its time. So

- rotation and mirroring stored beside the picture (a phone's display matrix, EXIF) are applied;
- transparency is composited over black, as players show it;
- more than 8 bits a channel are converted to 8;
- a truncated file gives the frames that decode, and says how many were lost (`InputWarning`);
- timestamps are kept, so that a variable frame rate stays what it was.

Nothing here holds a whole video: a `Video` decodes while it is iterated, and can be iterated again.
"""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import ExitError, FFmpegError
from natsort import natsorted, ns
from PIL import Image, ImageOps

from sgmg.errors import InputError, InputWarning
from sgmg.paths import user_path

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_FPS = Fraction(24)
"""Frame rate of sources that state none: folders of images, single images, arrays."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
    | {".jp2", ".avif"}
)

MOST_PIXELS = 2**26
"""Of a frame: 8192 x 8192. What claims more is refused before it is decoded, since it would fill the memory."""

LONGEST_SIDE = 16_384
"""Of a frame, in pixels: no H.264 overlay could be written of a longer one."""

_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""Formats of FFmpeg that hold no pictures but open what they name, which may be any file of the machine."""

_MILLISECOND = Fraction(1, 1000)
_FINEST_TIME_BASE = Fraction(1, 1_000_000)
_LONGEST_GAP = 3600  # seconds between two frames; a stamp further ahead is damaged, or of another clock
#: What Pillow raises, of an image whose header it could read, where the rest is damaged or cut off.
_BROKEN_IMAGE = (OSError, ValueError, SyntaxError, TypeError, EOFError)
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)

VideoSource: TypeAlias = "str | Path | np.ndarray | Tensor | Sequence[np.ndarray | Image.Image] | Video"


@dataclass(frozen=True)
class Frame:
    """One frame: its picture, when it is shown, and what to call it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    time: Fraction  # seconds since the first frame
    duration: Fraction  # seconds for which it is shown
    name: str  # file stem in a folder of images, otherwise the index with five digits

    def without_image(self) -> Frame:
        """The same with an image of 0 x 0 pixels, for keeping."""
        return replace(self, image=_NO_IMAGE)


@dataclass(frozen=True)
class Colour:
    """How a file's YUV values mean colours (FFmpeg's numbers; 2 is "unspecified")."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colour:
        """The tags of a decoded frame; of RGB files none, since they hold no YUV values."""
        if frame.format.is_rgb or frame.format.has_palette:
            return cls()
        return cls(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc))


class Video(ABC):
    """Frames of one source, decoded when iterated; every iteration starts at the first frame (live ones allow one).

    Attributes:
        source: what to call it: a path as given, or "array".
        path: the file or folder, None for arrays.
        size: (height, width) in pixels, upright.
        fps: average frames per second.
        frame_count: number of frames where the source states it (then an expectation, not a promise).
        time_base: unit in which all the frames' times are whole numbers, where the source has one.
        has_sound: whether `path` also holds sound.
        sound_start: time of the first frame on the clock of the file's sound, in seconds.
        pixel_aspect: width of a pixel over its height.
        colour: how the source's YUV values mean colours.
        problems: sentences about what could not be read, known after a full iteration.
        sound_end: where on that clock the sound ends, where it goes on beyond the last frame; otherwise None.
        can_be_read_again: False for sources that give each frame only once (see `sgmg.live`).
        dropped: frames so far that such a source gave while nobody was ready for them.
    """

    source: str
    path: Path | None = None
    size: tuple[int, int]
    fps: Fraction
    frame_count: int | None = None
    time_base: Fraction
    has_sound: bool = False
    sound_start: Fraction = Fraction(0)
    sound_end: Fraction | None = None
    pixel_aspect: Fraction = Fraction(1)
    can_be_read_again: bool = True
    dropped: int = 0

    def __init__(self) -> None:
        self.colour = Colour()
        self.problems: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Decode from the first frame on."""

    def since(self, time: Fraction) -> Iterator[Frame]:
        """Decode from the first frame on that is shown at a time, in seconds, or later."""
        return (frame for frame in self if frame.time >= time)

    def _report(self, problem: str) -> None:
        """Warn about a problem, once however often the video is read."""
        if problem not in self.problems:
            self.problems.append(problem)
            warnings.warn(problem, InputWarning, stacklevel=3)


class Excerpt(Video):
    """A part of a video. Its times count from its own first frame; its frames' names stay those of the video.

    Args:
        video: the whole.
        start: the first frame is the first one shown then or later, in seconds since the video's first frame.
        end: the last frame is the last one shown before that; by default that of the video.

    Raises:
        InputError: there is no frame between start and end.
    """

    def __init__(self, video: Video, start: Fraction | float = 0, end: Fraction | float | None = None) -> None:
        super().__init__()
        if start < 0 or (end is not None and end <= start):
            raise InputError(
                f"There is nothing between {float(start):g} s and {float(end or 0):g} s; give a start before the end."
            )
        self._video, self._start = video, Fraction(start)
        self._end = None if end is None else Fraction(end)
        self._live = None if video.can_be_read_again else self._cut(video.since(self._start))
        first = next(self._cut(video.since(self._start)) if self._live is None else self._live, None)
        if first is None:
            raise InputError(f"'{video.source}' has no frame at {float(start):g} s or later; give an earlier start.")
        self._first = first
        self.source, self.path, self.size, self.fps = video.source, video.path, video.size, video.fps
        self.time_base, self.pixel_aspect, self.colour = video.time_base, video.pixel_aspect, video.colour
        self.problems, self.can_be_read_again = video.problems, video.can_be_read_again
        self.has_sound, self.sound_start = video.has_sound, video.sound_start + first.time
        self.sound_end = video.sound_end if self._end is None else video.sound_start + self._end
        if video.frame_count is not None:
            last = video.frame_count if self._end is None else min(video.frame_count, math.ceil(self._end * self.fps))
            self.frame_count = max(last - round(first.time * self.fps), 1)

    def __iter__(self) -> Iterator[Frame]:
        frames = self._cut(self._video.since(self._start))
        if self._live is not None:
            frames, self._live = itertools.chain([self._first], self._live), iter(())
        return (replace(frame, time=frame.time - self._first.time) for frame in frames)

    def _cut(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        return itertools.takewhile(lambda frame: self._end is None or frame.time < self._end, frames)


def open_video(source: VideoSource, fps: Fraction | float | None = None) -> Video:
    """Open anything that holds frames.

    Args:
        source: a video file, a folder of images (natural order), an image, an array or tensor of shape
            (T, H, W, 3) or (T, 3, H, W), uint8 or floating point in [0, 1], a list of (H, W, 3) images,
            or a `Video`, which is returned as it is.
        fps: frames per second of sources that state none (images and arrays; default 24).

    Raises:
        InputError: the source is missing, holds no picture, or cannot be decoded at all.
    """
    if isinstance(source, Video):
        return source
    if isinstance(source, (str, Path)):
        path = user_path(source)
        _check_name(path)
        try:
            if path.is_dir():
                return ImageFiles(_images_in(path), source=str(source), path=path, fps=fps)
            if not path.exists():
                raise InputError(f"There is no file or folder '{source}'; check the path.")
            if path.is_file() and path.stat().st_size == 0:
                raise InputError(f"'{source}' is empty (0 bytes); give a video that holds frames.")
            if path.suffix.lower() in IMAGE_SUFFIXES:
                return ImageFiles([path], source=str(source), path=path, fps=fps)
            if fps is not None:
                raise InputError(f"'{source}' states its own frame rate; leave `fps` out.")
            return VideoFile(path, source=str(source))
        except PermissionError as error:
            raise InputError(f"'{source}' may not be read; check its permissions.") from error
    return ArrayVideo(source, fps=fps)


def _check_name(path: Path) -> None:
    """Results tell of files by name, in UTF-8; some systems have names in no encoding at all.

    Raises:
        InputError: it has such a name.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The name of {str(path)!r} is not valid Unicode; rename it.") from error


def read_video(source: VideoSource) -> np.ndarray:
    """Decode everything at once: (T, H, W, 3) uint8 RGB. For short videos; iterate over long ones."""
    return np.stack([frame.image for frame in open_video(source)])


def as_rate(fps: Fraction | float | None) -> Fraction:
    """A frame rate as people give it, exact; None is `DEFAULT_FPS`."""
    rate = DEFAULT_FPS if fps is None else Fraction(fps).limit_denominator(1_001_000)
    if not 0 < rate <= 1000:
        raise InputError(f"A frame rate of {fps} is not possible; give a number above 0 and up to 1000.")
    return rate


# --- files that FFmpeg reads ---------------------------------------------------------------------------


class DecodedVideo(Video):
    """What FFmpeg decodes, from wherever it comes: how its frames become upright RGB with exact times."""

    _unit: Fraction  # of the frames' own stamps

    def _describe(self, container: InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> None:
        """Take over what the container and its first frame say of the video."""
        fps = stream.average_rate or stream.guessed_rate or stream.base_rate
        self.fps = Fraction(fps) if fps and 0 < fps <= 1000 else Fraction(25)
        self._unit = stream.time_base or 1 / self.fps
        self.time_base = self._unit
        if self._unit == _MILLISECOND or self._unit < _FINEST_TIME_BASE:
            rate = self.fps.numerator  # in whole units both of the frame rate and, nearly, of any other time
            self.time_base = Fraction(1, rate * max(round(90_000 / rate), 1))
        self.size = _upright(first).shape[:2]
        self.sound_start = (first.pts or 0) * self._unit
        self.pixel_aspect, self.colour = _pixel_aspect(stream, first), Colour.of(first)

    def _timed(
        self, frames: Iterable[av.VideoFrame], first: int = 0, start: Fraction | None = None
    ) -> Iterator[TimedFrame]:
        """Decoded frames with their times since the first of the video, always rising.

        Args:
            frames: in order.
            first: the number of the first of them.
            start: the stamp of the video's first frame in seconds, where that is not one of them.
        """
        time = -1 / self.fps
        for count, decoded in enumerate(frames, first):
            # Frames that a decoder held back to the end have lost their own time base.
            stamp = None if decoded.pts is None else decoded.pts * self._unit
            start = stamp if start is None else start
            previous, time = time, time + 1 / self.fps
            if stamp is not None and start is not None:
                if count > first and stamp - start > previous + _LONGEST_GAP:
                    start = stamp - time
                time = self._without_rounding(stamp - start)
            if time <= previous:  # stamps that repeat or run backwards
                time = previous + self.time_base
            yield TimedFrame(count, time, decoded)

    def _frame(self, timed: TimedFrame) -> Frame:
        """A decoded frame as this package's frames are: upright, RGB, of the size of the first."""
        image = _upright(timed.decoded)
        if image.shape[:2] != self.size:
            image = np.asarray(Image.fromarray(image).resize(self.size[::-1], Image.Resampling.BILINEAR))
        duration = (timed.decoded.duration or 0) * self._unit or 1 / self.fps
        return Frame(image, timed.time, duration, f"{timed.count:05d}")

    def _without_rounding(self, time: Fraction) -> Fraction:
        """Matroska rounds times to milliseconds; where a constant rate was meant, give its exact time."""
        exact = round(time * self.fps) / self.fps
        return exact if self._unit == _MILLISECOND and abs(exact - time) <= _MILLISECOND else time


@dataclass(frozen=True)
class TimedFrame:
    """A frame as FFmpeg gave it, before it costs the work of making RGB of it."""

    count: int  # frames before it
    time: Fraction  # seconds since the first frame
    decoded: av.VideoFrame


class VideoFile(DecodedVideo):
    """A video file of any container and codec that FFmpeg reads."""

    def __init__(self, path: Path, source: str | None = None) -> None:
        super().__init__()
        # An absolute path is never taken for a protocol ("a:b.mp4") by FFmpeg.
        self.path = path.resolve()
        self.source = source or str(path)
        with _open_container(self.path, self.source) as container:
            stream = picture_stream(container, self.source)
            first = next(decode(container, stream, Losses()), None)
            if first is None:
                raise InputError(
                    f"No frame of '{self.source}' can be decoded; the file may be damaged or cut off early."
                )
            self._describe(container, stream, first)
            self.frame_count = stream.frames or self._estimated_count(container, stream)
            self.has_sound = bool(container.streams.audio)

    def __iter__(self) -> Iterator[Frame]:
        losses, count = Losses(), 0
        with _open_container(self.path, self.source) as container:
            stream = picture_stream(container, self.source)
            for timed in self._timed(decode(container, stream, losses)):
                yield self._frame(timed)
                count += 1
            self._report_losses(container, stream, losses, count)

    def since(self, time: Fraction) -> Iterator[Frame]:
        """The frames shown at a time or later, decoded from the keyframe before it where the file allows that."""
        if time <= 0:
            return iter(self)
        with _open_container(self.path, self.source) as container:
            stream = picture_stream(container, self.source)
            index = _frame_index(container, stream)
            if index is None:
                return self._since_by_decoding(time)
            start = index.times[0] * self._unit
            number = bisect_left(
                index.times, time, key=lambda stamp: self._without_rounding(stamp * self._unit - start)
            )
            return iter(()) if number == len(index.times) else self._from_keyframe(index, number)

    def _since_by_decoding(self, time: Fraction) -> Iterator[Frame]:
        """What comes before is decoded too, but costs no more than that."""
        losses, count = Losses(), 0
        with _open_container(self.path, self.source) as container:
            stream = picture_stream(container, self.source)
            for timed in self._timed(decode(container, stream, losses)):
                if timed.time >= time:
                    yield self._frame(timed)
                count += 1
            self._report_losses(container, stream, losses, count)

    def _from_keyframe(self, index: _FrameIndex, number: int) -> Iterator[Frame]:
        losses, count = Losses(), number
        with _open_container(self.path, self.source) as container:
            stream = picture_stream(container, self.source)
            container.seek(index.times[index.keyframe(number)], stream=stream)
            frames = itertools.dropwhile(
                lambda frame: frame.pts is not None and frame.pts < index.times[number],
                decode(container, stream, losses),
            )
            for timed in self._timed(frames, number, index.times[0] * self._unit):
                yield self._frame(timed)
                count += 1
            self._report_losses(container, stream, losses, count)

    def _estimated_count(self, container: InputContainer, stream: av.VideoStream) -> int | None:
        if stream.duration and stream.time_base:
            return max(1, round(stream.duration * stream.time_base * self.fps))
        return max(1, round(Fraction(container.duration, av.time_base) * self.fps)) if container.duration else None

    def _report_losses(self, container: InputContainer, stream: av.VideoStream, losses: Losses, count: int) -> None:
        missing = losses.missing(container, stream, self.fps)
        expected = max(self.frame_count or 0, count + missing)
        if missing or losses.broke_off:
            lost = max(missing, 1)
            self._report(
                f"'{self.source}' is cut off: {count} frames were decoded and about {lost} of "
                f"{max(expected, count + lost)} are lost."
            )
        elif losses.damaged:
            self._report(f"'{self.source}' is damaged: {count} frames were decoded, about {losses.damaged} are lost.")


def open_alone(place: Any, source: str, options: Mapping[str, str] | None = None, **opening: Any) -> InputContainer:
    """Open a container whose content is nobody's to trust: nothing in it makes FFmpeg read another file, or the net.

    Args:
        place: a path, or an open file of Python's.
        source: what to call it.
        options: FFmpeg's own, for this container.
        opening: further arguments of `av.open`.

    Raises:
        InputError: it holds no pictures but names other files.
        FFmpegError, ValueError: as `av.open`.
    """
    protocol = {"protocol_whitelist": "file" if isinstance(place, str) else "pipe"}
    container: InputContainer = av.open(
        place, metadata_errors="replace", options={**(options or {}), **protocol}, **opening
    )
    if _PLAYLISTS & set(container.format.name.split(",")):
        container.close()
        raise InputError(f"'{source}' only names other files; give the video itself.")
    return container


def _open_container(path: Path | None, source: str) -> InputContainer:
    assert path is not None
    try:
        return open_alone(str(path), source)
    except (FFmpegError, ValueError) as error:
        if isinstance(error, (PermissionError, InputError)):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"'{source}' cannot be read as a video ({reason}); "
            "it may be another kind of file, or cut off before its index."
        ) from error


def picture_stream(container: InputContainer, source: str) -> av.VideoStream:
    """The first moving picture: neither a song's cover nor a text file that FFmpeg would typeset."""
    streams = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams or container.format.name == "tty":
        raise InputError(f"'{source}' has no video stream; give a file that has a picture.")
    if streams[0].codec_context is None:
        raise InputError(f"'{source}' is compressed in a way that no decoder here knows; it may be damaged.")
    check_pixels(streams[0].width, streams[0].height, source)
    streams[0].codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # a header may say less than the frames do
    streams[0].thread_type = "AUTO"
    return streams[0]


def check_pixels(width: int, height: int, source: str) -> None:
    """Refuse frames that are too large.

    Raises:
        InputError: they have more than `MOST_PIXELS`, or a side above `LONGEST_SIDE`.
    """
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise InputError(
            f"'{source}' has frames of {width}x{height}; make them smaller first: at most {MOST_PIXELS // 10**6} "
            f"million pixels, and {LONGEST_SIDE} on a side."
        )


def decode(container: InputContainer, stream: av.VideoStream, losses: Losses) -> Iterator[av.VideoFrame]:
    """Frames in order of presentation; what cannot be decoded is counted and passed over."""
    decoder = _alpha_decoder(stream) or stream.codec_context
    packets = container.demux()
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except ExitError:  # a source that stalls: whoever set the timeout knows
            raise
        except (FFmpegError, ValueError):  # the container itself breaks off here
            losses.broke_off = True
            packet = None
        if packet is not None:
            losses.saw(packet)
            if packet.stream.index != stream.index:
                continue
            if packet.is_corrupt and packet.size:  # cut off in its middle
                losses.damaged += 1
                continue
        flush = packet is None or not packet.size
        try:
            yield from decoder.decode(None if flush else packet)
        except EndOfFile:
            return
        except (FFmpegError, ValueError):
            losses.damaged += 1
        if flush:
            return


class Losses:
    """What a pass over a file met, to tell afterwards whether the file was whole."""

    def __init__(self) -> None:
        self.damaged = 0  # packets that could not be decoded
        self.broke_off = False  # reading failed before the end
        self._furthest = Fraction(0)

    def saw(self, packet: av.Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.time_base:
            self._furthest = max(self._furthest, (stamp + (packet.duration or 0)) * packet.time_base)

    def missing(self, container: InputContainer, stream: av.VideoStream, fps: Fraction) -> int:
        """Frames that the container announces and that its file does not hold."""
        if stream.frames and "mp4" in container.format.name:
            # Exact: the index says where every frame's bytes should be.
            end = container.size
            return sum(entry.pos + entry.size > end for entry in stream.index_entries)
        if not container.duration:
            return 0
        announced = Fraction(container.duration + (container.start_time or 0), av.time_base)
        gap = announced - self._furthest
        return round(gap * fps) if gap > max(2 / fps, Fraction(1, 10)) else 0


def _alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """FFmpeg's own VP8 and VP9 decoders drop the transparency of WebM files; libvpx keeps it."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return None
    with suppress(FFmpegError, ValueError):  # a build of FFmpeg without libvpx: opaque is better than nothing
        decoder = cast(av.VideoCodecContext, av.CodecContext.create(name, "r"))
        decoder.options = {"max_pixels": str(MOST_PIXELS)}
        return decoder
    return None


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """RGB pixels as they are meant to be seen, (H, W, 3) uint8.

    In one thread: a frame that is freed waits for the threads that converted it, for ever in a forked process
    (such as a DataLoader's worker), where these are not there.
    """
    if any(component.is_alpha for component in frame.format.components) or frame.format.has_palette:
        image = _over_black(frame.to_ndarray(format="rgba", threads=1))
    else:
        image = frame.to_ndarray(format="rgb24", threads=1)
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        image = _apply_display_matrix(image, np.frombuffer(bytes(matrix)[:36], np.int32).reshape(3, 3))
    return image


def _apply_display_matrix(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror by quarter turns: (x, y) is shown at (a x + c y, b x + d y) for [[a, b], [c, d]]."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.swapaxes(0, 1)
        a, d = c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _over_black(rgba: np.ndarray) -> np.ndarray:
    """Composite (H, W, 4) uint8 over black."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _pixel_aspect(stream: av.VideoStream, frame: av.VideoFrame) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return 1 / aspect if aspect and abs(frame.rotation) == 90 else aspect or Fraction(1)


# --- single frames of files -----------------------------------------------------------------------------

SEEKABLE_CODECS = frozenset({"h264", "hevc"})
"""Codecs of which a packet is a frame, so that packets can be counted without decoding them."""


class VideoFrames:
    """Frames of a video file by their index, the same pixels as an iteration over the `VideoFile` gives.

    Opening it reads the file through once without decoding, for the times of its frames. Then a frame costs
    what lies between it and the keyframe before it. Where a file allows no exact seeking (other codecs,
    packets without times, frames that do not come out as announced) it is decoded from its start instead:
    slower, the same result.

    >>> with VideoFrames("dog.mp4") as video:
    ...     window = video.read(range(100, 105))  # (5, H, W, 3)

    Args:
        path: the file.
        threads: threads of the decoder; one suits short reads, and loaders that run in several processes.

    Raises:
        InputError: the file is missing, holds no picture, or cannot be read as a video.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.source = str(path)
        self.path = Path(path).resolve()
        if not self.path.is_file():
            raise InputError(f"There is no video file '{path}'; check the path.")
        self._container = _open_container(self.path, self.source)
        try:
            self._stream = picture_stream(self._container, self.source)
            self._stream.thread_type = "AUTO" if threads > 1 else "NONE"
            self._stream.codec_context.thread_count = threads
            self._index = _frame_index(self._container, self._stream)
            self._count = len(self._index.times) if self._index else sum(1 for _ in VideoFile(self.path, self.source))
        except BaseException:
            self._container.close()
            raise

    def __len__(self) -> int:
        """Frames there are."""
        return self._count

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, of the first frame."""
        return self.read([0]).shape[1:3]

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The frames at `indices`, counted from 0, in any order, also repeated: (len(indices), H, W, 3) uint8 RGB.

        Raises:
            InputError: the video has no such frame, or it cannot be decoded.
        """
        if not len(indices):
            raise ValueError("at least one frame must be asked for")
        wanted = sorted({int(index) for index in indices})
        for index in (wanted[0], wanted[-1]):
            if not 0 <= index < self._count:
                raise InputError(
                    f"'{self.source}' holds {self._count} frames and none with index {index}; "
                    "it may be cut off, or another video than its annotations."
                )
        images = self._seek(wanted)
        if images is None:
            images = self._decode_all(wanted)
        return np.stack([images[int(index)] for index in indices])

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def __enter__(self) -> VideoFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seek(self, wanted: Sequence[int]) -> dict[int, np.ndarray] | None:
        """Frames by index, decoded from the keyframes before them; None where that is not exact."""
        index = self._index
        if index is None:
            return None
        groups: dict[int, list[int]] = {}  # what one seek serves: frames with the same keyframe before them
        for number in wanted:
            groups.setdefault(index.keyframe(number), []).append(number)
        images: dict[int, np.ndarray] = {}
        try:
            for keyframe, numbers in groups.items():
                images |= self._decode_from(index, keyframe, numbers)
        except (FFmpegError, ValueError, _NotExactError):
            return None
        return images if len({image.shape for image in images.values()}) == 1 else None

    def _decode_from(self, index: _FrameIndex, keyframe: int, wanted: Sequence[int]) -> dict[int, np.ndarray]:
        """Decode frames `keyframe` to the last one wanted; every one of them must come out."""
        self._container.seek(index.times[keyframe], stream=self._stream)
        expected = {index.times[number]: number for number in range(keyframe, wanted[-1] + 1)}
        chosen, images = set(wanted), {}
        for packet in self._container.demux(self._stream):
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise _NotExactError
                number = expected.pop(frame.pts, None) if frame.pts is not None else None
                if number in chosen:
                    images[number] = _upright(frame)
            if not expected:
                return images
        raise _NotExactError

    def _decode_all(self, wanted: Sequence[int]) -> dict[int, np.ndarray]:
        """Frames by index, decoded from the start of the file to the last one wanted."""
        chosen, images = set(wanted), {}
        for number, frame in enumerate(VideoFile(self.path, self.source)):
            if number in chosen:
                images[number] = frame.image
            if number == wanted[-1]:
                return images
        raise InputError(f"'{self.source}' is damaged: its frame with index {wanted[-1]} cannot be decoded.")


class _NotExactError(Exception):
    """A seek did not lead where the packets said that it would."""


@dataclass(frozen=True)
class _FrameIndex:
    """When the frames of a file are shown, in units of its stream's time base.

    Attributes:
        times: of each frame, rising.
        keyframes: numbers of the keyframes, rising.
    """

    times: list[int]
    keyframes: list[int]

    def keyframe(self, number: int) -> int:
        """The number of the last keyframe up to a frame."""
        return self.keyframes[bisect_right(self.keyframes, number) - 1]


def _frame_index(container: InputContainer, stream: av.VideoStream) -> _FrameIndex | None:
    """The index of a file whose packets tell exactly what decoding will give, otherwise None."""
    if stream.codec.canonical_name not in SEEKABLE_CODECS:
        return None
    key_times: dict[int, bool] = {}
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.pts in key_times or packet.is_corrupt:
                return None
            key_times[packet.pts] = packet.is_keyframe
    except (FFmpegError, ValueError):
        return None
    times = sorted(key_times)
    keyframes = [number for number, time in enumerate(times) if key_times[time]]
    return _FrameIndex(times, keyframes) if keyframes and keyframes[0] == 0 else None


# --- images ---------------------------------------------------------------------------------------------


class ImageFiles(Video):
    """Images as frames, in the order given; an animated image gives all of its frames."""

    def __init__(self, files: Sequence[Path], source: str, path: Path, fps: Fraction | float | None = None) -> None:
        super().__init__()
        self.source, self.path, self._files = source, path.resolve(), list(files)
        for file in files:
            _check_name(file)
        self.fps = as_rate(fps)
        self.time_base = 1 / self.fps
        names = [file.stem for file in files]
        # a.jpg beside a.png: only the full names tell them apart.
        self._names = names if len(set(names)) == len(names) else [file.name for file in files]
        announced = _image_frames(files[0]) if len(files) == 1 else 1
        self._animated = announced > 1
        if self._animated:
            self._shown_for = _durations(files[0], announced)
            self.frame_count = len(self._shown_for)
            self._missing = announced - self.frame_count
            self.time_base = Fraction(1, 1000)
            self.fps = self.frame_count / sum(self._shown_for, Fraction(0))
        else:
            self.frame_count = len(files)
            _check_one_size(files, source)
        self.size = next(iter(self)).image.shape[:2]

    def __iter__(self) -> Iterator[Frame]:
        yield from self._iterate_animation() if self._animated else self._iterate_files()

    def _iterate_files(self) -> Iterator[Frame]:
        damaged: list[str] = []
        size: tuple[int, int] | None = None
        for index, (file, name) in enumerate(zip(self._files, self._names, strict=True)):
            try:
                with _open_image(file) as image:
                    pixels = _image_pixels(image)
            except _BROKEN_IMAGE as error:
                if isinstance(error, FileNotFoundError):
                    raise
                damaged.append(file.name)
                continue
            size = size or pixels.shape[:2]
            if pixels.shape[:2] != size:  # only EXIF can make this differ from _check_one_size
                raise InputError(f"'{file.name}' is turned otherwise than the first image; turn it first.")
            yield Frame(pixels, index / self.fps, 1 / self.fps, name)
        if len(damaged) == len(self._files):
            raise InputError(f"No image in '{self.source}' can be decoded; the files may be damaged.")
        if damaged:
            listed = ", ".join(damaged[:5]) + (", …" if len(damaged) > 5 else "")
            self._report(
                f"{len(damaged)} of {len(self._files)} images in '{self.source}' cannot be decoded "
                f"and are left out: {listed}."
            )

    def _iterate_animation(self) -> Iterator[Frame]:
        time = Fraction(0)
        with _open_image(self._files[0]) as image:
            for index, duration in enumerate(self._shown_for):
                image.seek(index)
                yield Frame(_image_pixels(image), time, duration, f"{index:05d}")
                time += duration
        if self._missing:
            self._report(f"'{self.source}' is damaged or cut off: {self._missing} of its frames cannot be decoded.")


def _images_in(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
    if not files:
        raise InputError(f"The folder '{folder}' holds no images; give a folder of JPEG or PNG frames.")
    return natsorted(files, key=lambda file: file.name, alg=ns.IGNORECASE)


def _check_one_size(files: Sequence[Path], source: str) -> None:
    """Read the headers, so that a folder of mixed sizes is refused before any work is done on it."""
    seen: tuple[int, int] | None = None
    for file in files:
        try:
            with _open_image(file) as image:
                width, height = image.size
        except _BROKEN_IMAGE:
            continue  # reported when it is its turn
        seen = seen or (width, height)
        if sorted(seen) != sorted((width, height)):
            raise InputError(
                f"'{file.name}' is {width}x{height} where the first image of '{source}' is "
                f"{seen[0]}x{seen[1]}; give images of one size."
            )


def _open_image(file: Path) -> Image.Image:
    """An image whose header is read, and whose size is no danger."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise InputError(f"'{file}' is too large: {error}.") from error
    try:
        check_pixels(*image.size, str(file))
    except InputError:
        image.close()
        raise
    return image


def _image_frames(file: Path) -> int:
    try:
        with _open_image(file) as image:
            return getattr(image, "n_frames", 1)
    except InputError:
        raise
    except _BROKEN_IMAGE as error:
        raise InputError(f"'{file}' cannot be read as an image; it may be damaged.") from error


def _durations(file: Path, announced: int) -> list[Fraction]:
    """Seconds for which each frame of an animation is shown, up to the first one that cannot be decoded; browsers take
    0 and 10 ms for 100 ms."""
    durations: list[Fraction] = []
    with _open_image(file) as image:
        for index in range(announced):
            try:
                image.seek(index)
                image.load()
            except _BROKEN_IMAGE as error:
                if not durations:
                    raise InputError(f"No frame of '{file}' can be decoded; it may be damaged.") from error
                break
            milliseconds = round(float(image.info.get("duration", 0) or 0))
            durations.append(Fraction(milliseconds if milliseconds > 10 else 100, 1000))
    return durations


def _image_pixels(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8, upright, over black, whatever the file's mode."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":  # 16 bits or floating point, one channel
        values = np.asarray(upright, np.float64)
        if upright.mode != "F":
            values = values / 65535
        elif values.max() > 1:
            values = values / values.max()
        grey = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if upright.has_transparency_data:
        return _over_black(np.asarray(upright.convert("RGBA")))
    return np.array(upright.convert("RGB"))


# --- arrays ---------------------------------------------------------------------------------------------


class ArrayVideo(Video):
    """Frames that are in memory already."""

    def __init__(self, array: Any, fps: Fraction | float | None = None) -> None:
        super().__init__()
        self.source = "array"
        self._frames = _as_frames(array)
        self.frame_count = len(self._frames)
        self.size = self._frames.shape[1:3]
        self.fps = as_rate(fps)
        self.time_base = 1 / self.fps

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self._frames):
            yield Frame(_as_bytes(image), index / self.fps, 1 / self.fps, f"{index:05d}")


def _as_frames(array: Any) -> np.ndarray:
    """View (or copy) as (T, H, W, 3), still uint8 or floating point."""
    if isinstance(array, (list, tuple)):
        if not array:
            raise InputError("The list of frames is empty; give at least one frame.")
        images = [np.array(item.convert("RGB")) if isinstance(item, Image.Image) else item for item in array]
        arrays = [_as_numpy(image) for image in images]
        if len({image.shape for image in arrays}) > 1:
            raise InputError("The frames of the list differ in size; give frames of one size.")
        frames = np.stack(arrays)
    else:
        frames = _as_numpy(array)
    if frames.ndim != 4 or (frames.shape[-1] != 3 and frames.shape[1] != 3):
        raise InputError(f"An array of shape {tuple(frames.shape)} is not a video; give (T, H, W, 3) or (T, 3, H, W).")
    if frames.shape[-1] != 3:
        frames = frames.transpose(0, 2, 3, 1)
    if 0 in frames.shape:
        raise InputError(f"A video of {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]} is empty.")
    if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
        raise InputError(f"Frames of type {frames.dtype} are not understood; give uint8, or floats in [0, 1].")
    return frames


def _as_numpy(array: Any) -> np.ndarray:
    torch = sys.modules.get("torch")  # a tensor cannot come from a program that has not imported torch
    if torch is not None and isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        values: np.ndarray = (array.float() if array.is_floating_point() else array).numpy()
        return values
    if isinstance(array, np.ndarray):
        return array
    raise InputError(f"A {type(array).__name__} is not a video; give a path, an array, a tensor or a list of images.")


def _as_bytes(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not (image.min() >= 0 and image.max() <= 1):  # also catches NaN
        raise InputError("Frames in floating point must lie in [0, 1]; divide by 255 first.")
    return np.rint(image * 255.0).astype(np.uint8)
