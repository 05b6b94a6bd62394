"""What a check of a dataset finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sgmg.errors import InputError

LISTED = 5
"""Places that are listed of each kind of finding; the others are counted."""


@dataclass(frozen=True)
class Count:
    """How much there is of something.

    Attributes:
        split: of the benchmark, "" for all of it.
        what: "videos", "expressions", …
        found: how many there are.
        published: how many there should be, where that is known; several where publications differ.
    """

    split: str
    what: str
    found: int
    published: tuple[int, ...] = ()


@dataclass
class Finding:
    """Something that is not as it should be, once or often.

    Attributes:
        severity: a "problem" makes data unusable or scores wrong; a "warning" may be meant.
        kind: what it is, "missing frames".
        fix: what to do.
        count: how often it was found.
        places: the first few places.
    """

    severity: Literal["problem", "warning"]
    kind: str
    fix: str
    count: int = 0
    places: list[str] = field(default_factory=list)


class Report:
    """All findings of a check; it goes on after each."""

    def __init__(self) -> None:
        self.counts: list[Count] = []
        self._findings: dict[tuple[str, str], Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """Problems, then warnings, each in the order found."""
        return sorted(self._findings.values(), key=lambda finding: finding.severity)

    @property
    def problems(self) -> int:
        """How many problems there are; warnings do not count."""
        return sum(finding.count for finding in self.findings if finding.severity == "problem")

    def count(self, split: str, what: str, found: int, published: tuple[int, ...] = ()) -> None:
        """Say how much there is; a warning where that is not what was published."""
        self.counts.append(Count(split, what, found, published))
        if published and found not in published:
            self.warning(
                "counts unlike the published ones",
                f"{split or 'all'}: {found:,} {what}, published {' or '.join(f'{number:,}' for number in published)}",
                "fine for a part of the data, or data of one's own; else unpack the lists and the data anew",
            )

    def problem(self, kind: str, place: object, fix: str) -> None:
        """Something that must be mended."""
        self._add("problem", kind, place, fix)

    def warning(self, kind: str, place: object, fix: str) -> None:
        """Something to know of."""
        self._add("warning", kind, place, fix)

    @contextmanager
    def catching(self, kind: str, fix: str) -> Iterator[None]:
        """Make an `InputError` a problem, and go on after the block."""
        try:
            yield
        except InputError as error:
            self.problem(kind, error, fix)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "problems": self.problems,
            "counts": [asdict(count) for count in self.counts],
            "findings": [asdict(finding) for finding in self.findings],
        }

    def _add(self, severity: Literal["problem", "warning"], kind: str, place: object, fix: str) -> None:
        finding = self._findings.setdefault((severity, kind), Finding(severity, kind, fix))
        finding.count += 1
        if len(finding.places) < LISTED:
            finding.places.append(str(place))
