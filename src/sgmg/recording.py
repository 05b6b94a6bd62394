"""Frames to video files, with the timing and the sound of the file they came from.

`H264` is what browsers play; `VP9` (WebM) and `PRORES` (QuickTime) also carry transparency.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.video.reformatter import ColorRange

from sgmg.errors import InputError, InputWarning
from sgmg.video import Video, open_alone


@dataclass(frozen=True)
class Encoding:
    """How frames become a file.

    Attributes:
        container: FFmpeg's name of the file format.
        codec: of the encoder.
        pixels: its pixel format.
        options: its settings.
        multiple: width and height are multiples of this.
        copied_sound: codecs of sound that the container carries as they are.
        sound: encoder for any other, and the samples that it takes.
        muxer: settings of the container.
    """

    container: str
    codec: str
    pixels: str
    options: dict[str, str]
    multiple: int
    copied_sound: frozenset[str]
    sound: tuple[str, str]
    muxer: dict[str, str] = field(default_factory=dict)

    @property
    def has_alpha(self) -> bool:
        """Whether frames are (H, W, 4), their last channel 0 where they are transparent."""
        return self.pixels.startswith("yuva")


H264 = Encoding(
    container="mp4",
    codec="libx264",
    pixels="yuv420p",
    # Without macroblock trees, the same frames give the same bytes: with them, x264's lookahead
    # looks at memory that it never wrote.
    options={"crf": "20", "preset": "veryfast", "x264-params": "mbtree=0"},
    multiple=2,  # browsers play only 4:2:0, whose sizes are even
    copied_sound=frozenset({"aac", "mp3", "opus", "flac"}),  # what browsers play in MP4
    sound=("aac", "fltp"),
    muxer={"movflags": "+faststart"},
)
"""MP4 that browsers play; no transparency."""

VP9 = Encoding(
    container="webm",
    codec="libvpx-vp9",
    pixels="yuva420p",
    # libvpx refuses alternate reference frames beside transparency.
    options={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"},
    multiple=1,
    copied_sound=frozenset({"opus", "vorbis"}),
    sound=("libopus", "flt"),
)
"""WebM with transparency, for the web: Chrome, Edge and Firefox show it."""

PRORES = Encoding(
    container="mov",
    codec="prores_ks",
    pixels="yuva444p10le",
    options={"profile": "4444", "vendor": "apl0", "alpha_bits": "8"},
    multiple=1,
    copied_sound=frozenset({"aac", "mp3", "alac", "pcm_s16le", "pcm_s24le"}),
    sound=("aac", "fltp"),
)
"""QuickTime with lossless transparency, for cutting: large, and read by every editor."""

# swscale's number for each of FFmpeg's colour matrices; it has none for the others.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


# Seconds: a packet of sound that begins up to so long before the picture may reach into it.
_BEFORE = Fraction(1, 10)


class VideoRecording:
    """A video file in the making: frames in the order of their times, then `close`.

    The file takes the frame rate, timestamps, pixel shape, colour tags and sound of `like`. Where sizes must be
    even, an odd width or height grows by one pixel, a repetition of the last column or row. Sound that the
    container cannot carry is encoded again.

    >>> with VideoRecording(path, like=video) as recording:
    ...     for frame in video:
    ...         recording.write(frame.image, frame.time, frame.duration)

    Args:
        path: file to write; it is complete only after `close` (the context manager's end).
        like: video whose size, timing and sound are taken over.
        encoding: container, codec and quality.
    """

    def __init__(self, path: Path, like: Video, encoding: Encoding = H264) -> None:
        height, width = like.size
        multiple = encoding.multiple
        self._pad = (-height % multiple, -width % multiple)
        self._format = "rgba" if encoding.has_alpha else "rgb24"
        self._container = av.open(str(path.resolve()), "w", format=encoding.container, options=dict(encoding.muxer))
        try:
            stream: Any = self._container.add_stream(encoding.codec, rate=like.fps, options=dict(encoding.options))
            stream.height, stream.width = height + self._pad[0], width + self._pad[1]
            stream.pix_fmt = self._pixels = encoding.pixels
            if encoding.has_alpha:
                stream.metadata["alpha_mode"] = "1"  # without it WebM players take the picture for opaque
            stream.time_base = stream.codec_context.time_base = like.time_base
            stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = like.pixel_aspect
            self._matrix = _SWSCALE_MATRIX.get(like.colour.matrix)
            context: Any = stream.codec_context
            context.color_range = ColorRange.MPEG
            if self._matrix is not None:
                context.colorspace = like.colour.matrix
                context.color_primaries, context.color_trc = like.colour.primaries, like.colour.transfer
            self._stream, self._time_base, self._last = stream, like.time_base, -1
            self._sound = _Sound(like, self._container, encoding) if like.has_sound else None
        except BaseException:
            self._abandon()
            raise

    def write(self, image: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Add one frame, shown from `time` (seconds) for `duration`.

        Args:
            image: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA where the encoding has transparency.
            time: seconds since the first frame.
            duration: seconds.
        """
        if any(self._pad):
            image = np.pad(image, ((0, self._pad[0]), (0, self._pad[1]), (0, 0)), mode="edge")
        if self._sound is not None:
            self._sound.write_until(time)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=self._format).reformat(
            format=self._pixels, dst_colorspace=self._matrix, dst_color_range=ColorRange.MPEG
        )
        frame.pts = self._last = max(round(time / self._time_base), self._last + 1)
        frame.time_base = self._time_base
        frame.duration = max(round(duration / self._time_base), 1)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is still in the encoder, the rest of the sound, and the index."""
        try:
            self._container.mux(self._stream.encode())
            if self._sound is not None:
                self._sound.write_until(None)
                self._sound.close()
        except BaseException:
            self._abandon()
            raise
        self._container.close()

    def __enter__(self) -> VideoRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def _abandon(self) -> None:
        """Let go of the file, which is of no use any more; the error under way matters, not this one's."""
        if getattr(self, "_sound", None) is not None:
            self._sound.close()  # type: ignore[union-attr]
        with suppress(FFmpegError, ValueError):
            self._container.close()


class _Sound:
    """A file's first sound track on its way into another file, in step with the picture."""

    def __init__(self, video: Video, output: av.container.OutputContainer, encoding: Encoding) -> None:
        self._output, self._start, self._source = output, video.sound_start, video.source
        self._end = None if video.sound_end is None else video.sound_end - video.sound_start
        self._input = open_alone(str(video.path), video.source)
        if not self._input.streams.audio:
            raise InputError(f"'{self._source}' has lost its sound since it was opened; try again.")
        source = self._input.streams.audio[0]
        copied = source.codec.canonical_name in encoding.copied_sound
        codec, self._samples = encoding.sound
        encoded: Any
        if copied:
            encoded = output.add_stream_from_template(source)
        else:
            layout = source.layout.name if source.layout.name in ("mono", "stereo", "5.1") else "stereo"
            encoded = output.add_stream(codec, rate=_sound_rate(codec, source.rate), layout=layout)
            encoded.bit_rate = 96_000 * encoded.layout.nb_channels
        self._stream: av.AudioStream = encoded
        self._packets = self._originals(source) if copied else self._converted(source)
        self._waiting: av.Packet[Any] | None = None

    def write_until(self, time: Fraction | None) -> None:
        """Pass on the sound up to a time of the picture in seconds; None passes on all that belongs to it."""
        time = self._end if time is None else time
        while True:
            packet = self._waiting or next(self._packets, None)
            if packet is None:
                return
            at = (packet.pts or 0) * (packet.time_base or Fraction(0))
            if time is not None and at > time:
                self._waiting = packet
                return
            self._waiting = None
            if at < -_BEFORE:
                continue  # of what an excerpt leaves out
            packet.stream = self._stream
            self._output.mux(packet)

    def close(self) -> None:
        self._input.close()

    def _originals(self, source: av.AudioStream) -> Iterator[av.Packet[Any]]:
        """The source's packets, with the first frame of the picture as time 0."""
        last = None
        for packet in self._read(source):
            if packet.pts is None or packet.time_base is None:
                continue
            packet.pts -= round(self._start / packet.time_base)
            # MP4 wants rising decoding times; those of sound are its presentation times.
            if last is not None and packet.pts <= last:
                continue
            packet.dts = last = packet.pts
            yield packet

    def _converted(self, source: av.AudioStream) -> Iterator[av.Packet[Any]]:
        """The source's sound encoded anew, on a clock whose 0 is the first frame of the picture."""
        encoder = self._stream.codec_context
        encoder.open(strict=False)
        resampler = AudioResampler(
            format=self._samples, layout=encoder.layout, rate=encoder.sample_rate, frame_size=encoder.frame_size
        )
        offset: int | None = None
        for packet in self._read(source):
            try:
                frames = source.decode(packet)
            except (FFmpegError, ValueError):
                continue
            for frame in frames:
                if offset is None:
                    stamp = (frame.pts or 0) * (frame.time_base or Fraction(0))
                    offset = round((stamp - self._start) * encoder.sample_rate)
                frame.pts = None
                for piece in resampler.resample(frame):
                    yield from self._encoded(piece, offset)
                    offset += piece.samples
        if offset is not None:
            for piece in resampler.resample(None):
                yield from self._encoded(piece, offset)
                offset += piece.samples
            yield from self._stream.encode(None)

    def _encoded(self, piece: av.AudioFrame, at: int) -> Iterator[av.Packet[Any]]:
        piece.pts, piece.time_base = at, Fraction(1, piece.sample_rate)
        yield from self._stream.encode(piece)

    def _read(self, source: av.AudioStream) -> Iterator[av.Packet[Any]]:
        try:
            yield from (packet for packet in self._input.demux(source) if packet.size)
        except (FFmpegError, ValueError):
            warnings.warn(f"The sound of '{self._source}' ends early; the file is cut off.", InputWarning, 2)


def _sound_rate(codec: str, rate: int) -> int:
    """Samples a second that an encoder takes: Opus has one rate for everything above telephones."""
    return 48_000 if codec == "libopus" else min(rate, 48_000)
