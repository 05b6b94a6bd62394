"""Put frames of the demo's generated clip side by side, as the README's picture.

Usage: make demo && .venv/bin/python tools/readme_picture.py [OVERLAY] [PICTURE]
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
    """Three moments of the overlay in one row."""
    overlay = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/shapes/overlay.mp4")
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images/demo.jpg")
    if not overlay.is_file():
        sys.exit(f"Error: there is no {overlay}; run make demo first.")
    frames = read_video(overlay)
    chosen = np.hstack([frames[round(moment * (len(frames) - 1))] for moment in MOMENTS])
    row = Image.fromarray(chosen)
    target.parent.mkdir(parents=True, exist_ok=True)
    row.resize((round(row.width * HEIGHT / row.height), HEIGHT), Image.Resampling.LANCZOS).save(target, quality=88)
    print(target)


if __name__ == "__main__":
    main()
