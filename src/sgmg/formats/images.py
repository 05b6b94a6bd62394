"""Segmentations as images and arrays."""

from __future__ import annotations

import tempfile
import zipfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from sgmg.data.images import save_labels
from sgmg.errors import InputError
from sgmg.formats import Write, effects
from sgmg.formats.frames import FoundFrame, Subject

_FAST = 1  # PNG's least compression: a third more bytes in a fraction of the time


@contextmanager
def masks(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/EXPRESSION/FRAME.png: one channel of 0 and 255."""
    folders = _folders(place, subject)

    def write(found: FoundFrame) -> None:
        for folder, mask in zip(folders, found.masks, strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{found.name}.png", compress_level=_FAST)

    yield write


@contextmanager
def cutout_png(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/EXPRESSION/FRAME.png: RGBA, opaque exactly where the mask is."""
    folders = _folders(place, subject)

    def write(found: FoundFrame) -> None:
        for folder, mask in zip(folders, found.masks, strict=True):
            cut = effects.on_transparency(found.image, mask)
            Image.fromarray(cut).save(folder / f"{found.name}.png", compress_level=_FAST)

    yield write


@contextmanager
def davis(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE/VIDEO/FRAME.png: palette images, expression e has the id e + 1."""
    require_palette(subject, "DAVIS")
    folder = place / subject.name
    folder.mkdir(parents=True)
    yield lambda found: save_labels(folder / f"{found.name}.png", found.labels())


@contextmanager
def npz(place: Path, subject: Subject) -> Iterator[Write]:
    """PLACE: `masks` (E, T, H, W) bool, `boxes` (E, T, 4), `frame_scores` (E, T), and the frames' times and names.

    The masks wait on the disk, run-length encoded, and are written one after another: their array may be larger than
    the memory.
    """
    names: list[str] = []
    times, scores, boxes = array("d"), array("f"), array("f")
    count = len(subject.expressions)
    with ExitStack() as stack:
        # Run lengths are written in letters, of which none is a line's end.
        tracks = [stack.enter_context(tempfile.TemporaryFile("w+b")) for _ in subject.expressions]

        def write(found: FoundFrame) -> None:
            names.append(found.name)
            times.append(float(found.time))
            scores.extend(found.scores)
            boxes.extend(found.boxes.reshape(-1))
            for track, rle in zip(tracks, found.rles, strict=True):
                track.write(rle["counts"] + b"\n")

        yield write
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as archive:
            with archive.open("masks.npy", "w", force_zip64=True) as file:
                shape = (count, len(names), *subject.size)
                np.lib.format.write_array_header_1_0(file, {"descr": "|b1", "fortran_order": False, "shape": shape})
                for track in tracks:
                    track.seek(0)
                    for line in track:
                        mask = coco.decode({"size": list(subject.size), "counts": line[:-1]})
                        file.write(np.ascontiguousarray(mask).tobytes())
            arrays = {
                "boxes": np.array(boxes, np.float32).reshape(len(names), count, 4).swapaxes(0, 1),
                "frame_scores": np.array(scores, np.float32).reshape(len(names), count).T,
                "times": np.array(times),
                "frame_names": np.array(names),
                "expressions": np.array(subject.expressions),
            }
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def require_palette(subject: Subject, format: str) -> None:
    """Refuse more objects than a palette image has ids.

    Raises:
        InputError: there are more than 255 expressions.
    """
    if len(subject.expressions) > 255:
        raise InputError(f"{format} images hold 255 objects and not {len(subject.expressions)}; ask for fewer at once.")


def _folders(place: Path, subject: Subject) -> list[Path]:
    folders = [place / name for name in subject.names]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders
