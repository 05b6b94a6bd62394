"""Render two short clips, a generated one and a photo under a moving camera, and segment them by sentences.

Usage: python tools/demo.py [FOLDER]
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from sgmg.data.synthetic import SyntheticConfig, SyntheticVideos
from sgmg.recording import VideoRecording
from sgmg.video import open_video

FPS = 12
FRAMES = 36
SEED = 8


def main() -> None:
    """Write the clips, call `sgmg segment` on each as a user would, and say where the overlays are."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    folder.mkdir(parents=True, exist_ok=True)
    shapes, sentences = generated_clip()
    clips = {"shapes": (shapes, sentences), "cat": (cat_clip(), ["the cat", "the dog"])}
    overlays = []
    for name, (frames, expressions) in clips.items():
        video = folder / f"{name}.mp4"
        write_video(video, frames)
        command = ["sgmg", "segment", str(video), *expressions, "-o", str(folder / name), "--overwrite"]
        print("\n$ " + " ".join(f'"{part}"' if " " in part else part for part in command), flush=True)
        subprocess.run([sys.executable, "-m", "sgmg", *command[1:]], check=True)
        overlays.append(folder / name / "overlay.mp4")
    print("\nLook at the overlays:", *overlays, sep="\n  ")


def generated_clip() -> tuple[np.ndarray, list[str]]:
    """A clip of the synthetic generator that no training saw (frames, (T, H, W, 3)), and two of its sentences."""
    kinds = ("attribute", "motion", "position")
    config = SyntheticConfig(split="valid", length=FRAMES, objects=(3, 4), kinds=kinds)
    video = SyntheticVideos(config, seed=SEED)[0]
    sentences: dict[int, str] = {}
    for expression in video.expressions:
        if expression.object_id is not None:
            sentences.setdefault(expression.object_id, expression.text)
    return video.frames, list(sentences.values())[:2]


def cat_clip(height: int = 288, width: int = 432) -> np.ndarray:
    """scikit-image's photo of the cat Chelsea (CC0, Stefan van der Walt) under a slow pan and zoom, (T, H, W, 3)."""
    photo = Image.fromarray(skimage.data.chelsea())
    frames = []
    for index in range(FRAMES):
        progress = (1 - math.cos(math.pi * index / (FRAMES - 1))) / 2  # starts and ends gently
        view_width = photo.width * (0.99 - 0.17 * progress)
        view_height = view_width * height / width
        left = (photo.width - view_width) * progress
        top = (photo.height - view_height) * (1 - progress) * 0.5
        view = (left, top, left + view_width, top + view_height)
        frames.append(np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC, box=view)))
    return np.stack(frames)


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write frames, (T, H, W, 3) uint8, as an H.264 MP4."""
    video = open_video(frames, fps=FPS)
    with VideoRecording(path, like=video) as recording:
        for frame in video:
            recording.write(frame.image, frame.time, frame.duration)


if __name__ == "__main__":
    main()
