"""Videos that visitors gave: opened under the name that the visitor knows."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sgmg.errors import InputError
from sgmg.video import Video, open_video

POSTER_SIDE = 960
THUMBNAIL_SIDE = 480


@dataclass(frozen=True)
class Upload:
    """A video file of a visitor's.

    Attributes:
        ticket: what the page calls it, `TICKET/FILE`.
        path: where it is; never told.
        name: what the visitor calls it.
    """

    ticket: str
    path: Path
    name: str

    @classmethod
    def read(cls, ticket: str, path: Path, name: str) -> Upload:
        """With a name that fits into a sentence."""
        return cls(ticket, path, (Path(name).name.strip() or "video")[:80])

    def open(self) -> Video:
        """The frames.

        Raises:
            InputError: it is no video; the sentence calls it by the visitor's name.
        """
        with self.called_by_name():
            video = open_video(self.path)
        video.source = self.name
        return video

    @contextmanager
    def called_by_name(self) -> Iterator[None]:
        """Errors raised inside say the visitor's name of the file instead of its place."""
        try:
            yield
        except (InputError, OSError) as error:
            said = str(error) if isinstance(error, InputError) else "The file cannot be read; give it again."
            raise InputError(said.replace(str(self.path), self.name)) from error

    def as_dict(self) -> dict[str, Any]:
        """What the page says about it, once it was opened."""
        video = self.open()
        height, width = video.size
        return {
            "path": self.ticket,
            "name": self.name,
            "width": width,
            "height": height,
            "frames": video.frame_count,
            "fps": round(float(video.fps), 3),
        }


def poster(video: Video) -> str:
    """The first frame as a picture for the page."""
    return picture(next(iter(video)).image, POSTER_SIDE, quality=82)


def picture(image: np.ndarray, side: int, quality: int = 72) -> str:
    """An image, (H, W, 3) uint8, as a JPEG of at most `side` pixels a side, in a data URL."""
    photo = Image.fromarray(image)
    photo.thumbnail((side, side), Image.Resampling.BILINEAR)
    data = io.BytesIO()
    photo.save(data, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
