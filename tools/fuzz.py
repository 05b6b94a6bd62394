"""Feed changed files to readers, guided by what of their code is reached, until one fails otherwise than in a sentence.

    python tools/fuzz.py [--only recipe] [--seconds 60] [--seed 1]

Each target of `fuzz_targets.py` runs in a process of its own, with the readers' code instrumented by atheris
(`pip install atheris`). Prints how many inputs were tried; what fails is printed with the bytes that make it again,
which belong into `tests/test_fuzzing.py` once it is mended. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import atexit
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("Error: coverage-guided fuzzing needs atheris: pip install atheris")


def fuzz(name: str, seconds: int, seed: int, corpus: str) -> None:
    """In a process of its own: never returns."""
    with atheris.instrument_imports(include=["sgmg"]):
        from fuzz_targets import TARGETS

    target = TARGETS[name]
    target.read(target.home)
    arguments = [corpus, f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=64", "-rss_limit_mb=6000"]
    atexit.register(target.close)
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


def main() -> int:
    """All targets, or one; the exit code says whether any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="one target; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--within", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        fuzz(arguments.only, arguments.seconds, arguments.seed, arguments.within)
    from fuzz_targets import TARGETS

    if arguments.only and arguments.only not in TARGETS:
        sys.exit(f"Error: there is no target '{arguments.only}': use one of {', '.join(TARGETS)}.")
    failed = False
    for name in [arguments.only] if arguments.only else TARGETS:
        with tempfile.TemporaryDirectory(prefix="corpus-") as corpus:
            own = ["--only", name, "--seconds", str(arguments.seconds), "--seed", str(arguments.seed)]
            line = [sys.executable, str(Path(__file__).resolve()), *own, "--within", corpus]
            done = subprocess.run(line, capture_output=True, text=True, errors="replace", cwd=corpus)
            runs = re.findall(r"^(?:Done|#)(?: )?(\d+)", done.stderr, re.MULTILINE)
            print(f"{name}: {runs[-1] if runs else 'no'} inputs, {'failed' if done.returncode else 'nothing wrong'}")
            if done.returncode:
                failed = True
                print((done.stdout + done.stderr)[-4000:])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
