"""What `sgmg batch` costs beside a plain loop over the same videos, both measured in one run.

The loop is what one would write: load the model once, then `Segmenter.to_folder` for each video, in one process. Both
begin with a fresh Python and end with all files written; what they have written is compared. Times are given by the
clock and as CPU time of all processes (sampled, so a little low for both), which says more where cores are shared, with
the most memory that they held at once; and for one video alone, which is what starting costs, so that the cost of a
further video can be told from it.

    python benchmarks/batch.py                                # the embedded model, 50 videos of a second
    python benchmarks/batch.py --short-side 96                # quicker: less for the network to do
    python benchmarks/batch.py --stages --frames 72 --size 360 640    # CPU time a frame of each stage, without Ray
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

LOOP = """
import sys, json, torch
from pathlib import Path
from sgmg import Segmenter
videos, out, options = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
torch.set_num_threads(options["threads"])
segmenter = Segmenter.from_pretrained(options["model"], device="cpu")
for video in sorted(Path(videos).iterdir()):
    segmenter.to_folder(video, "the red circle", out / video.stem, "masks", short_side=options["short_side"])
"""


@dataclass
class Spent:
    """Seconds of the clock and of CPU time; the most memory of all processes at once, in 10⁹ bytes."""

    clock: float
    cpu: float
    memory: float = 0.0

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.clock - other.clock, self.cpu - other.cpu)

    def over(self, other: Spent) -> dict[str, float]:
        """By how many per cent it is more."""
        return {key: round(100 * (getattr(self, key) / getattr(other, key) - 1), 1) for key in ("clock", "cpu")}


def write_videos(folder: Path, count: int, frames: int, size: tuple[int, int]) -> None:
    """A red disc that goes over noise, another way in each video."""
    from sgmg.recording import VideoRecording
    from sgmg.video import ArrayVideo

    y, x = np.mgrid[: size[0], : size[1]]
    for index in range(count):
        random = np.random.default_rng(index)
        start, end = random.uniform(0.2, 0.8, (2, 2)) * size
        with VideoRecording(folder / f"{index:03d}.mp4", like=ArrayVideo(np.zeros((1, *size, 3), np.uint8))) as file:
            for frame in range(frames):
                image = random.integers(0, 120, (*size, 3), np.uint8)
                centre = start + (end - start) * frame / frames
                image[np.hypot(y - centre[0], x - centre[1]) < min(size) / 6] = (220, 30, 30)
                file.write(image, Fraction(frame, 24), Fraction(1, 24))


def children() -> dict[int, list[int]]:
    """All processes' children, and with them the CPU time of each."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        found.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    return found


def cpu_seconds(process: int) -> float | None:
    """CPU time of a process so far; None if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> int:
    """Bytes that a process holds, of what it shares its part; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measure(command: list[str]) -> Spent:
    """Run a command to its end, with all the processes that it starts."""
    start, spent, most = time.perf_counter(), {}, 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            tree, waiting, held = children(), [running.pid], 0
            while waiting:
                process = waiting.pop()
                waiting += tree.get(process, [])
                seconds = cpu_seconds(process)
                if seconds is not None:
                    spent[process] = seconds
                    held += memory(process)
            most = max(most, held)
            time.sleep(0.5)
        errors = running.stderr.read() if running.stderr else ""
    if running.returncode:
        raise SystemExit(f"{command[:4]} ended with {running.returncode}: {errors[-2000:]}")
    return Spent(time.perf_counter() - start, sum(spent.values()), most / 1e9)


def stages(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """CPU seconds a frame of reading, of the network, and of writing overlays and masks, in this process."""
    import torch

    from sgmg import Segmenter
    from sgmg.batch.stages import Ledger, Work, look_at_clip, read_clips, task_row, write_clip
    from sgmg.batch.videos import find_tasks
    from sgmg.segmenter import ClipLooker

    torch.set_num_threads(arguments.threads)
    videos = folder / "videos"
    videos.mkdir()
    write_videos(videos, 1, arguments.frames, tuple(arguments.size))
    segmenter = Segmenter.from_pretrained(arguments.model, device="cpu")
    work = Work(segmenter.plan(short_side=arguments.short_side), str(folder / "out"), ("overlay", "masks"))
    look, ledger = ClipLooker(segmenter, work.plan), Ledger()
    (task,) = find_tasks(str(videos), ["the red circle"])
    times = [time.process_time()]
    read = list(read_clips(task_row(task), work))
    times.append(time.process_time())
    found = [look_at_clip(row, look, work) for row in read]
    times.append(time.process_time())
    finished = [write_clip(row, work, ledger.arrived).finished for row in found]
    times.append(time.process_time())
    assert finished[-1]
    names = ("read", "segment", "write")
    return {
        name: round((end - start) / arguments.frames, 4)
        for name, start, end in zip(names, times, times[1:], strict=False)
    }


def same(loop: Path, batch: Path) -> bool:
    """Whether both have written the same masks."""
    for folder in loop.iterdir():
        (other,) = batch.glob(f"{folder.name}-*")
        for path in folder.rglob("*.png"):
            if path.read_bytes() != (other / path.relative_to(folder)).read_bytes():
                return False
    return True


def main() -> None:
    """Measure, print the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=(144, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--model", help="a model folder or name; by default the embedded one")
    parser.add_argument("--short-side", type=int, help="of what the network sees; by default the model's own")
    parser.add_argument("--stages", action="store_true", help="measure CPU time a frame of each stage instead")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder, spent = Path(name), {}
        if arguments.stages:
            report = {"frames": arguments.frames, "size": arguments.size, "threads": arguments.threads}
            print(json.dumps({**report, "cpu_seconds_a_frame": stages(arguments, folder)}, indent=2))
            return
        options = {"model": arguments.model, "short_side": arguments.short_side, "threads": arguments.threads}
        chosen = ["--model", arguments.model] if arguments.model else []
        chosen += ["--short-side", str(arguments.short_side)] if arguments.short_side else []
        chosen += ["-f", "masks", "-e", "the red circle", "-q"]
        for count in (1, arguments.videos):
            videos = folder / f"videos-{count}"
            videos.mkdir()
            write_videos(videos, count, arguments.frames, tuple(arguments.size))
            outputs = folder / f"loop-{count}", folder / f"batch-{count}"
            loop = [sys.executable, "-c", LOOP, str(videos), str(outputs[0]), json.dumps(options)]
            batch = [sys.executable, "-m", "sgmg", "batch", str(videos), str(outputs[1]), *chosen, "--device", "cpu"]
            spent[count] = measure(loop), measure(batch)
        alike = same(*outputs)
    (loop_one, batch_one), (loop_all, batch_all) = spent[1], spent[arguments.videos]
    report = {
        "videos": arguments.videos,
        "frames": arguments.frames,
        "size": arguments.size,
        **options,
        "spent": {
            name: {"clock": round(value.clock, 1), "cpu": round(value.cpu, 1), "memory_gb": round(value.memory, 2)}
            for name, value in {
                "loop, one video": loop_one,
                "batch, one video": batch_one,
                "loop, all": loop_all,
                "batch, all": batch_all,
            }.items()
        },
        "per_cent_more": {
            "all": batch_all.over(loop_all),
            "without the start": (batch_all - batch_one).over(loop_all - loop_one),
        },
        "same_masks": alike,
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
