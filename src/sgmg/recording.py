"""Frames to H.264 MP4 files that browsers play, with the sound of the file they came from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
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
from sgmg.video import Video

BROWSER_SOUND = frozenset({"aac", "mp3", "opus", "flac"})
"""Sound that is copied as it is; browsers play these in MP4. Any other becomes AAC."""

# swscale's number for each of FFmpeg's colour matrices; it has none for the others.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


class VideoRecording:
    """An H.264 MP4 file in the making: frames in the order of their times, then `close`.

    The file takes the frame rate, timestamps, pixel shape, colour tags and sound of `like`. Browsers play
    only 4:2:0 video, whose sizes are even: an odd width or height grows by one pixel, a repetition of the
    last column or row. Sound that MP4 in browsers cannot carry is encoded again, as AAC.

    >>> with VideoRecording(path, like=video) as recording:
    ...     for frame in video:
    ...         recording.write(frame.image, frame.time, frame.duration)

    Args:
        path: file to write; it is complete only after `close` (the context manager's end).
        like: video whose size, timing and sound are taken over.
        crf: x264's constant quality, 0 (lossless) to 51.
    """

    def __init__(self, path: Path, like: Video, crf: int = 20) -> None:
        height, width = like.size
        self._pad = (max(height + height % 2, 2) - height, max(width + width % 2, 2) - width)
        self._container = av.open(str(path.resolve()), "w", format="mp4", options={"movflags": "+faststart"})
        try:
            # Without macroblock trees, the same frames give the same bytes: with them, x264's lookahead
            # looks at memory that it never wrote.
            options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
            stream = self._container.add_stream("libx264", rate=like.fps, options=options)
            stream.height, stream.width = height + self._pad[0], width + self._pad[1]
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = like.time_base
            stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = like.pixel_aspect
            self._matrix = _SWSCALE_MATRIX.get(like.colour.matrix)
            context: Any = stream.codec_context
            context.color_range = ColorRange.MPEG
            if self._matrix is not None:
                context.colorspace = like.colour.matrix
                context.color_primaries, context.color_trc = like.colour.primaries, like.colour.transfer
            self._stream, self._time_base, self._last = stream, like.time_base, -1
            self._sound = _Sound(like, self._container) if like.has_sound else None
        except BaseException:
            self._abandon()
            raise

    def write(self, image: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Add one (H, W, 3) uint8 RGB frame, shown from `time` (seconds) for `duration`."""
        if any(self._pad):
            image = np.pad(image, ((0, self._pad[0]), (0, self._pad[1]), (0, 0)), mode="edge")
        if self._sound is not None:
            self._sound.write_until(time)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=self._matrix, dst_color_range=ColorRange.MPEG
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

    def __init__(self, video: Video, output: av.container.OutputContainer) -> None:
        self._output, self._start, self._source = output, video.sound_start, video.source
        self._input = av.open(str(video.path), metadata_errors="replace")
        if not self._input.streams.audio:
            raise InputError(f"'{self._source}' has lost its sound since it was opened; try again.")
        source = self._input.streams.audio[0]
        copied = source.codec.canonical_name in BROWSER_SOUND
        if copied:
            self._stream = output.add_stream_from_template(source)
        else:
            layout = source.layout.name if source.layout.name in ("mono", "stereo", "5.1") else "stereo"
            self._stream = output.add_stream("aac", rate=min(source.rate, 48_000), layout=layout)
            self._stream.bit_rate = 96_000 * self._stream.layout.nb_channels
        self._packets = self._originals(source) if copied else self._converted(source)
        self._waiting: av.Packet | None = None

    def write_until(self, time: Fraction | None) -> None:
        """Pass on the sound up to a time of the picture in seconds; None passes on all of it."""
        while True:
            packet = self._waiting or next(self._packets, None)
            if packet is None:
                return
            at = (packet.pts or 0) * (packet.time_base or Fraction(0))
            if time is not None and at > time:
                self._waiting = packet
                return
            self._waiting = None
            packet.stream = self._stream
            self._output.mux(packet)

    def close(self) -> None:
        self._input.close()

    def _originals(self, source: av.AudioStream) -> Iterator[av.Packet]:
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

    def _converted(self, source: av.AudioStream) -> Iterator[av.Packet]:
        """The source's sound as AAC, on a clock whose 0 is the first frame of the picture."""
        encoder = self._stream.codec_context
        encoder.open(strict=False)
        resampler = AudioResampler(
            format="fltp", layout=encoder.layout, rate=encoder.sample_rate, frame_size=encoder.frame_size
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

    def _encoded(self, piece: av.AudioFrame, at: int) -> Iterator[av.Packet]:
        piece.pts, piece.time_base = at, Fraction(1, piece.sample_rate)
        yield from self._stream.encode(piece)

    def _read(self, source: av.AudioStream) -> Iterator[av.Packet]:
        try:
            yield from (packet for packet in self._input.demux(source) if packet.size)
        except (FFmpegError, ValueError):
            warnings.warn(f"The sound of '{self._source}' ends early; the file is cut off.", InputWarning, 2)
