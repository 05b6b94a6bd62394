"""`sgmg serve` with several visitors at once: a small version of `tools/check_load.py`."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="needs the extra: pip install 'sgmg[web]'")
pytest.importorskip("httpx")

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from check_load import KINDS, check


@pytest.mark.skipif(sys.platform == "win32", reason="asks ps for memory")
def test_everybody_gets_what_is_theirs_and_nothing_stays() -> None:
    report = check(visitors=3, visits=len(KINDS), seed=1)
    assert {visit.kind for visit in report.visits} == set(KINDS)
    # So few visits say nothing about memory: it has not come to rest yet.
    assert [fault for fault in report.faults if not fault.startswith("memory grows")] == []
