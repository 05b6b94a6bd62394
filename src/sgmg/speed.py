"""How fast a network is on this machine: what `sgmg bench` measures.

Machines differ and are shared, so every time stands beside the rate of a float32 matrix product (2048³) that was
measured in turns with it. Their product, seconds a frame times GFLOP a second, is comparable between machines: as many
GFLOP of such products would have taken the time of one frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from inspect import isgenerator
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from sgmg.engines import Tokens
from sgmg.engines.onnx import is_exported
from sgmg.engines.pytorch import PyTorchEngine
from sgmg.errors import InputError
from sgmg.model import SgMg, SgMgConfig
from sgmg.model.onednn import FLOPS
from sgmg.model.visual import VIDEO_SWIN
from sgmg.processes import peak_memory
from sgmg.segmenter import Segmenter

#: Tokens of an expression.
WORDS = 12
#: Side of the matrices whose product's rate is measured.
MATRIX = 2048
#: What is timed, by the names of the results: methods of the network and its modules. Time within another stage's
#: method counts for the inner one only.
STAGES: dict[str, tuple[str, ...]] = {
    "visual_encoder": ("visual_encoder.forward", "visual_encoder.stream"),
    "text_encoder": ("encode_text",),
    "details": ("mask_optimiser.look",),
    "hints": ("_hints",),
    "fusion_before_words": ("fusion.project",),
    "fusion": ("fusion.forward",),
    "deformable_encoder": ("transformer.encode",),
    "decoder": ("transformer.decode",),
    "patch_masks": ("patch_segmentation.forward",),
    "masks": ("optimise_masks",),
}
#: The same of an exported model: methods of its engine, each of which is one graph.
GRAPHS: dict[str, tuple[str, ...]] = {"visual_encoder": ("encode_clip",), "all_that_depends_on_text": ("decode",)}
#: Of a text encoder whose configuration does not say.
VOCABULARY = 30_000


@dataclass(frozen=True)
class Speed:
    """What was measured; times are medians of the runs.

    Attributes:
        frames, expressions, size, dtype, threads: what ran: a clip of T frames of (height, width), E expressions.
        seconds_per_frame: wall time, of all expressions together.
        fastest, slowest: the least and most seconds per frame of a run.
        cpu_seconds_per_frame: CPU time, summed over threads.
        peak_memory_gb: the most that this process has held so far, by the operating system's account (10⁹ bytes);
            None where it gives none.
        gflop_per_frame: of matrix products, convolutions and attention, by PyTorch's counter; None of exported models.
        matmul_gflops: rate of a float32 product of 2048 x 2048 matrices, by the clock.
        cpu_matmul_gflops: the same by CPU seconds, those of all threads together.
        stages: seconds per frame by part of the network; they sum up to about `seconds_per_frame`.
    """

    frames: int
    expressions: int
    size: tuple[int, int]
    dtype: str
    threads: int
    seconds_per_frame: float
    fastest: float
    slowest: float
    cpu_seconds_per_frame: float
    peak_memory_gb: float | None
    gflop_per_frame: float | None
    matmul_gflops: float
    cpu_matmul_gflops: float
    stages: dict[str, float]

    @property
    def normalized_gflop(self) -> float:
        """Seconds per frame times the rate of the matrix product."""
        return self.seconds_per_frame * self.matmul_gflops

    @property
    def cpu_normalized_gflop(self) -> float:
        """The same by CPU seconds, which other work on the machine disturbs less (with one thread: none waits)."""
        return self.cpu_seconds_per_frame * self.cpu_matmul_gflops

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            **asdict(self),
            "normalized_gflop": self.normalized_gflop,
            "normalized_gflop_per_expression": self.normalized_gflop / self.expressions,
            "cpu_normalized_gflop": self.cpu_normalized_gflop,
        }


def bench_model(name: str | None, dtype: str | None = None, threads: int | None = None) -> Segmenter:
    """The model of a folder, the package or the Hub; ``video_swin_t``, ``_s`` and ``_b`` are of the published shapes,
    with random weights: time does not depend on them. By default in bfloat16, or as they were exported."""
    if dtype is None:
        dtype = "fp32" if name is not None and is_exported(Path(name)) else "bf16"
    computing: Any = {"bf16": "bfloat16", "fp32": "float32"}.get(dtype, dtype)
    if name not in VIDEO_SWIN:
        return Segmenter.from_pretrained(name, device="cpu", dtype=computing, threads=threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SgMg(SgMgConfig(visual_encoder=name))
    return Segmenter.of(PyTorchEngine(network, "cpu", computing, threads), f"{name}, random weights")


def measure(
    segmenter: Segmenter,
    frames: int = 5,
    size: tuple[int, int] | None = None,
    expressions: int = 1,
    repeats: int = 3,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Speed:
    """Time a network on a clip of noise, in turns with the matrix product; once more before, which does not count.

    What runs is what `Segmenter` does with a clip: the clip is encoded once, expressions follow one another (all in
    one pass in a multi-object model), and each ends with its masks at the network's size.

    Args:
        segmenter: on a CPU.
        frames: of the clip.
        size: height and width; by default the model's own.
        expressions: how many.
        repeats: of which the median counts.
        progress: what goes around the loop over the runs, to show it.

    Raises:
        InputError: the size is too small or too large.
    """
    engine, config = segmenter.engine, segmenter.config
    size = size or (config.short_side, config.long_side)
    if not all(16 <= side <= 8192 for side in size):
        raise InputError(f"Frames of {size[0]}x{size[1]} pixels are not possible; give 16 to 8192 a side.")
    generator = np.random.default_rng(0)
    clip = list(generator.integers(0, 256, (frames, 3, *size), np.uint8))
    vocabulary = config.text_encoder.get("vocab_size", VOCABULARY)
    together = expressions if config.multi_object else 1
    texts = [
        Tokens(ids, np.ones_like(ids), [None] * len(ids))
        for ids in generator.integers(vocabulary // 50, vocabulary, (expressions // together, together, WORDS))
    ]

    def run() -> None:
        visual, of_texts = engine.find(clip, [engine.encode_text(text) for text in texts])
        for found in of_texts:
            engine.masks(found, visual, found.best)

    of_model = isinstance(engine, PyTorchEngine)
    owner: Any = engine.model if isinstance(engine, PyTorchEngine) else engine
    walls, cpus, rates, stages = [], [], [], []
    for number in progress(range(repeats + 1)):
        if number:
            rates.append(matmul_rate())
        with engine.computing(), stage_times(owner, STAGES if of_model else GRAPHS) as times:
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if number:
            walls.append(wall / frames)
            cpus.append(cpu / frames)
            stages.append({**times, "other": wall - sum(times.values())})
    memory = peak_memory()
    return Speed(
        frames=frames,
        expressions=expressions,
        size=size,
        dtype=engine.dtype,
        threads=engine.threads,
        seconds_per_frame=median(walls),
        fastest=min(walls),
        slowest=max(walls),
        cpu_seconds_per_frame=median(cpus),
        peak_memory_gb=None if memory is None else memory / 1e9,
        gflop_per_frame=count_flop(owner, run) / frames / 1e9 if of_model else None,
        matmul_gflops=median(rate for rate, _ in rates),
        cpu_matmul_gflops=median(rate for _, rate in rates),
        stages={name: median(run[name] for run in stages) / frames for name in stages[0]},
    )


def matmul_rate() -> tuple[float, float]:
    """GFLOP a second of a float32 product of 2048 x 2048 matrices, the best of three: by the clock, and by CPU time."""
    a, b = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    walls, cpus = [], []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        torch.mm(a, b)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    gflop = 2 * MATRIX**3 / 1e9
    return gflop / min(walls), gflop / min(cpus)


def count_flop(model: SgMg, run: Callable[[], object]) -> int:
    """Floating-point operations of one run: matrix products, convolutions, attention; not elementwise work."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)  # the counter would wait for gradients
    try:
        # In float32: the counter and automatic casts do not go together.
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FLOPS) as counter:
            run()
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())


@contextmanager
def stage_times(owner: Any, methods: dict[str, tuple[str, ...]]) -> Iterator[dict[str, float]]:
    """Within it, seconds that go into methods of an object and its parts are added up by the names given.

    Of a method that yields, what goes into each of its steps.
    """
    times = dict.fromkeys(methods, 0.0)
    inner: list[float] = []  # seconds of the stages within each running one

    @contextmanager
    def added(name: str) -> Iterator[None]:
        inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            times[name] += seconds - inner.pop()
            if inner:
                inner[-1] += seconds

    def steps(name: str, of: Iterator[Any]) -> Iterator[Any]:
        while True:
            with added(name):
                step = next(of, of)
            if step is of:
                return
            yield step

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with added(name):
                result = method(*arguments, **options)
            return steps(name, result) if isgenerator(result) else result

        return call

    with ExitStack() as stack:
        for name, path in ((name, path) for name, paths in methods.items() for path in paths):
            *parts, method = path.split(".")
            part = reduce(getattr, parts, owner)
            stack.enter_context(patch.object(part, method, timed(name, getattr(part, method))))
        yield times
