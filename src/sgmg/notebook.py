"""How a segmentation shows itself in a notebook: a strip of frames, and each expression's scores over time."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sgmg.errors import InputError
from sgmg.overlay import Painter, colour_of
from sgmg.video import Video, VideoFile, VideoFrames

if TYPE_CHECKING:
    from sgmg.segmentation import Segmentation

FRAMES = 6
"""Frames of the strip, evenly over the video."""

HEIGHT = 150
"""Of a frame of the strip, in pixels."""

_CHART = (160, 24)  # width and height of a chart
_GREY = 225


def as_html(found: Segmentation) -> str:
    """A piece of HTML that needs nothing else: pictures are inside of it, and texts are escaped."""
    indices = sorted({round(index) for index in np.linspace(0, len(found) - 1, min(FRAMES, len(found)))})
    pictures = _pictures(found.video, indices, found.size)
    strip = "".join(_frame(found, index, picture) for index, picture in zip(indices, pictures, strict=True))
    legend = "".join(_expression(found, index) for index in range(len(found.expressions)))
    height, width = found.size
    about = f"{len(found)} frames of {width}×{height}, {float(found.fps):.4g} frames a second"
    source = f"{escape(found.source)} · " if found.source else ""
    return (
        f'<div style="font-family:sans-serif;font-size:13px;line-height:1.5">'
        f'<div style="display:flex;flex-wrap:wrap;gap:4px">{strip}</div>'
        f'<table style="border-collapse:collapse;font-size:13px;margin:6px 0 2px">{legend}</table>'
        f'<div style="opacity:.7">{source}{about}</div></div>'
    )


def _frame(found: Segmentation, index: int, picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    masks = [
        np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        for mask in found.masks_of(index)
    ]
    no_labels = [""] * len(found.expressions)
    painted = Painter(no_labels, (height, width)).paint(picture, np.array(masks).reshape(-1, height, width))
    buffer = io.BytesIO()
    Image.fromarray(painted).save(buffer, "JPEG", quality=85)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    seconds = f"{found.times[index]:.2f} s"
    return (
        f'<figure style="margin:0"><img alt="frame {index}" width="{width}" height="{height}" '
        f'style="display:block" src="data:image/jpeg;base64,{content}">'
        f'<figcaption style="font-size:11px;opacity:.7">{seconds}</figcaption></figure>'
    )


def _expression(found: Segmentation, index: int) -> str:
    colour, cell = colour_of(index), 'style="text-align:left;padding:1px 8px 1px 0;border:0;background:none"'
    swatch = f'<span style="display:inline-block;width:12px;height:12px;background:{colour}"></span>'
    return (
        f"<tr><td {cell}>{swatch}</td><td {cell}>{escape(found.expressions[index])}</td>"
        f"<td {cell}>{found.scores[index]:.2f}</td><td {cell}>{_chart(found.frame_scores[index], colour)}</td></tr>"
    )


def _chart(scores: np.ndarray, colour: str) -> str:
    """Scores over time, 0 at the bottom and 1 at the top; of long videos the mean of what falls on one pixel."""
    width, height = _CHART
    means = [part.mean() for part in np.array_split(scores, min(len(scores), width))]
    across = np.linspace(1, width - 1, len(means)) if len(means) > 1 else np.array([1.0, width - 1])
    means = means if len(means) > 1 else means * 2
    points = " ".join(f"{x:.1f},{height - 1 - (height - 2) * y:.1f}" for x, y in zip(across, means, strict=True))
    return (
        f'<svg role="img" aria-label="scores over time" width="{width}" height="{height}" style="display:block">'
        f'<rect width="{width}" height="{height}" fill="#888" fill-opacity=".12"/>'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/></svg>'
    )


def _pictures(video: Video | None, indices: list[int], size: tuple[int, int]) -> list[np.ndarray]:
    """Small versions of some frames; grey ones where the video cannot be read any more."""
    height, width = HEIGHT, max(1, round(HEIGHT * size[1] / size[0]))
    try:
        return [
            np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
            for picture in _frames_at(video, indices)
        ]
    except (InputError, OSError):
        return [np.full((height, width, 3), _GREY, np.uint8)] * len(indices)


def _frames_at(video: Video | None, indices: list[int]) -> list[np.ndarray]:
    if video is None:
        raise InputError("There are no frames.")
    if isinstance(video, VideoFile) and video.path is not None:
        with VideoFrames(video.path) as frames:
            return list(frames.read(indices))
    wanted, pictures = set(indices), []
    for index, frame in enumerate(video):
        if index in wanted:
            pictures.append(frame.image)
            if index == indices[-1]:
                return pictures
    raise InputError("The video has become shorter.")
