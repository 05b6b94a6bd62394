"""What the command line says about itself, and how soon."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sgmg.cli import app


def commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """All commands of a group, those of its groups included."""
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found += commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]
    return found


ALL = commands(typer.main.get_command(app))


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['sgmg', '--help']\n"
        "import sgmg.cli\n"
        "try: sgmg.cli.main()\n"
        "finally: print(sorted({'torch', 'transformers', 'lightning', 'timm', 'av', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert {path[0] for path in ALL} <= set(result.stdout.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    assert "sgmg " + " ".join(path) in result.output.replace("Usage: ", "")
    assert "Example" in result.output


def test_what_an_extra_brings_is_asked_for_in_a_sentence() -> None:
    code = (
        "import sys; sys.argv = ['sgmg', 'train', 'recipes/sgmg_lite.yaml']; sys.modules['lightning'] = None\n"
        "import sgmg.cli; sgmg.cli.main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "Error: This needs lightning: install it with pip install 'sgmg[train]'.\n"
