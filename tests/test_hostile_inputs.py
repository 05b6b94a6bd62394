"""A part of the corpus of hostile inputs; `python tools/check_hostile.py` runs all of it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from check_hostile import check
from hostile_inputs import all_cases, small_model

CASES = all_cases()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each case runs in a fork, which has the threads of its parent no more
    folder = tmp_path_factory.mktemp("hostile") / "model"
    small_model(folder)
    yield folder
    torch.set_num_threads(threads)


def test_the_corpus_is_large_and_names_are_unique() -> None:
    assert len(CASES) >= 200
    assert len({(case.family, case.name) for case in CASES}) == len(CASES)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="cases run in forks")
@pytest.mark.parametrize("case", [case for case in CASES if case.quick], ids=lambda case: f"{case.family}: {case.name}")
def test_nothing_breaks(case, model: Path) -> None:
    verdict = check(case, seed=0, model=model)
    assert not verdict.faults, verdict.said
