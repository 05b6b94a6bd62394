"""Give hostile inputs to the command line, each in a process of its own, and see what becomes of them.

    python tools/check_hostile.py [--seed 0] [--only TEXT] [--table docs/hostile-inputs.md]

Right is a result, or one sentence on standard error and exit code 2 with nothing left where the result would be. Wrong
is a traceback, any other exit code, executed code, a file outside of the output folder, more than 4 GiB of memory or
more than a minute. Prints what went wrong; the exit code is 1 if anything did.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from hostile_inputs import CANARY, Case, all_cases, small_model

from sgmg.cli import main as sgmg
from sgmg.segmenter import Segmenter

SECONDS = 60
GIBIBYTES = 4


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        case: which.
        code: exit code, or minus the signal that ended it.
        said: on standard error.
        seconds, gibibytes: of wall time and of resident memory at its peak.
        faults: what was wrong; empty if nothing.
    """

    case: Case
    code: int
    said: str
    seconds: float
    gibibytes: float
    faults: list[str]


def check(case: Case, seed: int, model: Path) -> Verdict:
    """Run one case in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as room:
        folder, out = Path(room) / "inputs", Path(room) / "out"
        folder.mkdir()
        arguments = case.make(folder, random.Random(f"{seed} {case.name}"))
        arguments = [{"OUT": str(out), "MODEL": str(model)}.get(word, word) for word in arguments]
        before = set(Path(room).rglob("*"))
        start, said = time.monotonic(), Path(room) / "stderr"
        child = os.fork()
        if child == 0:
            typed(arguments, Path(room), said)
        code, gibibytes = _wait(child, start + SECONDS)
        seconds, text = time.monotonic() - start, said.read_text(errors="replace")
        faults = []
        if seconds > SECONDS:
            faults.append(f"more than {SECONDS} seconds")
        elif code not in (0, 2):
            faults.append(f"exit code {code}")
        if "Traceback" in text:
            faults.append("a traceback")
        if gibibytes > GIBIBYTES:
            faults.append(f"{gibibytes:.1f} GiB")
        if (folder / CANARY).exists():
            faults.append("code was executed")
        if code == 2 and (sum(line.startswith("Error: ") for line in text.splitlines()) != 1 or out.exists()):
            faults.append("something half-written" if out.exists() else "not one sentence")
        expected = {"refused": (2,), "done": (0,), "either": (0, 2)}[case.outcome]
        if not faults and code not in expected:
            faults.append("refused" if code == 2 else "not refused")
        left = {path for path in Path(room).rglob("*") if out not in (path, *path.parents)} - before
        strays = sorted(str(path.relative_to(room)) for path in left if path != said and path.name != CANARY)
        if strays:
            faults.append("files elsewhere: " + ", ".join(strays[:3]))
        return Verdict(case, code, text, seconds, gibibytes, faults)


def typed(arguments: Sequence[str], room: Path, said: Path) -> None:
    """In the child: what the command line does with these arguments."""
    code = 1
    try:
        os.chdir(room)
        stderr = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(stderr, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # pytest has put others in their place.
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8", errors="replace") for stream in (1, 2))
        sys.argv = ["sgmg", *arguments]
        sgmg()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, until: float) -> tuple[int, float]:
    """Exit code (minus the signal) and peak memory in GiB of a process, which is killed when its time is over."""
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            unit = 1 if platform.system() == "Darwin" else 1024
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit / 2**30
        if time.monotonic() > until:
            os.kill(child, 9)
            until = float("inf")
        time.sleep(0.02)


def table(verdicts: Sequence[Verdict], seed: int) -> str:
    """What the documentation shows: a row for each family."""
    families: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        families[verdict.case.family].append(verdict)
    lines = [
        f"{len(verdicts)} inputs of seed {seed}; `python tools/check_hostile.py --table FILE` remakes this table.",
        "",
        "| inputs | number | a result | one sentence | wrong | longest, s | most memory, GiB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family, of in families.items():
        good = [verdict for verdict in of if not verdict.faults]
        done, refused = (sum(verdict.code == code for verdict in good) for code in (0, 2))
        longest, most = max(v.seconds for v in of), max(v.gibibytes for v in of)
        lines.append(
            f"| {family} | {len(of)} | {done} | {refused} | {len(of) - len(good)} | {longest:.1f} | {most:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the corpus; the exit code says whether everything was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose family or name holds this text")
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for case in all_cases() if arguments.only in f"{case.family}: {case.name}"]
    home = Path(tempfile.mkdtemp(prefix="hostile-model-"))
    try:
        small_model(home / "model")
        Segmenter.from_pretrained(home / "model")  # what it imports, every case has from here
        verdicts = []
        for case in cases:
            verdicts.append(verdict := check(case, arguments.seed, home / "model"))
            if verdict.faults:
                last = verdict.said.strip().splitlines()[-1:] or [""]
                print(f"{case.family}: {case.name}: {'; '.join(verdict.faults)}\n    {last[0][:200]}", flush=True)
    finally:
        shutil.rmtree(home)
    if arguments.table:
        arguments.table.write_text(table(verdicts, arguments.seed))
    wrong = sum(bool(verdict.faults) for verdict in verdicts)
    print(f"{len(verdicts)} inputs, {wrong} of them wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
