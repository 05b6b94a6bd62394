"""Put frames of the demo's overlays side by side, as the README's picture.

Usage: make demo && .venv/bin/python tools/readme_picture.py [DEMO_FOLDER] [PICTURE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sgmg.video import read_video

HEIGHT = 260
MOMENTS = (0.1, 0.5, 0.9)


def main() -> None:
    """One row for each overlay of the demo, three moments a row."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images/demo.jpg")
    overlays = sorted(demo.glob("*/overlay.mp4"))
    if not overlays:
        sys.exit(f"Error: there is no overlay in {demo}; run make demo first.")
    rows = [row_of(read_video(path)) for path in overlays]
    width = max(row.width for row in rows)
    picture = Image.new("RGB", (width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        picture.paste(row, ((width - row.width) // 2, top))
        top += row.height
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, quality=88)
    print(target)


def row_of(frames: np.ndarray) -> Image.Image:
    """Three moments of a video, (T, H, W, 3), beside one another."""
    chosen = np.hstack([frames[round(moment * (len(frames) - 1))] for moment in MOMENTS])
    row = Image.fromarray(chosen)
    return row.resize((round(row.width * HEIGHT / row.height), HEIGHT), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
