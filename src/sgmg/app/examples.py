"""Clips to try the page with: generated here, so that they need neither a network nor space in the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgmg.app.storage import Storage
from sgmg.app.uploads import Upload, poster
from sgmg.data.synthetic import SyntheticConfig, SyntheticVideo, SyntheticVideos
from sgmg.recording import VideoRecording
from sgmg.video import open_video

FRAMES, FPS = 36, 12
# Of split "valid", which no training saw; picked by eye for sentences that people would write.
SEEDS = {"Hexagons": 8, "Diamonds": 11, "Hearts": 17}
SENTENCES = 3


@dataclass(frozen=True)
class Example:
    """A clip and sentences about it."""

    upload: Upload
    sentences: list[str]
    poster: str

    def as_dict(self) -> dict[str, Any]:
        """For the page."""
        return {**self.upload.as_dict(), "sentences": self.sentences, "poster": self.poster}


def render_examples(storage: Storage) -> list[Example]:
    """Render the clips into the storage; takes a few seconds."""
    return [_render(storage, name, seed) for name, seed in SEEDS.items()]


def _render(storage: Storage, name: str, seed: int) -> Example:
    config = SyntheticConfig(split="valid", length=FRAMES, objects=(3, 4), kinds=("attribute", "motion", "position"))
    clip = SyntheticVideos(config, seed=seed)[0]
    ticket, folder = storage.new(kept=True)
    path = folder / "video.mp4"
    _write(path, clip)
    upload = Upload.read(f"{ticket}/video.mp4", path, name)
    return Example(upload, _sentences(clip), poster(upload.open()))


def _sentences(clip: SyntheticVideo) -> list[str]:
    """One sentence for each thing, those of the most things first."""
    found: dict[int, str] = {}
    for expression in clip.expressions:
        if expression.object_id is not None:
            found.setdefault(expression.object_id, expression.text)
    return list(found.values())[:SENTENCES]


def _write(path: Path, clip: SyntheticVideo) -> None:
    video = open_video(clip.frames, fps=FPS)
    with VideoRecording(path, like=video) as recording:
        for frame in video:
            recording.write(frame.image, frame.time, frame.duration)
