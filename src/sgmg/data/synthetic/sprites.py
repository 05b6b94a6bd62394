"""Sprites: the things that generated videos are made of, procedural shapes and cutouts alike.

Both sources offer the same: ``draw`` a sprite, and make a ``variant`` of one that differs from it in a
chosen respect. A :class:`Sprite` knows what may truly be said of it.
"""

import hashlib
import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from sgmg.data.synthetic import vocabulary
from sgmg.data.synthetic.vocabulary import COLORS, Kind
from sgmg.errors import InputError

HELD_OUT_PERCENT = 20
_CACHED_IMAGES = 2500


@dataclass(frozen=True)
class Garment:
    """A garment of a person: its tag, its colour where one prevails, its share of the person's area."""

    tag: str
    color: str | None
    share: float


@dataclass(frozen=True)
class Sprite:
    """A thing that can be put into a video, and what is true of it.

    Attributes:
        source: "shapes" or "cutouts".
        kind: what is known of its kind.
        names: words that name it, the most telling first; all are true of it.
        colors: colour names that are clearly true of it.
        near: colour names that somebody might use for it; neither asserted nor denied.
        texture: "plain", "striped", "dotted", "checkered", or None where nothing is known.
        garments: of people only.
        cut: sides of the image where the thing is cut off: "left", "right", "top", "bottom".
        size: natural (width, height) in pixels.
        key: what is needed to draw it: a shape's parameters or a file name.
        tint: a colour to give it when drawn, or None.
        turns: it may be shown turned by any angle, and that can be seen.
        dye: for people, (colour of clothes, colour that they are given instead), or None.
    """

    source: str
    kind: Kind
    names: tuple[str, ...]
    colors: frozenset[str] = frozenset()
    near: frozenset[str] = frozenset()
    texture: str | None = None
    garments: tuple[Garment, ...] = ()
    cut: frozenset[str] = frozenset()
    size: tuple[int, int] = (128, 128)
    key: tuple[Any, ...] = field(default=(), hash=False)
    tint: tuple[int, int, int] | None = None
    turns: bool = False
    dye: tuple[str, str] | None = None

    @property
    def is_person(self) -> bool:
        """Whether it is a person."""
        return self.kind.name == "person"


class SpriteSource(Protocol):
    """Where sprites come from."""

    name: str

    def draw(self, rng: np.random.Generator, avoid: frozenset[str] = frozenset()) -> Sprite:
        """A random sprite whose kind belongs to none of the families ``avoid``."""
        ...

    def variant(self, rng: np.random.Generator, sprite: Sprite, differ: str) -> Sprite | None:
        """A sprite like another, but for one respect: "kind", "color", "texture", or "nothing".

        None where this source has no such sprite.
        """
        ...

    def image(self, sprite: Sprite) -> Image.Image:
        """The sprite's picture, RGBA, at its natural size."""
        ...

    def kinds(self) -> Sequence[Kind]:
        """All kinds this source has, in a fixed order."""
        ...


# --------------------------------------------------------------------------------------------- shapes

SHAPES = {
    "circle": ("circle", "disc"), "square": ("square",), "triangle": ("triangle",), "star": ("star",),
    "ring": ("ring",), "cross": ("cross", "plus sign"), "pentagon": ("pentagon",), "hexagon": ("hexagon",),
    "heart": ("heart",), "crescent": ("crescent", "moon"), "diamond": ("diamond", "rhombus"),
    "ellipse": ("ellipse", "oval"),
}  # fmt: skip
# Shapes that a viewer may take for each other, above all while they turn.
_SHAPE_FAMILIES = {
    "circle": "round", "ellipse": "round", "square": "quadrangle", "diamond": "quadrangle",
    "pentagon": "polygon", "hexagon": "polygon",
}  # fmt: skip
TEXTURES = ("plain", "striped", "dotted", "checkered")
_RGB = {
    "red": (214, 32, 36), "orange": (245, 132, 22), "yellow": (246, 214, 36), "green": (44, 154, 60),
    "blue": (36, 84, 214), "purple": (126, 46, 168), "pink": (248, 134, 184), "brown": (118, 70, 34),
    "black": (24, 24, 26), "white": (244, 244, 244), "gray": (128, 128, 130), "cyan": (46, 204, 216),
}  # fmt: skip


class ShapeSource:
    """Procedural shapes in colours and textures; always available."""

    name = "shapes"
    _natural = 176

    def kinds(self) -> Sequence[Kind]:
        """All shapes."""
        return [Kind(shape, _SHAPE_FAMILIES.get(shape, shape), "shape", "shape", True, ("shape",)) for shape in SHAPES]

    def draw(self, rng: np.random.Generator, avoid: frozenset[str] = frozenset()) -> Sprite:
        """A random shape in a random colour, plain half of the time."""
        shape = str(rng.choice([kind.name for kind in self.kinds() if kind.family not in avoid] or ["star"]))
        color = str(rng.choice(COLORS))
        texture = "plain" if rng.random() < 0.55 else str(rng.choice(TEXTURES[1:]))
        return self._sprite(rng, shape, color, texture)

    def variant(self, rng: np.random.Generator, sprite: Sprite, differ: str) -> Sprite | None:
        """The same shape, colour and texture, but for the respect that differs."""
        shape, color, texture = sprite.key[:3]
        if differ == "kind":
            family = sprite.kind.family
            shape = str(rng.choice([kind.name for kind in self.kinds() if kind.family != family]))
        elif differ == "color":
            color = str(rng.choice([c for c in COLORS if not vocabulary.near_colors(c, color)]))
        elif differ == "texture":
            texture = str(rng.choice([t for t in TEXTURES if t != texture]))
        return self._sprite(rng, shape, color, texture)

    def _sprite(self, rng: np.random.Generator, shape: str, color: str, texture: str) -> Sprite:
        kind = next(kind for kind in self.kinds() if kind.name == shape)
        near = frozenset(c for c in COLORS if c != color and vocabulary.near_colors(c, color))
        jitter = tuple(int(v) for v in rng.integers(-14, 15, 3))
        second = tuple(float(v) for v in (rng.random(), rng.random()))
        turns = texture != "plain" or shape not in ("circle", "ring")  # Nobody sees a plain disc turn.
        return Sprite(
            "shapes", kind, SHAPES[shape], frozenset((color,)), near, texture,
            size=(self._natural, self._natural), key=(shape, color, texture, jitter, second), turns=turns,
        )  # fmt: skip

    def image(self, sprite: Sprite) -> Image.Image:
        """Draw the shape at twice its size and scale it down, for smooth edges."""
        shape, color, texture, jitter, (second, phase) = sprite.key
        side = self._natural * 2
        small = (self._natural, self._natural)
        mask = Image.new("L", (side, side), 0)
        _draw_shape(ImageDraw.Draw(mask), shape, side)
        rgb = tuple(int(np.clip(c + j, 0, 255)) for c, j in zip(_RGB[color], jitter, strict=True))
        image = Image.new("RGB", small, rgb)
        if texture != "plain":
            # The second colour is the first, lighter or darker: the name of the colour stays true.
            light = sum(rgb) < 200 or (second < 0.5 and sum(rgb) < 560)
            other = tuple(int(c + (255 - c) * 0.55) if light else int(c * 0.5) for c in rgb)
            pattern = Image.new("L", (side, side), 0)
            _draw_texture(ImageDraw.Draw(pattern), texture, side, second, phase)
            image.paste(other, (0, 0), pattern.reduce(2))
        image.putalpha(mask.reduce(2))
        box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
        return image.crop(box) if box else image


def _polygon(corners: int, side: int, inner: float | None = None) -> list[tuple[float, float]]:
    points = []
    count = corners * (2 if inner else 1)
    for i in range(count):
        radius = side * 0.49 * (inner if inner and i % 2 else 1.0)
        angle = 2 * math.pi * i / count - math.pi / 2
        points.append((side / 2 + radius * math.cos(angle), side / 2 + radius * math.sin(angle)))
    return points


def _draw_shape(draw: ImageDraw.ImageDraw, shape: str, side: int) -> None:
    s = float(side)
    if shape == "circle":
        draw.ellipse((s * 0.02, s * 0.02, s * 0.98, s * 0.98), fill=255)
    elif shape == "ellipse":
        draw.ellipse((s * 0.02, s * 0.24, s * 0.98, s * 0.76), fill=255)
    elif shape == "square":
        draw.rectangle((s * 0.06, s * 0.06, s * 0.94, s * 0.94), fill=255)
    elif shape == "diamond":
        draw.polygon([(s / 2, s * 0.01), (s * 0.82, s / 2), (s / 2, s * 0.99), (s * 0.18, s / 2)], fill=255)
    elif shape == "triangle":
        draw.polygon([(s / 2, s * 0.05), (s * 0.99, s * 0.93), (s * 0.01, s * 0.93)], fill=255)
    elif shape in ("pentagon", "hexagon"):
        draw.polygon(_polygon(5 if shape == "pentagon" else 6, side), fill=255)
    elif shape == "star":
        draw.polygon(_polygon(5, side, 0.42), fill=255)
    elif shape == "ring":
        draw.ellipse((s * 0.02, s * 0.02, s * 0.98, s * 0.98), fill=255)
        draw.ellipse((s * 0.25, s * 0.25, s * 0.75, s * 0.75), fill=0)
    elif shape == "cross":
        draw.rectangle((s * 0.35, s * 0.03, s * 0.65, s * 0.97), fill=255)
        draw.rectangle((s * 0.03, s * 0.35, s * 0.97, s * 0.65), fill=255)
    elif shape == "crescent":
        draw.ellipse((s * 0.02, s * 0.02, s * 0.98, s * 0.98), fill=255)
        draw.ellipse((s * 0.30, s * -0.04, s * 1.12, s * 0.78), fill=0)
    elif shape == "heart":
        t = np.linspace(0, 2 * math.pi, 90)
        x = s / 2 + s * 0.030 * 16 * np.sin(t) ** 3
        y = s * 0.47 - s * 0.030 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=255)


def _draw_texture(draw: ImageDraw.ImageDraw, texture: str, side: int, spacing: float, phase: float) -> None:
    step = side * (0.16 + 0.08 * spacing)
    count = int(side / step) + 3
    if texture == "striped":
        slant = (phase - 0.5) * side
        for i in range(-count, 2 * count):
            x = i * step
            draw.polygon([(x, 0), (x + step / 2, 0), (x + step / 2 + slant, side), (x + slant, side)], fill=255)
    elif texture == "dotted":
        for i in range(count):
            for j in range(count):
                x, y = (i + 0.5 * (j % 2) - phase) * step, (j - phase) * step
                draw.ellipse((x - step * 0.27, y - step * 0.27, x + step * 0.27, y + step * 0.27), fill=255)
    elif texture == "checkered":
        for i in range(count):
            for j in range(count):
                if (i + j) % 2:
                    x, y = (i - phase) * step, (j - phase) * step
                    draw.rectangle((x, y, x + step, y + step), fill=255)


# -------------------------------------------------------------------------------------------- cutouts


def held_out(name: str) -> bool:
    """Whether a file of this name is kept for the split "valid" (about one in five, by a hash)."""
    return int(hashlib.sha1(name.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


class CutoutSource:
    """A folder of cutouts with alpha, described by its ``labels.json``.

    ``labels.json`` maps group names to lists of entries with ``file`` and ``names`` and, where known,
    ``imagenet_index``, ``tags`` (garments of people) and ``size``. About one file in five, by a hash of
    its name, is kept for the split "valid", and only of kinds that keep at least two files for training:
    what "valid" asks for has been seen in training, on other pictures.

    Raises:
        InputError: the folder or its ``labels.json`` is missing or cannot be used.
    """

    name = "cutouts"

    def __init__(self, folder: Path, split: str) -> None:
        self.folder = folder
        entries = _read_labels(folder)
        by_kind: dict[str, list[Sprite]] = defaultdict(list)
        for entry in entries:
            sprite = _describe(entry, folder)
            if sprite is not None:
                by_kind[sprite.kind.name].append(sprite)
        self._by_kind: dict[str, list[Sprite]] = {}
        for kind, sprites in sorted(by_kind.items()):
            valid = [sprite for sprite in sprites if held_out(sprite.key[0])]
            train = [sprite for sprite in sprites if not held_out(sprite.key[0])]
            if len(train) < 2:
                train, valid = sprites, []
            chosen = train if split == "train" else valid
            if chosen:
                self._by_kind[kind] = chosen
        if not self._by_kind:
            raise InputError(
                f"{folder} has too few cutouts for the split '{split}': add cutouts, or use --source shapes."
            )
        # A kind with many pictures is met more often than one with a single picture, but not as often as
        # its pictures: people and dogs would crowd out the rest.
        self._names = list(self._by_kind)
        weights = np.array([len(self._by_kind[name]) ** 0.5 for name in self._names])
        self._weights = weights / weights.sum()
        self._images: OrderedDict[str, Image.Image] = OrderedDict()
        self._looks: dict[tuple[str, tuple[int, int, int] | None], _Look] = {}
        self._person_weights = _person_weights(self._by_kind.get("person", []))

    def kinds(self) -> Sequence[Kind]:
        """All kinds of this split, by name."""
        return [vocabulary.kind(name) for name in self._names]

    def draw(self, rng: np.random.Generator, avoid: frozenset[str] = frozenset()) -> Sprite:
        """A random cutout: first its kind, people a third of the time, then one of the kind."""
        if "person" in self._by_kind and "person" not in avoid and rng.random() < 0.35:
            return self._of_kind(rng, "person")
        for _ in range(30):
            name = str(rng.choice(self._names, p=self._weights))
            if vocabulary.kind(name).family not in avoid:
                break
        return self._of_kind(rng, name)

    def draw_family(self, rng: np.random.Generator, kinds: Sequence[str]) -> Sprite | None:
        """A random cutout of one of these kinds, or None where there is none."""
        present = [kind for kind in kinds if kind in self._by_kind]
        return self._of_kind(rng, str(rng.choice(present))) if present else None

    def variant(self, rng: np.random.Generator, sprite: Sprite, differ: str) -> Sprite | None:
        """Another cutout of the kind in another colour or other clothes, or the same cutout again."""
        if differ == "nothing":
            return sprite
        if differ == "kind":
            return self.draw(rng, frozenset((sprite.kind.family,)))
        if differ == "texture":
            return None
        if sprite.kind.tintable and rng.random() < 0.5:
            other = self._retinted(rng, sprite)
            if other is not None:
                return other
        for _ in range(8):
            other = self._of_kind(rng, sprite.kind.name)
            if sprite.is_person:
                if other.key[0] != sprite.key[0]:
                    return other
            elif sprite.colors and other.colors and not (sprite.colors & (other.colors | other.near)):
                return other
        return None

    def _of_kind(self, rng: np.random.Generator, kind: str) -> Sprite:
        sprites = self._by_kind[kind]
        if kind == "person":
            sprite = sprites[int(rng.choice(len(sprites), p=self._person_weights))]
        else:
            sprite = sprites[int(rng.integers(len(sprites)))]
        if sprite.is_person and rng.random() < 0.5:
            sprite = _dyed(rng, sprite)
        tint = None
        if sprite.kind.tintable and rng.random() < 0.6 and self._look(sprite, None).pale:
            tint = _RGB[str(rng.choice(_TINTS))]
        return self._seen(replace(sprite, tint=tint))

    def _retinted(self, rng: np.random.Generator, sprite: Sprite) -> Sprite | None:
        """The same thing in another colour, where it can be tinted and both colours are clear."""
        if not sprite.colors or not self._look(sprite, None).pale:
            return None
        other = self._seen(replace(sprite, tint=_RGB[str(rng.choice(_TINTS))]))
        return other if other.colors and not (other.colors | other.near) & sprite.colors else None

    def _seen(self, sprite: Sprite) -> Sprite:
        """The sprite with what its picture tells: colours, cut sides, size."""
        look = self._look(sprite, sprite.tint)
        colors, near = (frozenset(), frozenset(COLORS)) if sprite.is_person else (look.colors, look.near)
        return replace(sprite, colors=colors, near=near, cut=look.cut, size=look.size)

    def _look(self, sprite: Sprite, tint: tuple[int, int, int] | None) -> "_Look":
        key = (sprite.key[0], tint)
        if key not in self._looks:
            # Dyed clothes change nothing that is looked for: nobody is named by a colour as a whole.
            self._looks[key] = _look_at(self.image(replace(sprite, tint=tint, dye=None)))
        return self._looks[key]

    def image(self, sprite: Sprite) -> Image.Image:
        """The cutout's picture, tinted where the sprite says so."""
        file = sprite.key[0]
        if file in self._images:
            self._images.move_to_end(file)
            image = self._images[file]
        else:
            image = _open_rgba(self.folder / file)
            self._images[file] = image
            if len(self._images) > _CACHED_IMAGES:
                self._images.popitem(last=False)
        if sprite.dye:
            image = _dye_clothes(image, *sprite.dye)
        return _tinted(image, sprite.tint) if sprite.tint else image


_TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "cyan")
_DYES = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
_LIGHT_DYES = frozenset(("orange", "yellow", "pink"))  # Dark, they would have other names.
_HEAD = 0.17  # Of a full-length person's height: nothing above is dyed, so that hair keeps its colour.


def _dyed(rng: np.random.Generator, person: Sprite) -> Sprite:
    """The person with clothes of one colour in another one, where they wear enough of one that can be dyed."""
    worn = [g.color for g in person.garments if g.color in ("black", "white") and g.share > 0.12]
    if not worn:
        return person
    old = str(rng.choice(sorted(set(worn))))
    new = str(rng.choice([c for c in _DYES if not vocabulary.near_colors(c, old)]))
    garments = []
    for garment in person.garments:
        color = garment.color
        if color == old:
            color = new if garment.share > 0.07 else None
        elif color is None or vocabulary.near_colors(color, old):
            color = None  # Partly dyed perhaps: nobody could say.
        garments.append(replace(garment, color=color))
    return replace(person, garments=tuple(garments), dye=(old, new))


def _dye_clothes(image: Image.Image, old: str, new: str) -> Image.Image:
    """Give the black or white parts below the head another colour, their light and shade kept."""
    array = np.asarray(image).copy()
    below = array[int(array.shape[0] * _HEAD) :]
    rgb = below[..., :3].astype(np.float32) / 255
    value = rgb.max(-1)
    saturation = (value - rgb.min(-1)) / np.maximum(value, 0.05)
    if old == "black":
        weight = np.clip((0.42 - value) / 0.12, 0, 1)
        level = 0.72 + 1.0 * value if new in _LIGHT_DYES else 0.4 + 1.9 * value
    else:
        weight = np.clip((value - 0.5) / 0.15, 0, 1) * np.clip((0.22 - saturation) / 0.08, 0, 1)
        level = value
    color = np.array(_RGB[new], np.float32) / 255
    dyed = color * np.minimum(level, 1)[..., None]
    weight = weight[..., None]
    below[..., :3] = np.clip((rgb * (1 - weight) + dyed * weight) * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(array)


def _read_labels(folder: Path) -> list[dict[str, Any]]:
    path = folder / "labels.json"
    if not folder.is_dir():
        raise InputError(f"The cutouts folder {folder} does not exist: give a folder with a labels.json.")
    if not path.is_file():
        raise InputError(f"{folder} has no labels.json: it says which cutout shows what.")
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): mend it.") from error
    if not isinstance(groups, dict) or not all(isinstance(group, list) for group in groups.values()):
        raise InputError(f'{path} must be an object of lists, like {{"things": [{{"file": …, "names": …}}]}}.')
    entries = [entry for group in groups.values() for entry in group]
    for entry in entries:
        names = entry.get("names") if isinstance(entry, dict) else None
        if not isinstance(names, list) or not names or not all(map(_is_word, (entry.get("file"), *names))):
            raise InputError(f'{path}: every entry needs "file" and a list "names", unlike {entry!r:.120}.')
        index, tags = entry.get("imagenet_index"), entry.get("tags", [])
        if not isinstance(index, int | None) or not isinstance(tags, list) or not all(map(_is_garment, tags)):
            raise InputError(
                f'{path}: "imagenet_index" is a number, and each of a list "tags" has a "tag", a "color" and a '
                f'"share", unlike in {entry!r:.200}.'
            )
    if not entries:
        raise InputError(f"{path} lists no cutouts: add some.")
    return entries


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_garment(tag: object) -> bool:
    return (
        isinstance(tag, dict)
        and _is_word(tag.get("tag"))
        and isinstance(tag.get("color"), str | None)
        and isinstance(tag.get("share", 0), int | float)
    )


def _describe(entry: dict[str, Any], folder: Path) -> Sprite | None:
    index = entry.get("imagenet_index")
    names = [str(name) for name in entry["names"]]
    tags = tuple(
        Garment(str(tag["tag"]), tag.get("color"), float(tag.get("share", 0))) for tag in entry.get("tags", ())
    )
    if Path(entry["file"]).stem in vocabulary.UNCLEAR_FILES:
        return None
    if index is None:
        kind = vocabulary.kind(vocabulary.kind_of_names(names))
    else:
        if index in vocabulary.IMAGENET_UNCLEAR:
            return None
        kind = vocabulary.kind(vocabulary.kind_of_imagenet(index) or names[0].lower())
    latin = index is not None
    words = [
        name.lower() for name in names
        if vocabulary.speakable(name.lower()) and not (latin and _is_latin(name))
    ]  # fmt: skip
    if not (folder / entry["file"]).is_file():
        raise InputError(f"{folder / entry['file']} is listed in labels.json but does not exist: remove one.")
    everything = tuple(dict.fromkeys([kind.name, *words[: 2 if latin else 3], *kind.words]))
    return Sprite("cutouts", kind, everything, garments=tags, key=(entry["file"],))


def _is_latin(name: str) -> bool:
    """Whether a name looks like a species' Latin one: two words, only the first capitalised."""
    words = name.split()
    return len(words) == 2 and words[0][0].isupper() and words[1].islower() and words[1][-2:] in _LATIN_ENDINGS


_LATIN_ENDINGS = frozenset(("us", "is", "um", "ps", "es", "ta", "ca", "os", "na", "ri", "ii", "ra", "la", "ia"))


def _open_rgba(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an image: replace or remove it.") from error
    box = image.getchannel("A").point(lambda a: 255 * (a > 40)).getbbox()
    if box is None:
        raise InputError(f"{path} is fully transparent: replace or remove it.")
    return image.crop(box)


def _person_weights(people: list[Sprite]) -> np.ndarray:
    """Weights against the commonest colours of clothes, so that black is not in every sentence."""
    counts: dict[str, int] = defaultdict(int)
    for person in people:
        for garment in person.garments:
            if garment.color and garment.share > 0.08:
                counts[garment.color] += 1
    weights = np.array([
        0.02 + max(
            [counts[g.color] ** -0.6 for g in person.garments if g.color and g.share > 0.08], default=0.0
        )
        for person in people
    ])  # fmt: skip
    return weights / weights.sum() if len(people) else weights


@dataclass(frozen=True)
class _Look:
    """What a picture tells: clear and possible colours, cut sides, size, whether it may be tinted."""

    colors: frozenset[str]
    near: frozenset[str]
    cut: frozenset[str]
    size: tuple[int, int]
    pale: bool


def _look_at(image: Image.Image) -> _Look:
    alpha = np.asarray(image.getchannel("A"))
    height, width = alpha.shape
    solid = alpha > 128
    cut = set()
    sides = (("left", solid[:, 0]), ("right", solid[:, -1]), ("top", solid[0]), ("bottom", solid[-1]))
    for side, line in sides:
        # A side that is cut off is a long straight run on the border of the picture.
        if line.mean() > 0.3 and line.sum() > 24:
            cut.add(side)
    step = max(1, round((width * height / 1500) ** 0.5))
    pixels = np.asarray(image.reduce(step)).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 128][:, :3]
    if not len(pixels):
        return _Look(frozenset(), frozenset(COLORS), frozenset(cut), (width, height), False)
    shares = color_shares(pixels)
    best = max(shares, key=lambda color: shares[color])
    clear = shares[best] > 0.5 and shares[best] > 2 * sorted(shares.values())[-2]
    colors = frozenset((best,)) if clear else frozenset()
    near = {color for color, share in shares.items() if share > 0.07 and color not in colors}
    for color in colors:
        near |= {other for other in COLORS if other != color and vocabulary.near_colors(color, other)}
    saturation = pixels.max(1).astype(int) - pixels.min(1)
    brightness = pixels.max(1)
    pale = bool((saturation < 50).mean() > 0.7 and np.median(brightness) > 105)
    return _Look(colors, frozenset(near), frozenset(cut), (width, height), pale)


def color_shares(pixels: np.ndarray) -> dict[str, float]:
    """Which share of RGB pixels (N, 3) uint8 has which basic colour name; beige counts as white."""
    counts = np.bincount(color_indices(pixels), minlength=len(COLORS))
    return dict(zip(COLORS, (counts / max(len(pixels), 1)).tolist(), strict=True))


def color_indices(pixels: np.ndarray) -> np.ndarray:
    """The basic colour of each RGB pixel (N, 3) uint8, as (N,) indices into ``COLORS``."""
    rgb = pixels.astype(np.float32) / 255
    value, low = rgb.max(1), rgb.min(1)
    chroma = value - low
    saturation = chroma / np.maximum(value, 1e-6)
    safe = np.maximum(chroma, 1e-6)
    r, g, b = rgb.T
    hue = 60 * np.where(value == r, ((g - b) / safe) % 6, np.where(value == g, (b - r) / safe + 2, (r - g) / safe + 4))
    names = _OF_HUE[np.searchsorted(_HUE_LIMITS, hue)]
    warm = (names == _ORANGE) | (names == _RED)
    names[warm & (value < 0.62) & (saturation < 0.8) & (hue < 60)] = _BROWN
    names[(names == _ORANGE) & (value < 0.58)] = _BROWN
    names[(names == _YELLOW) & (value < 0.5)] = _BROWN
    names[((names == _RED) | (names == _PINK)) & (value > 0.75) & (saturation < 0.5)] = _PINK
    neutral = (saturation < 0.2) | (chroma < 0.1)
    names[neutral & (value > 0.72)] = COLORS.index("white")
    names[neutral & (value <= 0.72)] = COLORS.index("gray")
    names[(value < 0.2) | (neutral & (value < 0.27))] = COLORS.index("black")
    return names


_HUES = ((16, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (198, "cyan"), (255, "blue"),
         (292, "purple"), (340, "pink"), (361, "red"))  # fmt: skip
_HUE_LIMITS = np.array([limit for limit, _ in _HUES], np.float32)
_OF_HUE = np.array([COLORS.index(name) for _, name in _HUES])
_RED, _ORANGE, _YELLOW, _BROWN, _PINK = (COLORS.index(name) for name in ("red", "orange", "yellow", "brown", "pink"))


def _tinted(image: Image.Image, tint: tuple[int, int, int]) -> Image.Image:
    """A pale picture in another colour: its brightness kept, dark parts left dark."""
    array = np.asarray(image)
    gray = array[..., :3].astype(np.float32).mean(-1, keepdims=True) / 255
    top = max(0.55, float(np.percentile(gray[array[..., 3] > 128], 90)))
    level = np.clip(gray / top, 0, 1.15)
    color = np.array(tint, np.float32)
    mixed = np.where(level <= 1, color * level, color + (255 - color) * (level - 1) * 3)
    out = array.copy()
    out[..., :3] = np.clip(mixed, 0, 255).astype(np.uint8)
    return Image.fromarray(out)
