"""Memory of `Segmenter.stream` over many frames: it must not grow, however long the stream is.

Frames are made as they are asked for and forgotten. After every clip two things are read: the process's resident
memory, and what malloc has given out, in which growth shows that free memory within the former would hide. What the
report compares are medians over the second and the last tenth, after a start in which the allocator finds its size.
The network is a small one with random weights and three queries, so that clips overlap and identities are tracked; what
goes from clip to clip is the same with any. `--model sgmg-lite` takes the embedded one, and longer. Needs Linux with
glibc, and matplotlib for the plot.

    python benchmarks/stream_memory.py --frames 20000 --plot docs/images/stream-memory.png
    python benchmarks/stream_memory.py --frames 3000 --to-folder      # the same of long files
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import platform
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

import sgmg
from sgmg import Segmenter, SgMg, SgMgConfig
from sgmg.recording import VideoRecording
from sgmg.video import ArrayVideo


def small_segmenter() -> Segmenter:
    """All parts of the network with few channels and random weights."""
    text = {"model_type": "bert", "vocab_size": 30_522, "hidden_size": 32, "num_hidden_layers": 1}
    config = SgMgConfig(
        visual_encoder="test_efficientnet",
        text_encoder=text | {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 512},
        hidden_size=32,
        queries=3,
        heads=4,
        points=2,
        encoder_layers=1,
        decoder_layers=1,
        feedforward=64,
    )
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(Path(sgmg.__file__).parent / "weights" / "sgmg-lite")
    return Segmenter(SgMg(config, tokenizer), device="cpu", name="small, random")


def frames(count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """A red disc that goes round over noise that is new in every frame."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    for index in range(count):
        image = random.integers(0, 120, (*size, 3), np.uint8)
        turn = index / 50 * math.tau
        centre = size[0] * (0.5 + 0.25 * math.sin(turn)), size[1] * (0.5 + 0.25 * math.cos(turn))
        image[np.hypot(y - centre[0], x - centre[1]) < min(size) / 6] = (220, 30, 30)
        yield image


def resident() -> float:
    """Megabytes of this process that are in memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class _MallocInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "top",
        )
    ]


def in_use() -> float:
    """Megabytes that malloc has given out and not got back."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _MallocInfo
    found = mallinfo()
    return (found.uordblks + found.hblkhd) / 2**20


class Curve:
    """Frames done, megabytes resident and megabytes in use, read after each clip."""

    def __init__(self, clip_length: int) -> None:
        self._clip_length, self._count = clip_length, 0
        self.done: list[int] = []
        self.resident: list[float] = []
        self.in_use: list[float] = []

    def count(self, _: object = None) -> None:
        """One more frame."""
        self._count += 1
        if self._count % self._clip_length == 0:
            self.done.append(self._count)
            self.resident.append(resident())
            self.in_use.append(in_use())


def stream(segmenter: Segmenter, count: int, size: tuple[int, int], clip_length: int, curve: Curve) -> None:
    """Frames in, masks out."""
    for _, masks in segmenter.stream(frames(count, size), "the red circle", clip_length, short_side=min(size)):
        assert masks.shape == (1, *size)
        curve.count()


def to_folder(segmenter: Segmenter, count: int, size: tuple[int, int], clip_length: int, curve: Curve) -> None:
    """A file in, overlay, masks and result.json out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with VideoRecording(path, like=ArrayVideo(np.zeros((1, *size, 3), np.uint8))) as recording:
            for index, image in enumerate(frames(count, size)):
                recording.write(image, Fraction(index, 24), Fraction(1, 24))
        options = {"clip_length": clip_length, "short_side": min(size), "on_frame": curve.count}
        segmenter.to_folder(path, "the red circle", Path(folder) / "out", **options)


def plot(done: list[int], memory: list[float], path: Path) -> None:
    """The curve, from zero, so that flat looks flat."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(done, memory, color="#0072B2", linewidth=1.5)
    axes.set(xlabel="frames segmented", ylabel="resident memory (MB)", xlim=(0, done[-1]), ylim=(0, 1.15 * max(memory)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, plot, print the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 112), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--clip-length", type=int, default=8)
    parser.add_argument("--model", help="a model folder or name; by default a small random network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to-folder", action="store_true", help="measure a file into a folder, not a stream")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    segmenter = Segmenter.from_pretrained(arguments.model, device="cpu") if arguments.model else small_segmenter()
    start = time.perf_counter()
    curve = Curve(arguments.clip_length)
    work = to_folder if arguments.to_folder else stream
    work(segmenter, arguments.frames, tuple(arguments.size), arguments.clip_length, curve)
    seconds = time.perf_counter() - start
    tenth = max(len(curve.done) // 10, 1)
    (early, late), (early_used, late_used) = (
        (float(np.median(values[tenth : 2 * tenth])), float(np.median(values[-tenth:])))
        for values in (curve.resident, curve.in_use)
    )
    report = {
        "model": segmenter.name,
        "frames": arguments.frames,
        "seconds": round(seconds, 1),
        "frames_per_second": round(arguments.frames / seconds, 1),
        "resident_megabytes": {
            "second tenth": round(early, 1),
            "last tenth": round(late, 1),
            "most": round(max(curve.resident), 1),
        },
        "in_use_megabytes": {"second tenth": round(early_used, 3), "last tenth": round(late_used, 3)},
        "growth_in_bytes_a_frame": round((late_used - early_used) * 2**20 / (0.85 * arguments.frames), 1),
        "machine": f"{platform.machine()}, {arguments.threads} thread(s), torch {torch.__version__}",
    }
    print(json.dumps(report, indent=2))
    if arguments.plot is not None:
        plot(curve.done, curve.resident, arguments.plot)


if __name__ == "__main__":
    main()
