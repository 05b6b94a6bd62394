"""What a visitor may ask for, and the sentences that say so before it is too late."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sgmg.errors import InputError
from sgmg.video import Video

MEGABYTE = 1_000_000

_UNITS = {"": 1, "k": 1_000, "m": MEGABYTE, "g": 1_000 * MEGABYTE}


def as_bytes(size: str) -> int:
    """The number of bytes that a person means.

    >>> as_bytes("200MB")
    200000000

    Raises:
        InputError: it is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)b?\s*", size.lower())
    value = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if value < 1:
        raise InputError(f"'{size}' is no size of a file; write it like 200MB or 1.5GB.")
    return value


@dataclass(frozen=True)
class Limits:
    """The most that one visitor may ask for at once.

    Attributes:
        upload: bytes of a file.
        frames: of a video.
        sentences: about one video.
        letters: of one sentence.
        pixels: of one frame.
        waiting: visitors in the queue.
    """

    upload: int = 200 * MEGABYTE
    frames: int = 1800
    sentences: int = 8
    letters: int = 200
    pixels: int = 4096 * 2304
    waiting: int = 32

    def as_dict(self) -> dict[str, Any]:
        """For the page, which says these before anything is uploaded."""
        return {
            "upload": self.upload,
            "uploadText": self.upload_text,
            "frames": self.frames,
            "sentences": self.sentences,
            "letters": self.letters,
        }

    @property
    def upload_text(self) -> str:
        """The size of a file as people write it."""
        if self.upload < MEGABYTE:
            return f"{self.upload / 1000:g} kB"
        return f"{self.upload / MEGABYTE:.4g} MB"

    def too_large(self, name: str) -> InputError:
        """The sentence about a file that is larger than `upload`."""
        return InputError(f"'{name}' is larger than {self.upload_text}, the most that can be uploaded here.")

    def too_long(self, name: str) -> InputError:
        """The sentence about a video of more than `frames` frames."""
        return InputError(
            f"'{name}' has more than {self.frames:,} frames, the most that are segmented here; cut a shorter piece."
        )

    def check_video(self, video: Video) -> None:
        """Refuse what is known to be too long or too large before any work is done on it."""
        height, width = video.size
        if height * width > self.pixels:
            raise InputError(
                f"'{video.source}' has frames of {width} x {height} pixels, which are too large here; "
                f"make them smaller, to at most {self.pixels / 1e6:.1f} megapixels."
            )
        if video.frame_count is not None and video.frame_count > self.frames:
            raise self.too_long(video.source)

    def sentences_of(self, text: str) -> list[str]:
        """One sentence a line; empty lines do not count.

        Raises:
            InputError: there are none, too many, or one is too long.
        """
        sentences = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        if not sentences:
            raise InputError("There is no sentence yet; say what to find, such as 'the dog', one sentence a line.")
        if len(sentences) > self.sentences:
            raise InputError(f"{len(sentences)} sentences are too many; ask for up to {self.sentences} at once.")
        if max(map(len, sentences)) > self.letters:
            raise InputError(f"A sentence has more than {self.letters} letters; say it shorter.")
        return sentences
