"""Extension of griffe, which reads docstrings for the reference: `>>>` lines become blocks of code.

Markdown takes them for quotations, three deep. `mkdocs.yml` names this file.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

#: Lines that begin with a prompt, and what follows them up to an empty line.
SESSION = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """Put a fence around each session of the interpreter."""
    return SESSION.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", text)


class DoctestBlocks(griffe.Extension):
    """Applied to the docstring of whatever is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring in place."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
