"""Benchmarks by name: the generated layouts are read by the readers that the names stand for."""

from pathlib import Path

import pytest
import torch

from sgmg.data.benchmarks import BENCHMARKS, open_benchmark
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.layouts import LAYOUTS
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError

CONFIG = SyntheticConfig(size=(64, 96), length=4, objects=(2, 3), expressions=3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_a_reader(tmp_path: Path, layout: str) -> None:
    name = layout.removesuffix("-raw")
    split = BENCHMARKS[name].default_split
    write_videos(
        tmp_path / "data", CONFIG, seed=1, count=5, layout=layout, split=split if LAYOUTS[layout].splits else None
    )
    data = open_benchmark(name, tmp_path / "data")
    assert len(data) > 0
    sample = data[0]
    assert sample.frames.dtype == torch.uint8
    assert sample.masks.shape == sample.frames[:, 0].shape
    assert sample.expression


def test_options_go_to_the_reader(tmp_path: Path) -> None:
    write_videos(tmp_path / "data", CONFIG, seed=1, count=1, layout="jhmdb")
    assert len(open_benchmark("jhmdb", tmp_path / "data", window=3)[0].frames) == 3


def test_published_counts_are_of_splits_that_there_are() -> None:
    for benchmark in BENCHMARKS.values():
        assert benchmark.default_split in benchmark.splits
        assert set(benchmark.published) <= {"", *benchmark.splits}


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("ref-youtube", None, "There is no benchmark 'ref-youtube': use one of ref-youtube-vos, "),
        ("a2d", "valid", "A2D-Sentences has no split 'valid': use train or test"),
        ("jhmdb", "train", "JHMDB-Sentences has no split 'train': use test"),
        ("mevis", None, r"is not a folder"),
    ],
)
def test_what_there_is_not(tmp_path: Path, name: str, split: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_benchmark(name, tmp_path / "nowhere", split)
