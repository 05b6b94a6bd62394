"""A small dataset in the layout of Ref-YouTube-VOS, written by hand, for tests to read and to break."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PALETTE = [0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200]


def write_list(root: Path, split: str, videos: dict[str, Any]) -> Path:
    """Write meta_expressions.json of a split."""
    path = root / "meta_expressions" / split / "meta_expressions.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"videos": videos}))
    return path


def write_video(
    root: Path, split: str, name: str, labels: np.ndarray, frames: list[str], annotated: bool = True
) -> None:
    """Write frames coloured by the objects in them, and their annotations. Labels: (T, H, W) object ids."""
    colours = np.array(PALETTE, np.uint8).reshape(-1, 3)
    for folder, image_suffix in (("JPEGImages", ".jpg"), ("Annotations", ".png")):
        if folder == "Annotations" and not annotated:
            continue
        (root / split / folder / name).mkdir(parents=True)
        for frame, label in zip(frames, labels, strict=True):
            if folder == "JPEGImages":
                image = Image.fromarray(colours[label] + 50)
            else:
                image = Image.fromarray(label.astype(np.uint8))
                image.putpalette(PALETTE)
            image.save(root / split / folder / name / f"{frame}{image_suffix}")


def two_squares(length: int = 3, height: int = 40, width: int = 60) -> np.ndarray:
    """Object 1 on the left, object 2 on the right, which is absent from the last frame."""
    labels = np.zeros((length, height, width), np.uint8)
    labels[:, 10:20, 5:20] = 1
    labels[:-1, 15:35, 35:55] = 2
    return labels


def write_dataset(root: Path, split: str = "valid") -> dict[str, Any]:
    """Two videos: "pair" with two objects and a sentence about a third that is absent; "single" with one."""
    frames = ["00000", "00005", "00010"]
    videos = {
        "pair": {
            "expressions": {
                "0": {"exp": "the red square", "obj_id": "1", "kind": "colour"},
                "1": {"exp": "the square on the right", "obj_id": "2", "kind": "position"},
                "2": {"exp": "the square on the left", "obj_id": 1, "kind": "position"},
                "3": {"exp": "the blue circle", "obj_id": "3", "kind": "absent"},
            },
            "frames": frames,
        },
        "single": {
            "expressions": {"0": {"exp": "the red square", "obj_id": "1", "kind": "colour"}},
            "frames": frames,
        },
    }
    labels = two_squares()
    write_video(root, split, "pair", labels, frames)
    write_video(root, split, "single", np.where(labels == 1, labels, 0), frames)
    write_list(root, split, videos)
    return videos
