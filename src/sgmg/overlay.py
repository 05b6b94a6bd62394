"""Drawing masks and their expressions on frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sgmg.errors import InputError

PALETTE = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#0072B2")
"""Okabe and Ito's colours, which people with any common colour blindness can tell apart."""

FILL = 0.45
"""Opacity of a mask's inside; its contour is opaque."""

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels, ends exclusive


def colour_of(index: int) -> str:
    """Colour of the expression with this index, as "#RRGGBB"; they repeat after seven."""
    return PALETTE[index % len(PALETTE)]


@dataclass(frozen=True)
class Look:
    """How masks are painted.

    >>> look = Look(colours=["#FF0080", None], opacity=0.3)

    Attributes:
        colours: "#RRGGBB" of each expression, None for one that is not painted; by default `colour_of` each.
        opacity: of a mask's inside, 0 to 1; its contour is opaque.

    Raises:
        InputError: a colour or the opacity is none.
    """

    colours: Sequence[str | None] | None = None
    opacity: float = FILL

    def __post_init__(self) -> None:
        for colour in self.colours or ():
            if colour is not None and not (isinstance(colour, str) and re.fullmatch("#[0-9A-Fa-f]{6}", colour)):
                raise InputError(f"'{str(colour)[:40]}' is no colour; write it like #56B4E9.")
        if not 0 <= self.opacity <= 1:
            raise InputError(f"An opacity of {self.opacity:g} is not possible; give 0 to 1.")

    def colours_of(self, count: int) -> list[str | None]:
        """The colours of so many expressions.

        Raises:
            InputError: there are other colours than for these.
        """
        if self.colours is None:
            return [colour_of(index) for index in range(count)]
        if len(self.colours) != count:
            raise InputError(f"{len(self.colours)} colours were given for {count} expressions; give one for each.")
        return list(self.colours)


class Painter:
    """Paints the frames of one video in their order, so that labels do not jump from frame to frame.

    Args:
        expressions: texts of the labels.
        size: (height, width) of the frames.
        look: the colours, and how opaque they are.

    >>> painter = Painter(["the dog"], size=(360, 640))
    >>> painted = painter.paint(image, masks)
    """

    def __init__(self, expressions: Sequence[str], size: tuple[int, int], look: Look | None = None) -> None:
        self._size, self._look = size, look or Look()
        self._line = max(1, round(min(size) / 200))
        self._colours = [None if c is None else _rgb(c) for c in self._look.colours_of(len(expressions))]
        self._labels = [
            None if colour is None else _label(text, colour, size)
            for text, colour in zip(expressions, self._colours, strict=True)
        ]
        self._places: list[_Place | None] = [None] * len(expressions)

    def paint(self, image: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """A painted copy of a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (E, H, W) bool; an empty mask gets neither contour nor label, like one without a colour.

        Returns:
            (H, W, 3) uint8. Exactly the pixels of the masks are tinted; the contour runs inside of them.
        """
        canvas = Image.fromarray(image)
        painted = zip(masks, self._colours, strict=True)
        boxes = [None if colour is None else _box_of(mask) for mask, colour in painted]
        for mask, box, colour in zip(masks, boxes, self._colours, strict=True):
            if box is not None and colour is not None:
                self._tint(canvas, mask, box, colour)
        taken: list[Box] = []
        for index, (box, label) in enumerate(zip(boxes, self._labels, strict=True)):
            if box is None or label is None:
                self._places[index] = None
                continue
            others = [other for other in boxes if other is not None and other is not box]
            place = _find_place(label.size, box, others, taken, self._size, self._places[index])
            self._places[index] = place
            corner = (round(place.x), round(place.y))
            canvas.paste(label, corner)
            taken.append((*corner, corner[0] + label.width, corner[1] + label.height))
        return np.array(canvas)

    def _tint(
        self, canvas: Image.Image, mask: np.ndarray, box: tuple[int, int, int, int], colour: tuple[int, int, int]
    ) -> None:
        x1, y1, x2, y2 = box
        inside = mask[y1:y2, x1:x2]
        opacity = np.where(_eroded(mask, box, self._line), np.uint8(255 * self._look.opacity), np.uint8(255))
        canvas.paste(colour, box, Image.fromarray(opacity * inside))


def _box_of(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _eroded(mask: np.ndarray, box: tuple[int, int, int, int], steps: int) -> np.ndarray:
    """The part of a mask, cropped to its box, that is more than `steps` pixels from its edge.

    The picture's border is no edge: what it cuts off goes on outside.
    """
    x1, y1, x2, y2 = box
    height, width = mask.shape
    outside = ((y1 == 0, y2 == height), (x1 == 0, x2 == width))
    kept = mask[y1:y2, x1:x2]
    for _ in range(steps):
        padded = np.pad(kept, 1)
        padded[0], padded[-1] = padded[1] & outside[0][0], padded[-2] & outside[0][1]
        padded[:, 0], padded[:, -1] = padded[:, 1] & outside[1][0], padded[:, -2] & outside[1][1]
        kept = kept & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return kept


# --- labels ---------------------------------------------------------------------------------------------


class _Place:
    """Where a label is: its top left corner, and on which side of its object."""

    def __init__(self, side: int, x: float, y: float) -> None:
        self.side, self.x, self.y = side, x, y


def _find_place(
    label: tuple[int, int],
    box: Box,
    others: Sequence[Box],
    taken: Sequence[Box],
    size: tuple[int, int],
    before: _Place | None,
) -> _Place:
    """The side of an object where its label hides least, within the picture, preferring the last side."""
    width, height = label
    x1, y1, x2, y2 = box
    gap = 0.01 * min(size)
    middle = (x1 + x2 - width) / 2
    corners = (
        (middle, y1 - height - gap),  # above
        (middle, y2 + gap),  # below
        (x2 + gap, y1),  # right
        (x1 - width - gap, y1),  # left
        (middle, y1 + gap),  # on its upper part
        (middle, y2 - height - gap),  # on its lower part
        *((middle, other[3] + gap) for other in taken),  # below other labels, which fill the better places
        *((middle, other[1] - height - gap) for other in taken),
    )
    places = [
        _Place(side, _within(x, size[1] - width), _within(y, size[0] - height)) for side, (x, y) in enumerate(corners)
    ]

    def area_of(x: float, y: float) -> Box:
        return (x, y, x + width, y + height)

    def cost(place: _Place) -> float:
        area = area_of(place.x, place.y)
        hidden = 10 * sum(_overlap(area, other) for other in taken)
        hidden += 2 * _overlap(area, box) + sum(_overlap(area, other) for other in others)
        habit = 0.0 if before is None or before.side != place.side else -0.4
        far = max(abs(place.x - middle) - width, abs(place.y - y1) - height, 0) / max(size)
        return hidden / (width * height) + 0.05 * place.side + 2 * far + habit

    best = min(places, key=cost)
    if before is not None and before.side == best.side:
        # Masks tremble; half of the way to the new place is enough.
        x, y = (best.x + before.x) / 2, (best.y + before.y) / 2
        if not any(_overlap(area_of(x, y), other) for other in taken):
            best.x, best.y = x, y
    return best


def _within(start: float, last: float) -> float:
    return min(max(start, 0.0), max(last, 0.0))


def _overlap(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _label(text: str, colour: tuple[int, int, int], size: tuple[int, int]) -> Image.Image | None:
    """A text on its colour, at most two lines and half of the picture wide; None if nothing fits."""
    height, width = size
    points = max(10, round(min(height, width) / 27))
    text = " ".join(text.split())[:500]  # more than two lines hold; measuring a text is slow
    font = _font(points, text)
    margin = max(2, points // 4)
    room = max(0.5 * width, min(width, 160)) - 2 * margin
    lines = _wrapped(text, font, room)
    ascent, descent = font.getmetrics()
    box_height = len(lines) * (ascent + descent) + 2 * margin
    box_width = int(max(map(font.getlength, lines), default=0)) + 1 + 2 * margin
    if not text or not lines or box_width > width or box_height > height / 2:
        return None
    label = Image.new("RGB", (box_width, box_height), colour)
    draw = ImageDraw.Draw(label)
    ink = (0, 0, 0) if _luminance(colour) > 0.179 else (255, 255, 255)  # the better contrast of the two
    for row, line in enumerate(lines):
        draw.text((margin, margin + row * (ascent + descent)), line, fill=ink, font=font)
    return label


def _wrapped(text: str, font: ImageFont.FreeTypeFont, room: float, most: int = 2) -> list[str]:
    """Break a text into lines no wider than `room` pixels; what does not fit becomes an ellipsis."""
    lines: list[str] = []
    words = text.split(" ")
    while words and len(lines) < most:
        count = 1
        last = len(lines) == most - 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= room:
            count += 1
        line = " ".join(words[: len(words) if last else count])
        if font.getlength(line) > room:
            while line and font.getlength(line + "…") > room:
                line = line[:-1].rstrip()
            if not line:
                return lines
            return [*lines, line + "…"]
        lines.append(line)
        words = [] if last else words[count:]
    return lines


@lru_cache(maxsize=32)
def _font(points: int, text: str) -> ImageFont.FreeTypeFont:
    """Pillow's own font, or, for letters that it lacks, one that many systems have."""
    own = ImageFont.load_default(points)
    assert isinstance(own, ImageFont.FreeTypeFont), "Pillow is built without FreeType"
    if _can_write(own, text):
        return own
    names = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf")
    for name in (*names, "msgothic.ttc", "arial.ttf"):
        try:
            font = ImageFont.truetype(name, points)
        except OSError:
            continue
        if _can_write(font, text):
            return font
    return own


def _can_write(font: ImageFont.FreeTypeFont, text: str) -> bool:
    missing = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(letter)) != missing for letter in set(text) - {" "})


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
