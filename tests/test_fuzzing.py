"""Readers of annotations, results and configurations give a result or one sentence, whatever is in their files.

`tools/fuzz.py` does the same for longer, guided by coverage.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from fuzz_targets import TARGETS, Target


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    yield TARGETS[request.param]
    TARGETS[request.param].close()


def test_what_is_right_is_read(target: Target) -> None:
    target.read(target.home)


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.binary(min_size=4, max_size=40))
def test_what_is_changed_is_read_or_refused_in_a_sentence(target: Target, choices: bytes) -> None:
    target(choices)
