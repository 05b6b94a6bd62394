"""Ref-DAVIS17, as published (raw) or converted to the layout of Ref-YouTube-VOS.

Raw:

    DAVIS/{JPEGImages,Annotations_unsupervised}/480p/VIDEO/FRAME.{jpg,png}
    DAVIS/ImageSets/2017/{train,val}.txt
    DAVIS/davis_semantics.json                                          categories of the objects, optional
    davis_text_annotations/Davis17_annot{1,2}{,_full_video}.txt         lines VIDEO OBJ_ID "expression"

Converted: as `sgmg.data.ref_youtube_vos`, expression k of object k // 4 + 1 and annotator k % 4.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from sgmg.data.lists import read_json, require_component
from sgmg.data.ref_youtube_vos import RefYouTubeVOS, parse_object_id
from sgmg.data.video_data import FRAME_SUFFIXES, Expression, LabelledFrames, Video
from sgmg.errors import InputError

ANNOTATORS = 4
#: The lists of the four annotators in the order of the expressions, with their encodings.
TEXT_FILES = {
    "Davis17_annot1.txt": "utf-8-sig",
    "Davis17_annot1_full_video.txt": "utf-8-sig",
    "Davis17_annot2.txt": "latin-1",
    "Davis17_annot2_full_video.txt": "latin-1",
}
_MISSPELT = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
_SETS = {"train": "train.txt", "valid": "val.txt"}


class RefDAVIS17(LabelledFrames):
    """Reader of one split; as a sequence it holds one `Sample` of a whole video for each expression.

    Where the folder holds ``meta_expressions``, that is read; else the raw files.

    Args:
        root: folder with ``DAVIS`` and ``davis_text_annotations``, or with ``meta_expressions``.
        split: "train" or "valid".

    Raises:
        InputError: a list is missing or broken, names something outside of the dataset, or does not have each
            object once for each of the four annotators.

    Example:
        >>> data = RefDAVIS17("ref-davis")
        >>> expressions = data.videos[0].expressions
        >>> [data.annotator(expression) for expression in expressions[:5]]
        [0, 1, 2, 3, 0]
    """

    def __init__(self, root: str | Path, split: str = "valid") -> None:
        root = Path(root)
        if split not in _SETS:
            raise InputError(f"Ref-DAVIS17 has no split '{split}': use train or valid.")
        if (root / "meta_expressions").is_dir():
            source = RefYouTubeVOS(root, split)
            videos = [_complete(video, source.list_file) for video in source.videos]
            super().__init__(videos, source.list_file, source.frames_folder, source.annotations_folder)
        elif (root / "DAVIS").is_dir():
            davis = root / "DAVIS"
            frames_folder = davis / "JPEGImages" / "480p"
            list_file = davis / "ImageSets" / "2017" / _SETS[split]
            videos = _read_raw(list_file, root / "davis_text_annotations", frames_folder, davis)
            super().__init__(videos, list_file, frames_folder, davis / "Annotations_unsupervised" / "480p")
        else:
            raise InputError(
                f"{root} holds no Ref-DAVIS17: give the folder with DAVIS and davis_text_annotations, or with "
                "meta_expressions."
            )
        self.root, self.split = root, split

    def annotator(self, expression: Expression) -> int:
        """Who wrote the expression: 0 annotator 1 of the first frame, 1 of the full video, 2 and 3 annotator 2."""
        return int(expression.id) % ANNOTATORS


def _complete(video: Video, path: Path) -> Video:
    """A converted video with the ids of its objects, once each object has one expression of each annotator."""
    ids = [expression.id for expression in video.expressions]
    if len(ids) % ANNOTATORS or set(ids) != {str(k) for k in range(len(ids))}:
        raise InputError(
            f'{path}: the expressions of {video.name!r} must be numbered "0", "1", … with four for each object.'
        )
    by_number = sorted(video.expressions, key=lambda expression: int(expression.id))
    expressions = tuple(
        expression if expression.object_ids else replace(expression, object_ids=(k // ANNOTATORS + 1,))
        for k, expression in enumerate(by_number)
    )
    for first in range(0, len(expressions), ANNOTATORS):
        if len({expression.object_ids for expression in expressions[first : first + ANNOTATORS]}) > 1:
            raise InputError(
                f"{path}: expressions {first} to {first + ANNOTATORS - 1} of {video.name!r} must be of one object, "
                "one by each annotator."
            )
    if len({expression.object_ids for expression in expressions}) < len(expressions) // ANNOTATORS:
        raise InputError(f"{path}: an object of {video.name!r} has more than one expression of an annotator.")
    return replace(video, expressions=expressions)


def _read_raw(list_file: Path, texts_folder: Path, frames_folder: Path, davis: Path) -> list[Video]:
    names = [line for line in _read_lines(list_file, "utf-8-sig") if line]
    texts = [_read_texts(texts_folder / file, encoding, set(names)) for file, encoding in TEXT_FILES.items()]
    semantics = _read_semantics(davis / "davis_semantics.json")
    videos = []
    for name in names:
        require_component(name, "a video", list_file)
        expressions: list[Expression] = []
        described = [said.get(name, {}) for said in texts]
        for object_id in sorted(set().union(*described)):
            for file, said in zip(TEXT_FILES, described, strict=True):
                if object_id not in said:
                    raise InputError(
                        f"{texts_folder / file} has no expression for object {object_id} of {name!r}, which other "
                        "annotators have."
                    )
                expressions.append(Expression(str(len(expressions)), said[object_id], (object_id,)))
        if not expressions:
            raise InputError(f"{texts_folder / next(iter(TEXT_FILES))} has no expression for the video {name!r}.")
        frames = _frame_names(frames_folder / name, list_file)
        videos.append(Video(name, frames, tuple(expressions), semantics.get(name, {})))
    if not videos:
        raise InputError(f"{list_file} lists no video.")
    return videos


def _read_texts(path: Path, encoding: str, videos: set[str]) -> dict[str, dict[int, str]]:
    """Expressions of one annotator, by video and object; the lists go on with videos of other splits."""
    texts: dict[str, dict[int, str]] = {}
    for number, line in enumerate(_read_lines(path, encoding), 1):
        where = f"{path}, line {number}"
        first = line.split(maxsplit=1)[0] if line else ""
        video = _MISSPELT.get(first, first)
        if video not in videos:
            continue
        match = re.fullmatch(r"(\S+)\s+(\S+)\s+(.*)", line)
        text = match[3].strip().strip('"').strip() if match else ""
        if not match or not text:
            raise InputError(f'{where} must be VIDEO OBJ_ID "expression".')
        object_id = parse_object_id(match[2], where)
        if object_id in texts.setdefault(video, {}):
            raise InputError(f"{where}: object {object_id} of {video!r} has an expression already.")
        texts[video][object_id] = text
    return texts


def _read_lines(path: Path, encoding: str) -> list[str]:
    """Lines of a text file, without the space around them."""
    try:
        text = path.read_text(encoding=encoding)
    except FileNotFoundError:
        raise InputError(f"{path} is missing.") from None
    except ValueError as error:
        raise InputError(f"{path} is not text in {encoding.removesuffix('-sig').upper()}: {error}.") from error
    return [line.strip() for line in text.split("\n")]


def _read_semantics(path: Path) -> dict[str, dict[int, str]]:
    """Categories by video and object; nothing where there is no such file."""
    if not path.is_file():
        return {}
    content: Any = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{path} must hold an object, by video and by id of the object.")
    return {
        video: {parse_object_id(key, f"{path}: {video!r}"): str(category) for key, category in entry.items()}
        for video, entry in content.items()
    }


def _frame_names(folder: Path, list_file: Path) -> tuple[str, ...]:
    """Names of the frames in a video's folder, in order: raw DAVIS does not list them."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing, which {list_file} lists.")
    names = {path.stem for path in folder.iterdir() if path.suffix in FRAME_SUFFIXES and not path.name.startswith(".")}
    if not names:
        raise InputError(f"{folder} holds no frames.")
    return tuple(sorted(names))
