"""Backgrounds of generated videos: photographs from a folder, or procedural ones."""

import hashlib
import re
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sgmg.data.synthetic.vocabulary import unlabelled_families
from sgmg.errors import InputError

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_HELD_OUT_PERCENT = 20
_CACHED_PHOTOS = 250  # of 3 to 4 MB


class Backgrounds:
    """Pictures to put things in front of.

    About one photograph in five, by a hash of its name without the last number, is kept for the split
    "valid"; frames of one series (``street_0001_010.jpg``, ``street_0001_020.jpg``) stay together, but where most
    of a folder is one series, as a camera numbers its pictures.

    Raises:
        InputError: the folder is missing, or holds no images for this split.
    """

    def __init__(self, folder: Path | None, split: str, procedural: float) -> None:
        self._procedural = procedural if folder else 1.0
        self._files = _files_of_split(folder, split) if folder else []
        self._photos: OrderedDict[Path, Image.Image] = OrderedDict()

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, frozenset[str], str]:
        """A random background of (height, width) pixels.

        Returns:
            The picture (RGB), the families of things that it may hold without a label, and its name.
        """
        if rng.random() < self._procedural:
            return procedural_background(rng, size), frozenset(), "procedural"
        path = self._files[int(rng.integers(len(self._files)))]
        return _crop(self._photo(path), rng, size), unlabelled_families(path.stem), path.name

    def _photo(self, path: Path) -> Image.Image:
        if path not in self._photos:
            try:
                with Image.open(path) as opened:
                    photo = opened.convert("RGB")
            except (OSError, UnidentifiedImageError, ValueError) as error:
                raise InputError(f"{path} cannot be read as an image: replace or remove it.") from error
            photo.thumbnail((1280, 1280))
            self._photos[path] = photo
            if len(self._photos) > _CACHED_PHOTOS:
                self._photos.popitem(last=False)
        return self._photos[path]


def _files_of_split(folder: Path, split: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"The backgrounds folder {folder} does not exist: give a folder of photographs.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    if not files:
        raise InputError(f"{folder} holds no images: give a folder of photographs as backgrounds.")
    series = {path: re.sub(r"[_-]f?\d+$", "", path.stem) for path in files}
    [(_, largest)] = Counter(series.values()).most_common(1)
    ranks = {path: _rank(path.stem if largest > len(files) / 2 else series[path]) for path in files}
    valid = {path for path, rank in ranks.items() if rank < _HELD_OUT_PERCENT}
    if not valid:  # A small folder: the lowest hash goes to valid, so that there is something to test on.
        valid = {min(files, key=lambda path: ranks[path])}
    chosen = [path for path in files if (path in valid) == (split == "valid")]
    if not chosen:
        raise InputError(f"{folder} holds too few images for the split '{split}': add photographs.")
    return chosen


def _rank(name: str) -> float:
    return int(hashlib.sha1(name.encode()).hexdigest()[:8], 16) % 10000 / 100


def _crop(photo: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    height, width = size
    fit = min(photo.width / width, photo.height / height)
    scale = fit * float(rng.uniform(0.6, 1.0))
    w, h = width * scale, height * scale
    x, y = float(rng.uniform(0, photo.width - w)), float(rng.uniform(0, photo.height - h))
    crop = photo.resize((width, height), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop


def procedural_background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A gradient, smooth or rough noise, stripes or blobs, (height, width) pixels, RGB."""
    height, width = size
    first, second = rng.uniform(20, 235, 3), rng.uniform(20, 235, 3)
    if rng.random() < 0.5:  # Often one colour, lighter and darker, as walls, sky and ground are.
        second = np.clip(first + rng.uniform(-70, 70), 0, 255)
    style = str(rng.choice(["gradient", "noise", "clouds", "stripes", "ground", "blobs"]))
    rows, columns = 36, 64
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    if style == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        level = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)
    elif style == "stripes":
        angle, count = rng.uniform(0, np.pi), rng.uniform(3, 12)
        level = 0.5 + 0.5 * np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle)))
    elif style == "ground":
        level = np.where(y > rng.uniform(0.35, 0.7), 0.2 + 0.3 * y, 0.75 + 0.25 * y)
    elif style == "blobs":
        level = np.zeros_like(x)
        for _ in range(int(rng.integers(3, 9))):
            cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.25)
            level = np.maximum(level, np.exp(-(((x - cx) * 1.78) ** 2 + (y - cy) ** 2) / r**2))
    else:
        level = _noise(rng, rows, columns, octaves=4 if style == "clouds" else 6)
    small = first + (second - first) * level[..., None]
    small = small + 24 * (_noise(rng, rows, columns, 5)[..., None] - 0.5) * rng.uniform(0, 1.5)
    picture = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8))
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        grain = rng.normal(0, rng.uniform(2, 12), (height, width, 1)).astype(np.float32)
        picture = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    return picture


def _noise(rng: np.random.Generator, rows: int, columns: int, octaves: int) -> np.ndarray:
    total = np.zeros((rows, columns), np.float32)
    for octave in range(octaves):
        cells = rng.random((2**octave + 1, 2 ** (octave + 1) + 1)).astype(np.float32)
        layer = Image.fromarray(cells).resize((columns, rows), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * 0.6**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)
