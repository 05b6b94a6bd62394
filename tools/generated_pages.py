"""Hook of MkDocs: pages that are made from what they describe, so that none can be out of date.

A page for each command, from the command itself; the default's model card and CONTRIBUTING.md as they stand.
`mkdocs.yml` names this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.main import get_command

from sgmg.cli import app

ROOT = Path(__file__).parents[1]
#: Pages that are files elsewhere in the repository.
COPIES = {
    "default-model.md": ROOT / "src" / "sgmg" / "weights" / "sgmg-lite" / "README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
}
#: What the commands' texts use of rich's markup.
MARKUP = re.compile(r"\[/?(?:b|bold|i|italic|cyan)\]")


def on_config(config: MkDocsConfig) -> None:
    """A change of what pages are made from rebuilds them under `mkdocs serve`."""
    config.watch += [str(ROOT / "src" / "sgmg" / "cli"), *map(str, COPIES.values())]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for each command, those of a group on one, and the copies."""
    for name, source in COPIES.items():
        # Their links to pictures are relative to where they lie.
        content = source.read_text(encoding="utf-8").replace("../../../../docs/", "")
        files.append(File.generated(config, name, content=content))
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        files.append(File.generated(config, f"commands/{name}.md", content=page_of(f"sgmg {name}", command)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The list of commands goes under its introduction; links to copied files, to the copies."""
    for name, source in COPIES.items():
        markdown = markdown.replace(f"(../{source.relative_to(ROOT).as_posix()})", f"({name})")
    if page.file.src_uri != "commands/index.md":
        return markdown
    commands = get_command(app).commands.items()  # type: ignore[attr-defined]
    rows = [f"| [`sgmg {name}`]({name}.md) | {_cell(_first_line(command))} |" for name, command in commands]
    return "\n".join([markdown, "", "| command | what it does |", "| --- | --- |", *rows, ""])


def page_of(title: str, command: Any, level: int = 1) -> str:
    """A command as Markdown: what it does, its usage, an example, its arguments and options; then its subcommands."""
    context = command.make_context(title, [], resilient_parsing=True)
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    lines = [f"{'#' * level} {title}", "", "```text", usage, "```", "", *_description(command.help or "")]
    for kind, heading in (("argument", "argument"), ("option", "option")):
        records = [p.get_help_record(context) for p in command.params if p.param_type_name == kind]
        rows = [f"| {_code(name)} | {_cell(text)} |" for name, text in filter(None, records)]
        if rows:
            lines += [f"| {heading} | |", "| --- | --- |", *rows, ""]
    for name, child in getattr(command, "commands", {}).items():
        lines.append(page_of(f"{title} {name}", child, level + 1))
    return "\n".join(lines)


def _description(text: str) -> Iterator[str]:
    """Paragraphs; an example becomes a block that can be copied."""
    for paragraph in re.split(r"\n\s*\n", MARKUP.sub("", text).strip()):
        joined = " ".join(paragraph.split())
        prose, _, example = joined.partition("Example: ")
        if prose:
            yield from (prose.strip(), "")
        if example:
            yield from ("Example:", "", "```sh", example, "```", "")


def _first_line(command: Any) -> str:
    return MARKUP.sub("", command.help or "").strip().partition("\n")[0]


def _code(text: str) -> str:
    return f"<code>{_cell(text.replace('<', '&lt;').replace('>', '&gt;'))}</code>"


def _cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "&#124;")
