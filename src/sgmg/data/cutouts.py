"""Photographs to cutouts: what generated videos are made of, from anybody's own pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sgmg.errors import InputError
from sgmg.output import new_folder

LABELS = "labels.json"
PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
LEAST_SIDE = 24
"""Pixels: what is smaller shows nothing."""

_SOLID = 128
_SEEN = 8
_MOST_OF_PHOTO = 0.98


@dataclass
class MadeCutouts:
    """What was made of photographs.

    Attributes:
        kept: cutouts by class, in the order of their names.
        with_alpha: how many had an alpha channel of their own.
        skipped: photographs that gave no cutout, and why.
    """

    kept: dict[str, int] = field(default_factory=dict)
    with_alpha: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


class _SkippedError(Exception):
    """A photograph that gives no cutout; the message says why."""


def make_cutouts(
    photos: str | Path,
    output: str | Path,
    *,
    size: int = 320,
    remover: str = "u2net",
    overwrite: bool = False,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> MadeCutouts:
    """Cut what photographs show out of them, and list it as the generator reads it.

    Each folder in ``photos`` is a class and its name is what the things are called; further names follow commas
    ("dog, puppy"), and underscores stand for spaces. An alpha channel is used where a picture has one; of the others
    the background is removed with `rembg`, an extra.

    Args:
        photos: the folder of folders of photographs.
        output: folder to make, with a WebP file for each thing and a ``labels.json``.
        size: longest side of a cutout in pixels.
        remover: the model that `rembg` removes backgrounds with.
        overwrite: replace an earlier result.
        progress: wraps the photographs, for a progress bar.

    Raises:
        InputError: there are no classes or photographs, none gives a cutout, `rembg` is needed and not there, or its
            model cannot be had.
    """
    folder, files = Path(photos), _photographs(Path(photos))
    if not 32 <= size <= 2048:
        raise InputError(f"Cutouts of {size} pixels cannot be used: give 32 to 2048.")
    made = MadeCutouts()
    remove = _Remover(remover)
    entries: list[dict[str, Any]] = []
    with new_folder(output, overwrite, marker=LABELS) as draft:
        for path in progress(files):
            place = path.relative_to(folder)
            try:
                entry = _cut_out(path, place, draft, size, remove, made)
            except _SkippedError as error:
                made.skipped[str(place)] = str(error)
                continue
            entries.append(entry)
            made.kept[entry["names"][0]] = made.kept.get(entry["names"][0], 0) + 1
        if not entries:
            first, reason = next(iter(made.skipped.items()))
            raise InputError(f"None of {len(files)} photographs gives a cutout; {first}: {reason}.")
        text = json.dumps({"things": entries}, indent=1, ensure_ascii=False)
        (draft / LABELS).write_text(text + "\n", encoding="utf-8")
    return made


def _photographs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist: give one with a folder of photographs for each class.")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in classes:
        if not names_of(path.name):
            raise InputError(f"The folder {path} names nothing: call it what its photographs show, such as 'dog'.")
    files = [
        file for path in classes for file in sorted(path.iterdir()) if file.suffix.lower() in PHOTOS and file.is_file()
    ]
    if not files:
        raise InputError(
            f"{folder} holds no photographs in folders: put them into one for each class, such as "
            f"{folder / 'dog' / 'rex.jpg'}."
        )
    return files


def names_of(folder: str) -> list[str]:
    """What things in a folder of this name are called.

    >>> names_of("teddy_bear, Teddy")
    ['teddy bear', 'teddy']
    """
    names = [" ".join(re.sub(r"[_\-]+", " ", part).split()).lower() for part in folder.split(",")]
    return list(dict.fromkeys(name for name in names if re.search(r"\w", name)))


def _cut_out(path: Path, place: Path, draft: Path, size: int, remove: _Remover, made: MadeCutouts) -> dict[str, Any]:
    """Write one cutout, and say what ``labels.json`` says of it."""
    image = _read(path)
    own = _has_alpha(image)
    image = image.convert("RGBA") if own else remove(image.convert("RGB"))
    alpha = np.asarray(image.getchannel("A"))
    solid = alpha >= _SOLID
    if not own and solid.mean() > _MOST_OF_PHOTO:
        raise _SkippedError("nothing could be told from the background")
    box = Image.fromarray(((alpha >= _SEEN) * np.uint8(255)).astype(np.uint8)).getbbox()
    if box is None or not solid.any():
        raise _SkippedError("nothing is left of it without its background")
    borders = sum(bool(line.mean() > 0.02) for line in (solid[0], solid[-1], solid[:, 0], solid[:, -1]))
    cut = image.crop(box)
    cut.thumbnail((size, size), Image.Resampling.LANCZOS)
    if min(cut.size) < LEAST_SIDE:
        raise _SkippedError(f"what it shows is only {cut.width}x{cut.height} pixels large")
    file = Path(place.parent.name) / f"{path.stem}.webp"
    number = 2
    while (draft / file).exists():  # rex.jpg and rex.png
        file = file.with_name(f"{path.stem}_{number}.webp")
        number += 1
    (draft / file).parent.mkdir(exist_ok=True)
    cut.save(draft / file, quality=90, method=4)
    made.with_alpha += own
    return {
        "file": file.as_posix(),
        "names": names_of(place.parent.name),
        "borders_touched": borders,
        "size": list(cut.size),
    }


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.thumbnail((2048, 2048), Image.Resampling.LANCZOS)
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _SkippedError("it cannot be read as an image") from error


def _has_alpha(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < _SOLID)


class _Remover:
    """Removes backgrounds with `rembg`, which is loaded once it is needed.

    Args:
        model: name of one of its models.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._session: Any = None

    def __call__(self, image: Image.Image) -> Image.Image:
        """A photograph (RGB) as RGBA, its background transparent.

        Raises:
            InputError: `rembg` is not installed, has no such model, or cannot download it.
        """
        try:
            import rembg
        except (ImportError, SystemExit) as error:  # without onnxruntime it ends the program
            raise InputError(
                "Backgrounds are removed with rembg, which is not installed: pip install 'sgmg[cutouts]', or give "
                "pictures with an alpha channel."
            ) from error
        if self._session is None:
            try:
                self._session = rembg.new_session(self._model)
            except Exception as error:  # whatever its downloader raises
                raise InputError(
                    f"The model '{self._model}' that removes backgrounds could not be loaded "
                    f"({_reason(error)}): it is downloaded once, so check its name and the connection, or give "
                    "pictures with an alpha channel."
                ) from error
        return rembg.remove(image, session=self._session).convert("RGBA")


def _reason(error: Exception) -> str:
    """What went wrong: rembg's own words on names; of a download, whose messages go on and on, only what it was."""
    return str(error) if isinstance(error, ValueError) else type(error).__name__
