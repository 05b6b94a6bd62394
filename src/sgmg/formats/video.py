"""Segmentations as videos: overlays, cut-outs with transparency, and effects on objects or on all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np

from sgmg.formats import Write, effects
from sgmg.formats.frames import FoundFrame, Subject
from sgmg.overlay import Painter
from sgmg.recording import PRORES, VP9, Encoding, VideoRecording

# Colours are coded for blocks of 2 x 2 pixels and predicted over a few more.
_RIM = 4


@contextmanager
def overlay(place: Path, subject: Subject) -> Iterator[Write]:
    """Coloured masks with their expressions."""
    painter = Painter(subject.expressions, subject.size, subject.look)
    with VideoRecording(place, like=subject.frames) as recording:
        yield lambda found: recording.write(painter.paint(found.image, found.masks), found.time, found.duration)


@contextmanager
def cutout_webm(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/EXPRESSION.webm: VP9 with transparency."""
    with _cutouts(place, subject, VP9) as write:
        yield write


@contextmanager
def cutout_prores(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/EXPRESSION.mov: ProRes 4444 with lossless transparency."""
    with _cutouts(place, subject, PRORES) as write:
        yield write


@contextmanager
def _cutouts(place: Path, subject: Subject, encoding: Encoding) -> Iterator[Write]:
    place.mkdir()
    with ExitStack() as stack:
        recordings = [
            stack.enter_context(VideoRecording(place / f"{name}.{encoding.container}", subject.frames, encoding))
            for name in subject.names
        ]

        def write(found: FoundFrame) -> None:
            for recording, mask in zip(recordings, found.masks, strict=True):
                cut = effects.on_transparency(found.image, mask, rim=_RIM)
                recording.write(cut, found.time, found.duration)

        yield write


@contextmanager
def blur(place: Path, subject: Subject) -> Iterator[Write]:
    """The objects blurred, and a small margin around them, since masks are never exact."""
    margin = effects.margin_of(subject.size)

    def change(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
        return effects.replaced(image, effects.grown(objects, margin), effects.blurred(image))

    with _changed(place, subject, change) as write:
        yield write


@contextmanager
def pixelate(place: Path, subject: Subject) -> Iterator[Write]:
    """The objects in coarse blocks, all that they touch."""

    def change(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
        return effects.replaced(image, effects.whole_blocks(objects), effects.pixelated(image))

    with _changed(place, subject, change) as write:
        yield write


@contextmanager
def blur_background(place: Path, subject: Subject) -> Iterator[Write]:
    """Everything but the objects blurred."""
    with _changed_background(place, subject, effects.blurred) as write:
        yield write


@contextmanager
def pixelate_background(place: Path, subject: Subject) -> Iterator[Write]:
    """Everything but the objects in coarse blocks."""
    with _changed_background(place, subject, effects.pixelated) as write:
        yield write


@contextmanager
def grey_background(place: Path, subject: Subject) -> Iterator[Write]:
    """Only the objects in colour."""
    with _changed_background(place, subject, lambda image, _: effects.grey(image)) as write:
        yield write


def _changed_background(
    place: Path, subject: Subject, effect: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> AbstractContextManager[Write]:
    """An effect of (image, background) wherever no object is."""

    def change(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
        return effects.replaced(image, ~objects, effect(image, ~objects))

    return _changed(place, subject, change)


@contextmanager
def _changed(place: Path, subject: Subject, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[Write]:
    """A video of frames changed by a function of (image, the union of the objects' masks)."""
    with VideoRecording(place, like=subject.frames) as recording:
        yield lambda found: recording.write(change(found.image, found.union), found.time, found.duration)
