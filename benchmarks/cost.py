"""What a clip costs against its frames, pixels and expressions: a table, and a plot of it.

Every measurement is `sgmg bench` in a process of its own, so that peak memory is that run's. Needs the
`analysis` extra.

    python benchmarks/cost.py --out cost
    python benchmarks/cost.py --model video_swin_t --frames 5 8 36 --sizes 360x640 --expressions 1 4 --out cost_t

Writes OUT.png and OUT.json. On a machine that others use, CPU seconds (with one thread: no waiting in them) say more
than the clock; the plot shows both, times the rate of a float32 matrix product measured in turns with the network.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def measure(arguments: argparse.Namespace, frames: int, size: str, expressions: int) -> dict[str, Any]:
    """One `sgmg bench`."""
    command = [sys.executable, "-m", "sgmg", "bench", "--json", "--dtype", arguments.dtype]
    command += ["--frames", str(frames), "--size", size, "--expressions", str(expressions)]
    command += ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
    command += ["--model", arguments.model] if arguments.model else []
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    height, width = result["size"]
    return (
        f"| {result['frames']} | {height}x{width} | {result['expressions']} | {result['seconds_per_frame']:.3f} "
        f"| {result['cpu_seconds_per_frame']:.3f} | {result['normalized_gflop']:.1f} "
        f"| {result['cpu_normalized_gflop']:.1f} | {result['gflop_per_frame']:.1f} | {result['peak_memory_gb']:.2f} |"
    )


def plot(results: dict[str, list[dict[str, Any]]], model: str, out: Path) -> None:
    """Normalised cost of a frame, and peak memory, against each of what was varied."""
    figure, axes = plt.subplots(2, len(results), figsize=(4 * len(results), 6), squeeze=False, layout="constrained")
    for (varied, found), (cost, memory) in zip(results.items(), axes.T, strict=True):
        x = [round(r["size"][0] * r["size"][1] / 1e3) if varied == "pixels" else r[varied] for r in found]
        cpu = [r["cpu_normalized_gflop"] for r in found]
        cost.plot(x, [r["normalized_gflop"] for r in found], "o--", color="tab:grey", label="by the clock")
        cost.plot(x, cpu, "o-", color="tab:blue", label="by CPU seconds")
        cost.set_ylabel("normalized GFLOP per frame")
        memory.plot(x, [r["peak_memory_gb"] for r in found], "o-", color="tab:orange")
        memory.set_ylabel("peak memory, GB")
        memory.set_xlabel("thousand pixels of a frame" if varied == "pixels" else varied)
        for axis in (cost, memory):
            axis.set_xticks(x)
            axis.set_ylim(0, 1.1 * max(y for line in axis.lines for y in line.get_ydata()))
            axis.grid(alpha=0.3)
    axes[0, 0].legend()
    figure.suptitle(model)
    figure.savefig(out.with_suffix(".png"), dpi=120)


def main() -> None:
    """Vary one of the three at a time, the others at the first value given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="as for sgmg bench; by default the embedded model")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--frames", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--sizes", nargs="+", default=["288x512", "216x384", "360x640"])
    parser.add_argument("--expressions", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("cost"))
    arguments = parser.parse_args()
    frames, size, expressions = arguments.frames[0], arguments.sizes[0], arguments.expressions[0]
    asked = {
        "frames": [(count, size, expressions) for count in arguments.frames],
        "pixels": [(frames, each, expressions) for each in arguments.sizes],
        "expressions": [(frames, size, count) for count in arguments.expressions],
    }
    done: dict[tuple[int, str, int], dict[str, Any]] = {}
    print("| frames | size | expressions | s/frame | CPU s/frame | normalized | by CPU time | GFLOP/frame | peak GB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in dict.fromkeys(case for cases in asked.values() for case in cases):
        done[case] = measure(arguments, *case)
        print(row(done[case]), flush=True)
    results = {
        varied: sorted((done[case] for case in cases), key=lambda r: (r["frames"], r["size"], r["expressions"]))
        for varied, cases in asked.items()
        if len(cases) > 1
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(list(done.values()), indent=1) + "\n")
    if results:
        plot(results, next(iter(done.values()))["model"], arguments.out)


if __name__ == "__main__":
    main()
