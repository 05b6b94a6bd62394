"""The commands that `tools/check_kills.py` kills, each with something small to do, and what is right of them."""

from __future__ import annotations

import csv
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml
from hostile_inputs import video

from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.model import SgMg

OUT = "out"


class WrongError(Exception):
    """What a killed run left is not as it should be."""


class Command(ABC):
    """One command and its output, `room/out` and what lies hidden beside it.

    Attributes:
        name: of the command.
        seconds_to_end: for the processes that it started, where it is killed alone.
    """

    name: str
    seconds_to_end = 30

    @abstractmethod
    def prepare(self, inputs: Path, model: Path) -> None:
        """Make what it works on; called once. `model` is a folder beside `inputs`."""

    @abstractmethod
    def arguments(self, inputs: Path, room: Path) -> list[str]:
        """What is typed."""

    def content(self, room: Path) -> dict[str, Any]:
        """What is compared, by file: bytes, or what a file says where its bytes hold times."""
        return {name: self.read(path) for name, path in _seen(room)}

    def read(self, path: Path) -> Any:
        """What is compared of a file."""
        return path.read_bytes()

    def units(self) -> Sequence[str]:
        """Beginnings of names of files that are there together or not at all."""
        return [OUT]

    def check_left(self, room: Path, expected: dict[str, Any]) -> None:
        """Find out whether what a killed run left is complete.

        Raises:
            WrongError: something is not.
        """
        found = self.content(room)
        if strange := sorted(found.keys() - expected.keys()):
            raise WrongError(f"left {strange[0]}")
        if other := sorted(name for name in found if found[name] != expected[name]):
            raise WrongError(f"left another {other[0]}")
        for unit in self.units():
            lacking = {name for name in expected if name.startswith(unit)} - found.keys()
            if lacking and any(name.startswith(unit) for name in found):
                raise WrongError(f"left {unit} without {min(lacking)}")

    def was_done_before(self, code: int, said: str) -> bool:
        """Whether a run found that the one before, killed in its last moment, had done all."""
        return code == 2 and "exists already" in said

    def strays(self, room: Path, code: int) -> list[str]:
        """Hidden files and folders, of which a run that came to its end leaves none.

        One that found that all was done (`code` 2) leaves clips alone: they might be of a run that is to replace it.
        """
        hidden = sorted(path.relative_to(room).as_posix() for path in room.rglob(".*"))
        return [name for name in hidden if code == 0 or ".partial" not in name]


def _seen(room: Path) -> list[tuple[str, Path]]:
    """Files that are not declared as temporary: neither they nor a folder above them has a name with a dot first."""
    files = [(path.relative_to(room), path) for path in sorted(room.rglob("*")) if path.is_file()]
    return [(name.as_posix(), path) for name, path in files if not any(part.startswith(".") for part in name.parts)]


class Segment(Command):
    """A video in five clips."""

    name = "sgmg segment --resume"

    def prepare(self, inputs: Path, model: Path) -> None:
        video(inputs / "video.mp4", frames=24)

    def arguments(self, inputs: Path, room: Path) -> list[str]:
        words = ["segment", str(inputs / "video.mp4"), "the dog", "the ball", "-o", str(room / OUT), "--resume"]
        formats = [word for name in ("overlay", "masks", "coco") for word in ("--format", name)]
        return [*words, *formats, "--model", str(inputs.parent / "model"), "--clip-length", "6", "--quiet"]


class Predict(Command):
    """Two videos of a benchmark. The zip holds the times of its files."""

    name = "sgmg predict"

    def prepare(self, inputs: Path, model: Path) -> None:
        config = SyntheticConfig(size=(48, 64), length=4, objects=(2, 2), expressions=2)
        write_videos(inputs / "data", config, 0, 3, split="valid")

    def arguments(self, inputs: Path, room: Path) -> list[str]:
        words = ["predict", "ref-youtube-vos", str(inputs / "data"), "-o", str(room / f"{OUT}.zip")]
        return [*words, "--model", str(inputs.parent / "model"), "--clip-length", "4"]

    def read(self, path: Path) -> Any:
        with zipfile.ZipFile(path) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]


class Synth(Command):
    """Three videos, and lists of them in a folder of their own; in some places written by two processes."""

    name = "sgmg synth"

    def prepare(self, inputs: Path, model: Path) -> None:
        """It needs nothing."""

    def arguments(self, inputs: Path, room: Path) -> list[str]:
        size = ["--size", "48x64", "--length", "3", "--videos", "3", "--objects", "2"]
        workers = "2" if room.name.endswith("3") else "1"
        return ["synth", str(room / OUT), *size, "--workers", workers, "--quiet"]

    def units(self) -> Sequence[str]:
        # Frames without lists are no dataset; lists are there only with their frames.
        return [f"{OUT}/train", f"{OUT}/meta_expressions"]

    def check_left(self, room: Path, expected: dict[str, Any]) -> None:
        super().check_left(room, expected)
        if (room / OUT / "meta_expressions" / "train").exists() and not (room / OUT / "train").exists():
            raise WrongError("left lists without frames")


class Train(Command):
    """Six steps with a checkpoint after each; data is made by a process of its own, and a validation is among them.

    Logs are added to as training goes, so that a killed one's last line may be cut off; what they say together is
    compared. So are the network's weights, the optimiser's moments and the random numbers' places in checkpoints,
    which hold times too.
    """

    name = "sgmg train"

    def prepare(self, inputs: Path, model: Path) -> None:
        data = {
            "kind": "synthetic",
            "synthetic": {"size": [64, 96], "objects": [2, 2]},
            "length": 4,
            "clip_length": 2,
            "augmentation": {"resize": False},
        }
        trainer = {"max_steps": 6, "log_every_n_steps": 1, "accelerator": "cpu"}
        recipe = {
            "checkpoint_minutes": 0,
            "model": {"pretrained": str(model)},
            "data": {**data, "batch_size": 1, "workers": 1, "validation": {**data, "length": 2}},
            "optimiser": {"learning_rate": 1e-3, "average_decay": 0.9, "milestones": [], "warmup_steps": 0},
            "trainer": {**trainer, "enable_progress_bar": False, "enable_model_summary": False},
        }
        (inputs / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def arguments(self, inputs: Path, room: Path) -> list[str]:
        return ["train", str(inputs / "recipe.yaml"), f"run={room / OUT}"]

    def content(self, room: Path) -> dict[str, Any]:
        run = room / OUT
        found = {name: path.read_bytes() for name, path in _seen(room) if path.parent.name in ("model", "best")}
        if (run / "last.ckpt").exists():
            found["last.ckpt"] = _plain(
                torch.load(run / "last.ckpt", weights_only=True), without=("loops", "callbacks")
            )
        for path in sorted(run.glob("csv/*/metrics.csv"), key=lambda path: int(path.parent.name.rpartition("_")[2])):
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if None not in row.values():
                        said = {key: value for key, value in row.items() if value and key != "step"}
                        found.setdefault(f"step {row['step']}", {}).update(said)
        return found

    def check_left(self, room: Path, expected: dict[str, Any]) -> None:
        content = self.content(room)  # or an error that a file cannot be read
        for folder in (path for path in (room / OUT / "model", room / OUT / "best") if path.exists()):
            lacking = {name for name in expected if name.startswith(f"{OUT}/{folder.name}/")} - content.keys()
            if lacking:
                raise WrongError(f"left {folder.name} without {min(lacking)}")
            SgMg.from_pretrained(folder)

    def was_done_before(self, code: int, said: str) -> bool:
        return False


def _plain(value: Any, without: Sequence[str] = ()) -> Any:
    """Nested values that compare equal if they are."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in without}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


class Batch(Command):
    """Three videos of two clips, by Ray on this machine. Tables of results hold how long the work took."""

    name = "sgmg batch"
    seconds_to_end = 90  # two of Ray's own try for a minute to tell somebody

    def prepare(self, inputs: Path, model: Path) -> None:
        (inputs / "videos").mkdir()
        for index in range(3):
            video(inputs / "videos" / f"{index}.mp4", frames=8 + index)

    def arguments(self, inputs: Path, room: Path) -> list[str]:
        words = ["batch", str(inputs / "videos"), str(room / OUT), "-e", "the dog", "--clip-length", "6"]
        return [*words, "--model", str(inputs.parent / "model"), "--actors", "1", "--device", "cpu", "--quiet"]

    def read(self, path: Path) -> Any:
        if path.suffix != ".parquet":
            return path.read_bytes()
        rows = pq.read_table(path).to_pylist()
        return [{key: value for key, value in row.items() if not key.startswith("seconds_")} for row in rows]

    def content(self, room: Path) -> dict[str, Any]:
        return {name: content for name, content in super().content(room).items() if "/_sgmg/clips/" not in name}

    def units(self) -> Sequence[str]:
        return [f"{OUT}/{index}.mp4" for index in range(3)]


COMMANDS: dict[str, Command] = {
    "segment": Segment(),
    "batch": Batch(),
    "predict": Predict(),
    "synth": Synth(),
    "train": Train(),
}
"""Every command by a short name."""
