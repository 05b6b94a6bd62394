"""Lists of datasets: JSON that may be broken, and names from it that must not lead out of the dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sgmg.data.video_data import Expression, Video
from sgmg.errors import InputError


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it is missing, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8
        raise InputError(f"{path} is not valid JSON: {error}.") from error


def read_videos(path: Path) -> dict[str, Any]:
    """What a JSON file holds under "videos", by name of the video.

    Raises:
        InputError: it is missing, no JSON, or has no such key.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("videos"), dict):
        raise InputError(f'{path} must hold an object with the key "videos", by name of the video.')
    return content["videos"]


def require_component(name: Any, what: str, where: Path | str) -> None:
    """Names become file names: none may lead out of its folder, on any system.

    Args:
        name: as the list has it.
        what: what it names, "a video".
        where: the list.

    Raises:
        InputError: it is no plain file name.
    """
    plain = (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )
    if not plain:
        raise InputError(f"{where}: {name!r} cannot be the name of {what}, since it is no plain file name.")


ParseObjects = Callable[[dict[str, Any], str], "tuple[int, ...] | None"]


def parse_video(
    name: str,
    entry: Any,
    path: Path,
    parse_objects: ParseObjects,
    categories: dict[int, str] | None = None,
) -> Video:
    """A video of a ``meta_expressions.json``, ``{"expressions": {ID: {"exp": …}}, "frames": […]}``.

    Args:
        name: the video's.
        entry: what the list says of it.
        path: the list, for messages.
        parse_objects: takes an expression's entry and where it stands, and gives the ids of its objects; None where
            the list does not say them.
        categories: object id to category.

    Raises:
        InputError: something is missing or of another type.
    """
    require_component(name, "a video", path)
    if not isinstance(entry, dict):
        raise InputError(f'{path}: {name!r} must hold "expressions" and "frames".')
    frames, expressions = entry.get("frames"), entry.get("expressions")
    if not isinstance(frames, list) or not frames:
        raise InputError(f'{path}: "frames" of {name!r} must be a list of at least one name.')
    if not isinstance(expressions, dict):
        raise InputError(f'{path}: "expressions" of {name!r} must be an object, by id of the expression.')
    for frame in frames:
        require_component(frame, f"a frame of {name!r}", path)
    parsed = tuple(
        _parse_expression(key, value, f"{path}: {name!r}", parse_objects) for key, value in expressions.items()
    )
    return Video(name, tuple(frames), parsed, categories or {})


def _parse_expression(key: str, entry: Any, where: str, parse_objects: ParseObjects) -> Expression:
    require_component(key, "an expression", where)
    text = entry.get("exp") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise InputError(f'{where}, expression "{key}" must have a sentence under "exp".')
    kind = entry.get("kind", "")
    if not isinstance(kind, str):
        raise InputError(f'{where}, expression "{key}": "kind" must be a string.')
    return Expression(key, text, parse_objects(entry, f'{where}, expression "{key}"'), kind)
