"""The code is clean for ruff and mypy. Runs where `CI` is set; elsewhere `make lint` and pre-commit do it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif("CI" not in os.environ, reason="runs in continuous integration; use make lint")
@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_code_is_clean(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
