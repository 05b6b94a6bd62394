"""`sgmg bench data` loads what a training would, and says how fast."""

import json
from pathlib import Path

import pytest

from sgmg.data.benchmarks import BENCHMARKS, find_benchmark
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.layouts import LAYOUTS
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.training.throughput import benchmark_source, loading_speed

CONFIG = SyntheticConfig(size=(64, 96), length=6, objects=(2, 2), expressions=2)


def write(root: Path, benchmark: str) -> Path:
    split = "train" if "train" in LAYOUTS[benchmark].splits else None
    write_videos(root, CONFIG, seed=1, count=5, layout=benchmark, split=split)
    return root


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_measured(tmp_path: Path, name: str) -> None:
    source = benchmark_source(find_benchmark(name), write(tmp_path / "data", name), clip_length=3, augment=False)
    speed = loading_speed(source, workers=0, clips=3, batch_size=2)
    assert (speed.clips, speed.samples) == (4, 4)  # whole batches
    assert speed.frames == (4 if name.startswith("refcoco") else 12)
    assert speed.frames_per_second == speed.frames / speed.seconds > 0


def test_the_command_compares_numbers_of_workers(run, tmp_path: Path) -> None:
    root = write(tmp_path / "data", "a2d")
    words = ("bench", "data", "a2d", root, "--clips", 4, "--no-augment", "--workers", 0, "--workers", 1)
    code, out, _ = run(*words, "--json")
    assert code == 0
    result = json.loads(out)
    assert [speed["workers"] for speed in result["speeds"]] == [0, 1]
    assert all(speed["frames"] == 20 and speed["frames_per_second"] > 0 for speed in result["speeds"])
    code, out, _ = run(*words[:-2])
    assert code == 0
    assert "frames/s" in out


def test_what_cannot_be_measured(run, tmp_path: Path) -> None:
    root = write(tmp_path / "data", "jhmdb")
    code, _, err = run("bench", "data", "jhmdb", root, "--split", "train")
    assert code == 2
    assert "no split 'train'" in err
    with pytest.raises(InputError, match="at least 1 clip"):
        loading_speed(benchmark_source(find_benchmark("jhmdb"), root), workers=0, clips=0)
