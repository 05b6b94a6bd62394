"""Small videos made on the spot: a bright square that moves a step a frame, above a floor of noise."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

STEP = 4


def square_frame(index: int, size: tuple[int, int] = (72, 96), alpha: bool = False) -> np.ndarray:
    """(H, W, 3) with a red corner, a white square at x = 4 * index and a noisy floor, new in every frame.

    With alpha (H, W, 4), opaque only at the square.
    """
    image = np.full((*size, 3), (10, 40, 90), np.uint8)
    image[:16, :16] = (230, 20, 20)
    image[32:48, STEP * index : STEP * index + 16] = 255
    floor = image[56:]
    floor[:] = np.random.default_rng(index).integers(0, 160, floor.shape)
    if not alpha:
        return image
    opaque = np.zeros((*size, 1), np.uint8)
    opaque[32:48, STEP * index : STEP * index + 16] = 255
    return np.concatenate([image, opaque], axis=2)


def square_x(image: np.ndarray) -> int:
    """Where the white square is."""
    bright = np.flatnonzero(image[34:46].min(axis=(0, 2)) > 180)
    return int(bright[0])


def require_encoder(name: str) -> None:
    """Skip the test where FFmpeg was built without this encoder."""
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"FFmpeg has no {name}")


def write_video(
    path: Path,
    codec: str = "libx264",
    frames: int = 12,
    size: tuple[int, int] = (72, 96),
    pix_fmt: str = "yuv420p",
    rate: int | Fraction = 12,
    times: Sequence[Fraction] | None = None,
    sound: str | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    alpha: bool = False,
    muxer: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Write a video with PyAV; `times` in seconds make its rate variable, `sound` names an audio codec."""
    require_encoder(codec)
    with av.open(str(path), "w", options=muxer or {}) as container:
        if codec == "libx264":
            options |= {"preset": "veryfast", "x264-params": "mbtree=0"}  # the same bytes in every run
        if codec == "libx265":
            options |= {"preset": "ultrafast", "x265-params": "log-level=none"}
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        if rotation is not None:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("PyAV 18 is the first to write rotations")
            stream.set_display_rotation(rotation, hflip=mirrored)
        audio: Any = None
        if sound is not None:
            require_encoder(sound)
            audio = container.add_stream(sound, rate=48_000, layout="mono")
        for index in range(frames):
            picture = square_frame(index, size, alpha)
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if alpha else "rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 600), Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            _write_tone(container, audio, seconds=frames / float(rate))
    return path


def _write_tone(container: Any, audio: Any, seconds: float) -> None:
    wave = np.sin(np.arange(int(48_000 * seconds)) * 2 * np.pi * 440 / 48_000) * 0.3
    samples = (wave * 32_000).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    resampler = av.AudioResampler(
        format=audio.format.name, layout="mono", rate=48_000, frame_size=audio.frame_size or 1024
    )
    start = 0
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        piece.pts, piece.time_base = start, Fraction(1, 48_000)
        start += piece.samples
        container.mux(audio.encode(piece))
    container.mux(audio.encode())
