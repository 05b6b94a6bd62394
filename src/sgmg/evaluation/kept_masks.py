"""Run-length encoded masks that somebody else wrote: checked before pycocotools, which trusts them, sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco

from sgmg.errors import InputError
from sgmg.segmentation import Rle

# Five bits a character, so that no length or difference needs more in images that fit into 32 bits.
_LONGEST_NUMBER = 7


def checked_rle(value: Any, size: tuple[int, int], where: str) -> Rle:
    """A COCO run-length encoding from JSON, compressed or a list of counts, known to fill an image exactly.

    Args:
        value: ``{"size": [H, W], "counts": …}``.
        size: height and width that it must have.
        where: begins the sentence if it cannot be used.

    Raises:
        InputError: it is no run-length encoding, or not of this size.
    """
    if not isinstance(value, dict) or "counts" not in value:
        raise InputError(f"{where} has no run-length encoding with size and counts.")
    if value.get("size") != list(size):
        raise InputError(f"{where} has the size {value.get('size')}, but its frame is {list(size)} (height, width).")
    counts = value["counts"]
    if isinstance(counts, list):
        plain = all(type(count) is int and 0 <= count < 2**32 for count in counts)
        lengths = np.array(counts if plain else [-1], np.int64)
    else:
        lengths = _run_lengths(counts)
    if lengths.sum() != size[0] * size[1] or (lengths < 0).any():
        raise InputError(f"{where} has counts that do not add up to its {size[0]} x {size[1]} pixels.")
    if isinstance(counts, list):
        return coco.frPyObjects({"size": list(size), "counts": counts}, *size)
    return Rle(size=list(size), counts=counts.encode("ascii"))


def _run_lengths(counts: Any) -> np.ndarray:
    """The lengths that COCO's characters stand for; [-1] if they are none.

    A character carries five bits, lowest first, and a sixth that says that its number goes on; numbers are
    signed, and from the fourth on they are differences from the number two before.
    """
    broken = np.array([-1])
    if not isinstance(counts, str) or not counts.isascii() or not counts:
        return broken
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = (codes & 32) == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        return broken
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    digits = ends - starts + 1
    if digits.max() > _LONGEST_NUMBER:
        return broken
    place = np.arange(len(codes)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((codes & 31) << 5 * place, starts)
    numbers -= np.where(codes[ends] & 16, 1 << 5 * digits, 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
