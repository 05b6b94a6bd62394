"""Values of options that are more than a number."""

from fractions import Fraction
from typing import Literal

from sgmg.errors import InputError


def clip_frames(value: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise InputError(f"A clip of {value!r} frames is not possible; give 1 or more, or 'all'.")
    return int(value)


def two_numbers(value: str, between: str, option: str, example: str) -> tuple[int, int]:
    first, found, second = value.lower().partition(between)
    if not found or not all(part.isascii() and part.isdigit() for part in (first, second)):
        raise InputError(f"{option} {value!r} is not understood: write it like {example}.")
    return int(first), int(second)


def seconds(value: str, option: str) -> Fraction:
    """A time such as 90, 1:30 or 0:01:30.5, in seconds."""
    total = Fraction(0)
    parts = value.split(":")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if len(parts) > 3 or not part.isascii() or not (part.replace(".", "", 1) if last else part).isdigit():
            raise InputError(
                f"{option} {value!r} is not a time: write seconds or [hours:]minutes:seconds, like 1:30.5."
            )
        total = total * 60 + Fraction(part)
    return total
