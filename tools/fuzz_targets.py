"""What `tools/fuzz.py` and `tests/test_fuzzing.py` feed to the readers of annotations, results and configurations.

A target has files that are right, and reads them. Some of them are changed, by numbers that somebody chooses: pieces of
JSON are exchanged, removed, repeated or nested, or bytes are. Whatever comes, a reader gives a result, or one sentence.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.batch.videos import find_tasks
from sgmg.data.benchmarks import open_benchmark
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.model import ModelError, SgMgConfig
from sgmg.result_file import load_result
from sgmg.segmentation import RESULT, Segmentation, encode_masks
from sgmg.training.recipe import model_config, read_recipe

EXPECTED = (InputError, ModelError)

#: What takes the place of a piece of JSON.
PIECES: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, -(2**63), 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", " ", "0", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "CON", "\0", "\ud800", "é", "‮", "x" * 5000,
    [], {}, [[]], [{}], {"": {}}, {"0": {"exp": "the dog"}}, [0] * 100, {"size": [1, 2], "counts": "0"},
    [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]], "2020-01-01", "[1, 2", "{class_path: os.system}",
    "!!python/object/apply:os.system",
]  # fmt: skip

#: What takes the place of bytes of a text.
BYTES = [
    b"", b"\n", b"\0", b'"', b",", b"{", b"]", b"\xff\xfe", b"\xef\xbb\xbf", b"-1", b"9" * 400, b"\r\n\r\n", b"&a [*a]",
]  # fmt: skip

MOST_CHANGES = 3


class Numbers:
    """A choice of whole numbers, made by bytes; they begin again where they end."""

    def __init__(self, choices: bytes) -> None:
        self._choices, self._next = choices or b"\0", 0

    def below(self, end: int) -> int:
        """One of 0 to end - 1."""
        number = 0
        for _ in range(2 if end > 256 else 1):
            number = number * 256 + self._choices[self._next % len(self._choices)] + self._next // len(self._choices)
            self._next += 1
        return number % end

    def of(self, values: Sequence[Any]) -> Any:
        """One of several."""
        return values[self.below(len(values))]


def change_json(document: Any, numbers: Numbers) -> Any:
    """A copy with up to `MOST_CHANGES` pieces changed."""
    whole = [copy.deepcopy(document)]
    for _ in range(1 + numbers.below(MOST_CHANGES)):
        holder, key = _place(whole, numbers)
        piece, action = holder[key], numbers.below(6)
        if action == 0 and holder is not whole:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[str(numbers.of(PIECES))] = holder.pop(key)
        elif action == 2 and isinstance(holder, list) and holder is not whole:
            holder.insert(key, copy.deepcopy(piece))
        elif action == 3:
            other, place = _place(whole, numbers)
            holder[key] = copy.deepcopy(other[place])
        elif action == 4:
            holder[key] = [piece]
        else:
            holder[key] = copy.deepcopy(numbers.of(PIECES))
    return whole[0]


def _place(whole: list[Any], numbers: Numbers) -> tuple[Any, Any]:
    """A list or dictionary within, and an index or key of it."""
    holder: Any = whole
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = numbers.of(keys)
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or numbers.below(4) == 0:
            return holder, key
        holder = inner


def change_bytes(content: bytes, numbers: Numbers) -> bytes:
    """A copy with up to `MOST_CHANGES` spans cut out, exchanged or repeated."""
    for _ in range(1 + numbers.below(MOST_CHANGES)):
        start = numbers.below(len(content) + 1)
        end = min(len(content), start + numbers.of((0, 1, 2, 8, 40, 1000)))
        middle = numbers.of((b"", content[start:end] * 2, numbers.of(BYTES), bytes([numbers.below(256)])))
        content = content[:start] + middle + content[end:]
    return content


@dataclass(frozen=True)
class Target:
    """A reader and what it reads.

    Attributes:
        name: of the target.
        prepare: write files that are right into a folder.
        read: read them; what it raises other than `EXPECTED` is a bug.
        changed: endings of the names of files that may be changed.
    """

    name: str
    prepare: Callable[[Path], None]
    read: Callable[[Path], object]
    changed: tuple[str, ...] = (".json",)

    @cached_property
    def home(self) -> Path:
        """A folder with files that are right, made once."""
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.prepare(folder)
        return folder

    def __call__(self, choices: bytes) -> None:
        """Change a file as bytes choose, and read it; afterwards it is as it was."""
        numbers = Numbers(choices)
        with self._changed(numbers):
            try:
                self.read(self.home)
            except EXPECTED as error:
                text = str(error)
                if not text.strip() or "Traceback" in text:
                    raise AssertionError(f"no sentence: {text!r}") from error

    @contextmanager
    def _changed(self, numbers: Numbers) -> Iterator[None]:
        files = sorted(path for path in self.home.rglob("*") if path.is_file() and path.name.endswith(self.changed))
        path = numbers.of(files)
        content = path.read_bytes()
        if path.suffix == ".json" and numbers.below(4):
            text = json.dumps(change_json(json.loads(content), numbers))
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            path.write_bytes(change_bytes(content, numbers))
        try:
            yield
        finally:
            path.write_bytes(content)

    def close(self) -> None:
        """Remove the files."""
        if "home" in self.__dict__:
            shutil.rmtree(self.__dict__.pop("home"), ignore_errors=True)


def _benchmark(name: str, layout: str, split: str, changed: tuple[str, ...] = (".json", ".txt", ".csv")) -> Target:
    def prepare(folder: Path) -> None:
        config = SyntheticConfig(size=(48, 64), length=3, objects=(2, 2), expressions=2)
        splits = layout not in ("a2d", "jhmdb", "refcoco", "refcoco+", "refcocog")
        write_videos(folder / "data", config, 0, 4, layout=layout, split=split if splits else None)

    def read(folder: Path) -> None:
        data = open_benchmark(name, folder / "data", split)
        for index in range(min(len(data), 2)):
            data[index]

    return Target(name, prepare, read, changed)


def _write_result(folder: Path) -> None:
    masks = np.zeros((2, 12, 16), bool)
    masks[:, 2:8, 3:9] = True
    found = Segmentation(
        expressions=["the dog"],
        rles=[encode_masks(masks)],
        frame_scores=np.array([[0.5, 0.75]], np.float32),
        size=(12, 16),
        fps=24,
        times=np.array([0.0, 1 / 24]),
        frame_names=["00000", "00001"],
        source="dog.mp4",
    )
    found.save(folder / "out", format=["masks"])


def _read_result(folder: Path) -> None:
    found = load_result(folder / "out" / RESULT)
    _ = found.masks, found.boxes, found.scores


def _write_recipe(folder: Path) -> None:
    recipe = Path(__file__).parents[1] / "recipes" / "sgmg_lite.yaml"
    (folder / "recipe.yaml").write_bytes(recipe.read_bytes())


def _write_config(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(SgMgConfig().to_dict()))


def _read_config(folder: Path) -> None:
    from sgmg.model.pretrained import _read_config

    _read_config(folder / "config.json")


def _write_table(folder: Path) -> None:
    (folder / "dog.mp4").write_bytes(b"")
    (folder / "table.jsonl").write_text('{"video": "dog.mp4", "expressions": ["the dog", "the ball"]}\n' * 2)
    (folder / "table.csv").write_text('video,expression\ndog.mp4,the dog\n"dog.mp4","the ball, red"\n')


def _read_tables(folder: Path) -> None:
    for name in ("table.jsonl", "table.csv"):
        find_tasks(str(folder / name))


TARGETS = {
    target.name: target
    for target in (
        _benchmark("ref-youtube-vos", "ref-youtube-vos", "valid"),
        _benchmark("mevis", "mevis", "valid_u"),
        _benchmark("ref-davis17", "ref-davis17", "valid"),
        _benchmark("a2d", "a2d", "test"),
        _benchmark("jhmdb", "jhmdb", "test"),
        _benchmark("refcoco", "refcoco", "val"),
        Target("result", _write_result, _read_result),
        Target(
            "recipe", _write_recipe, lambda folder: model_config(read_recipe(folder / "recipe.yaml").model), (".yaml",)
        ),
        Target("model configuration", _write_config, _read_config),
        Target("table of videos", _write_table, _read_tables, (".jsonl", ".csv")),
    )
}
