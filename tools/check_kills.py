"""Kill commands at random moments, as `kill -9` does, and see what they leave and whether a rerun mends it.

    python tools/check_kills.py [--only segment] [--kills 30] [--seed 0] [--table FILE]

Each command works on something small and is killed again and again in one place: by the clock, or just before it
touches a file, also one of the last. Then it runs to its end. Right is that what a killed run left is complete or is
not there, that no process goes on without the one that was killed, and that the end is that of an undisturbed run,
byte by byte. Prints what went wrong; the exit code is 1 if anything did. Linux only, since it looks into /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from check_hostile import typed
from hostile_inputs import small_model
from killed_commands import COMMANDS, Command, WrongError

from sgmg.segmenter import Segmenter

SECONDS = 600
"""After which a command hangs."""

IN_A_ROW = 4
"""Kills in one place before the run that is to end."""

LAST = 15
"""Events that count as the last ones."""

TOKEN = "SGMG_CHECK_KILLS"
"""Variable of the environment by which such processes are known."""


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Attributes:
        kind: of choosing it.
        after: seconds, or what the run does with files.
        whom: the whole group of processes, or the first alone, as a user would.
    """

    kind: Literal["clock", "file", "last file"]
    after: float
    whom: Literal["group", "alone"]


@dataclass(frozen=True)
class Run:
    """What became of a run.

    Attributes:
        code: exit code, or minus the signal that ended it.
        said: on standard error.
        seconds: that it took.
        touched: how often it touched a file, if it came to its end.
        orphans: command lines of processes that it left.
    """

    code: int
    said: str
    seconds: float
    touched: int
    orphans: list[str]


@dataclass
class Tally:
    """What became of a command's runs.

    Attributes:
        command: its name.
        kills: runs that were killed, by kind of moment.
        ends: runs that came to their end and were compared.
        seconds: that an undisturbed run takes.
        faults: what was wrong.
    """

    command: str
    kills: Counter[str] = field(default_factory=Counter)
    ends: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def run(command: Command, room: Path, inputs: Path, moment: Moment | None = None) -> Run:
    """Type a command in a process of its own, and kill it if there is a moment for it."""
    tag = f"{os.getpid()}-{time.monotonic_ns()}"
    said, count = room.with_name(f"{room.name}.stderr"), room.with_name(f"{room.name}.count")
    for path in (said, count):
        path.unlink(missing_ok=True)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.environ[TOKEN] = tag
        sys.modules["__main__"] = ModuleType("__main__")  # or processes that the command starts would import this
        _watch_files(room, count, moment)
        typed(command.arguments(inputs, room), room, said)
    until = start + (moment.after if moment is not None and moment.kind == "clock" else SECONDS)
    code = _wait(child, until, moment)
    seconds = time.monotonic() - start
    alone = moment is not None and moment.whom == "alone"
    orphans = _gone(child, tag, command.seconds_to_end if alone else 0)
    touched = int(count.read_text()) if count.exists() else 0
    return Run(code, said.read_text(errors="replace") if said.exists() else "", seconds, touched, orphans)


def _watch_files(room: Path, count: Path, moment: Moment | None) -> None:
    """In the child: count what is done to files in the room, and be killed just before that of the moment."""
    touched, inside = 0, os.fspath(room)
    fatal = moment.after if moment is not None and moment.kind != "clock" else float("inf")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touched
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link"):
            return
        if not any(isinstance(word, (str, os.PathLike)) and inside in os.fspath(word) for word in arguments):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        touched += 1
        if touched >= fatal:
            _kill(os.getpid(), moment)

    def leave(code: int) -> None:
        count.write_text(str(touched))
        end(code)

    end, os._exit = os._exit, leave  # type: ignore[assignment]
    sys.addaudithook(watch)


def _kill(process: int, moment: Moment | None) -> None:
    if moment is None or moment.whom == "group":
        with suppress(ProcessLookupError):  # in the first instant it has no group of its own
            os.killpg(process, signal.SIGKILL)
    os.kill(process, signal.SIGKILL)


def _wait(child: int, until: float, moment: Moment | None) -> int:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            _kill(child, moment)
            until = float("inf")
        time.sleep(0.002)


def _gone(child: int, tag: str, seconds: float) -> list[str]:
    """End the processes that the first one started; gives those that went on without it for so many seconds, if any."""
    until = time.monotonic() + seconds
    while (left := _started_by(child, tag)) and time.monotonic() < until:
        time.sleep(0.2)
    while still := _started_by(child, tag):
        for process in still:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    return list(left.values()) if seconds else []


def _started_by(child: int, tag: str) -> dict[int, str]:
    """Command lines of living processes of the child's session or with its tag in their environment."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in (child, os.getpid()):
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ours = fields[3] == str(child) or f"{TOKEN}={tag}".encode() in (folder / "environ").read_bytes()
            if ours and fields[0] != "Z":
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(folder.name)] = line.strip()
        except OSError:
            continue
    return found


def check(command: Command, kills: int, seed: int, home: Path) -> Tally:
    """Kill a command many times; its inputs are made in `home`."""
    rng, tally = random.Random(f"{seed} {command.name}"), Tally(command.name)
    inputs = home / "inputs"
    inputs.mkdir()
    command.prepare(inputs, home / "model")
    Segmenter.from_pretrained(home / "model")  # what it imports, every run has from here
    places = iter(range(10**6))

    def new_room() -> Path:
        room = home / f"room-{next(places)}"
        room.mkdir()
        return room

    room = new_room()
    quiet = run(command, room, inputs)
    if quiet.code != 0:
        tally.faults.append(f"an undisturbed run ends with {quiet.code}: {quiet.said.strip()[-300:]}")
        return tally
    tally.seconds, expected = quiet.seconds, command.content(room)
    again = new_room()
    run(command, again, inputs)
    if difference := _difference(command.content(again), expected):
        tally.faults.append(f"two undisturbed runs differ: {difference}")
    while sum(tally.kills.values()) < kills:
        room = new_room()
        for number in range(min(IN_A_ROW, kills - sum(tally.kills.values())) + 1):
            ends = number == IN_A_ROW or sum(tally.kills.values()) >= kills
            moment = None if ends else _choose(rng, quiet)
            was = run(command, room, inputs, moment)
            where = f"{command.name}, {room.name}, run {number} ({moment}, ended with {was.code})"
            tally.faults += [f"{where}: left {orphan[:200]}" for orphan in was.orphans]
            if was.code == -signal.SIGKILL and moment is not None:
                tally.kills[f"{moment.kind}, {moment.whom}"] += 1
                try:
                    command.check_left(room, expected)
                except WrongError as error:
                    tally.faults.append(f"{where}: {error}")
                continue
            tally.ends += 1
            if was.code != 0 and not command.was_done_before(was.code, was.said):
                tally.faults.append(f"{where}: {was.said.strip()[-300:]}")
            elif difference := _difference(command.content(room), expected):
                tally.faults.append(f"{where}: {difference}")
            elif strays := command.strays(room, was.code):
                tally.faults.append(f"{where}: still there: {', '.join(strays[:3])}")
            break
        shutil.rmtree(room)
        print(f"{command.name}: {sum(tally.kills.values())} kills, {len(tally.faults)} faults", flush=True)
    return tally


def _choose(rng: random.Random, quiet: Run) -> Moment:
    whom: Literal["group", "alone"] = rng.choice(("group", "alone"))
    kind = rng.choice(("clock", "file", "last file"))
    if kind == "clock":
        return Moment("clock", rng.uniform(0, quiet.seconds), whom)
    if kind == "file":
        return Moment("file", rng.randint(1, max(quiet.touched, 1)), whom)
    return Moment("last file", max(quiet.touched - rng.randrange(LAST), 1), whom)


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """In which of their files two results differ; empty where they do not."""
    parts = [f"lacks {name}" for name in sorted(expected.keys() - found.keys())]
    parts += [f"has {name}" for name in sorted(found.keys() - expected.keys())]
    parts += [f"another {name}" for name in sorted(found.keys() & expected.keys()) if found[name] != expected[name]]
    return ", ".join(parts[:5])


def table(tallies: Sequence[Tally], seed: int) -> str:
    """What the documentation shows: a row for each command."""
    lines = [
        f"Seed {seed}; `python tools/check_kills.py --table FILE` remakes this table.",
        "",
        "| command | undisturbed, s | killed | by the clock | before a file | before a last file | first process alone "
        "| ran to the end, compared | wrong |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tally in tallies:

        def of(text: str, tally: Tally = tally) -> int:
            return sum(count for kind, count in tally.kills.items() if text in kind.split(", "))

        lines.append(
            f"| `{tally.command}` | {tally.seconds:.1f} | {sum(tally.kills.values())} | {of('clock')} | {of('file')} "
            f"| {of('last file')} | {of('alone')} | {tally.ends} | {len(tally.faults)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Kill; the exit code says whether everything was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(COMMANDS), help="one command; all by default")
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tallies = []
    for name in [arguments.only] if arguments.only else COMMANDS:
        home = Path(tempfile.mkdtemp(prefix="kills-"))
        try:
            small_model(home / "model")
            tallies.append(tally := check(COMMANDS[name], arguments.kills, arguments.seed, home))
        finally:
            shutil.rmtree(home)
        print(json.dumps(tally.__dict__, indent=1), flush=True)
    if arguments.table:
        arguments.table.write_text(table(tallies, arguments.seed))
    return int(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
