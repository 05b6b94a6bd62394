"""Pictures of what the default model finds, and of what it does not, for its model card.

    python tools/card_pictures.py [--model M] [FOLDER]

Photographs of scikit-image under a slow camera, with the default threshold: Chelsea the cat (CC0, Stefan van der Walt),
a cup of coffee (CC0, Rachel Michetti), Eileen Collins (NASA, public domain), a rocket (CC0, SpaceX). What is written on
a picture is the sentence and the frame's score; without a mask the score was below the threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from sgmg import Segmenter
from sgmg.errors import InputError
from sgmg.overlay import Look, Painter

FRAMES = 8
SHARE = 0.9
"""Of a photograph that the camera sees at once."""

SIZE = (256, 192)
"""Width and height of a picture."""

COLOUR, PAPER, INK = "#56B4E9", "#fbfbfd", "#23243a"
LINE = 22
"""Height of what is written below a picture."""

SHEETS = {
    "default_finds": [
        [("cat", "the cat"), ("coffee", "the mug"), ("astronaut", "the woman"), ("astronaut", "the person")],
        [("cat", "a dog"), ("coffee", "a person"), ("coffee", "the cat"), ("astronaut", "a dog")],
    ],
    "default_mistakes": [
        [
            ("coffee", "the cup"),
            ("astronaut", "the astronaut"),
            ("astronaut", "the person in the orange suit"),
            ("rocket", "a person"),
        ]
    ],
}


def camera(photo: np.ndarray) -> np.ndarray:
    """A photograph (H, W, 3) under a camera that moves from one corner to the other: (FRAMES, h, w, 3)."""
    room = [(side, int(side * SHARE)) for side in photo.shape[:2]]
    frames = []
    for index in range(FRAMES):
        (top, height), (left, width) = ((round((side - seen) * index / (FRAMES - 1)), seen) for side, seen in room)
        frames.append(photo[top : top + height, left : left + width])
    return np.stack(frames)


def picture(segmenter: Segmenter, clip: np.ndarray, sentence: str) -> Image.Image:
    """The middle frame with its mask, and below it the sentence and the score."""
    found = segmenter(clip, sentence)
    middle = len(clip) // 2
    painted = Painter([""], found.size, Look([COLOUR])).paint(clip[middle], found.masks_of(middle))
    scale = max(SIZE[0] / painted.shape[1], SIZE[1] / painted.shape[0])
    whole = Image.fromarray(painted).resize((round(painted.shape[1] * scale), round(painted.shape[0] * scale)))
    left, top = (whole.width - SIZE[0]) // 2, (whole.height - SIZE[1]) // 2
    sheet = Image.new("RGB", (SIZE[0], SIZE[1] + LINE), PAPER)
    sheet.paste(whole.crop((left, top, left + SIZE[0], top + SIZE[1])))
    text = f"“{sentence}” {found.frame_scores[0, middle]:.2f}"
    ImageDraw.Draw(sheet).text((4, SIZE[1] + 3), text, INK, ImageFont.load_default(14))
    return sheet


def sheet(rows: Sequence[Sequence[Image.Image]], gap: int = 8) -> Image.Image:
    """Pictures of one size, in rows."""
    width, height = rows[0][0].size
    whole = Image.new("RGB", (len(rows[0]) * (width + gap) + gap, len(rows) * (height + gap) + gap), PAPER)
    for y, row in enumerate(rows):
        for x, one in enumerate(row):
            whole.paste(one, (gap + x * (width + gap), gap + y * (height + gap)))
    return whole


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"), help="where they are written")
    parser.add_argument("--model", default="sgmg-lite", help="as of sgmg segment")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if not folder.is_dir():
        parser.error(f"there is no folder {folder}")
    try:
        segmenter = Segmenter.from_pretrained(arguments.model, device="cpu")
    except InputError as error:
        parser.error(str(error))
    clips = {
        "cat": camera(skimage.data.chelsea()),
        "coffee": camera(skimage.data.coffee()),
        "astronaut": camera(skimage.data.astronaut()),
        "rocket": camera(skimage.data.rocket()),
    }
    for name, rows in SHEETS.items():
        target = folder / f"{name}.jpg"
        sheet([[picture(segmenter, clips[clip], sentence) for clip, sentence in row] for row in rows]).save(
            target, quality=85
        )
        print(target)


if __name__ == "__main__":
    main()
