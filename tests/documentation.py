"""The blocks of code in a page of Markdown, and running them one after another as a reader would.

What is run, by the language of a block: `sh` and `python`. A block with a title is a file that the reader writes:
`yaml title="mine.yaml"`. Of others (`text`, `json`, ...) nothing is run. An HTML comment before a block says how it
differs in the test:

    <!-- skip: why -->          it is not run
    <!-- slow: why -->          it is run by `pytest -m slow` only
    <!-- test with: words -->   the words are added to each command, such as a smaller number of steps

Another for all of a page, `<!-- slow page: why -->`, at its top.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from sgmg.cli import main

COMMENT = re.compile(r"<!--\s*(skip|slow|test with|slow page):\s*(.+?)\s*-->", re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
#: What only a shell understands.
SHELL = re.compile(r"[|&;<>$`*?~()]|^\s*\w+=|\bcd\b", re.MULTILINE)


@dataclass
class Block:
    """A fenced block: where it is, its language, its text, and what a comment before it asks for."""

    page: Path
    line: int
    language: str
    text: str
    title: str | None = None
    skip: str | None = None
    slow: bool = False
    added: str = ""

    @property
    def is_run(self) -> bool:
        """Whether there is anything to run or to write."""
        return self.skip is None and (self.language in ("sh", "python") or self.title is not None)


def blocks_of(page: Path, text: str | None = None) -> Iterator[Block]:
    """The blocks of a page, in their order; those in tabs and notes, which are indented, too."""
    text = page.read_text(encoding="utf-8") if text is None else text
    slow_page = re.search(r"<!-- slow page: ", text) is not None
    asked: dict[str, str] = {}
    for token in MarkdownIt().enable("table").parse(_without_tabs(text)):
        if token.type == "html_block":
            asked |= {kind: value for kind, value in COMMENT.findall(token.content)}
        elif token.type == "fence":
            assert token.map is not None
            language, _, rest = token.info.partition(" ")
            title = TITLE.search(rest)
            yield Block(
                page,
                token.map[0] + 1,
                language,
                token.content,
                title[1] if title else None,
                asked.get("skip"),
                slow_page or "slow" in asked,
                asked.get("test with", ""),
            )
            asked = {}
        elif token.type in ("heading_open", "paragraph_open"):
            asked = {}


def _without_tabs(text: str) -> str:
    """What stands in a tab or a note (`=== "Linux"`, `!!! note`) as if it stood at the margin, line by line."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"(===|!!!|\?\?\?\+?) ", line):
            inside = True
            lines.append("")
        elif inside and (line.startswith("    ") or not line.strip()):
            lines.append(line[4:])
        else:
            inside = False
            lines.append(line)
    return "\n".join(lines)


class Reader:
    """Somebody who types what pages say into one folder.

    Args:
        folder: where they work; it must be the current one.
        monkeypatch: to type commands without starting a process for each.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def follow(self, block: Block) -> None:
        """Write a file, run commands or Python code; what goes wrong is an error that names the page and the line."""
        if block.title is not None:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile("\n" * block.line + block.text, str(block.page), "exec")
            exec(code, self._names)
        else:
            self._type(block)

    def _type(self, block: Block) -> None:
        text = re.sub(r"\\\n\s*", " ", block.text)
        lines = [line for line in (_without_comment(line) for line in text.splitlines()) if line]
        lines = [f"{line} {block.added}".strip() if line.startswith("sgmg ") else line for line in lines]
        where = f"{block.page.name}:{block.line}"
        if any(SHELL.search(_unquoted(line)) for line in lines) or not all(line.startswith("sgmg ") for line in lines):
            environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
            command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, f"{where}: {done.stderr[-2000:]}"
            return
        for line in lines:
            self._run(shlex.split(line), where)

    def _run(self, words: list[str], where: str) -> None:
        self._monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, f"{where}: {shlex.join(words)} ended with exit code {end.value.code}"


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#\s.*$", "", line).strip()


def _unquoted(line: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"$`]*\"", "", line)
