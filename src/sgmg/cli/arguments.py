"""Values of options that are more than a number."""

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
