"""Scoring beside the main thread: the same results in the same order, whatever the number of workers."""

import operator
import os
from functools import partial
from pathlib import Path

import pytest
from ref_youtube_vos_layout import write_dataset
from test_evaluation import deaf

from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.errors import InputError
from sgmg.evaluation.expressions import evaluate
from sgmg.evaluation.workers import JOBS_WAITING, Workers


def test_results_are_in_the_order_of_the_jobs() -> None:
    with Workers[int](100) as pool:
        for number in range(3 * JOBS_WAITING):
            pool.submit(partial(operator.add, number))
        assert pool.results() == [100 + number for number in range(3 * JOBS_WAITING)]


def test_an_error_of_a_job_is_raised() -> None:
    with Workers[float](0) as pool:
        pool.submit(partial(operator.truediv, 1))
        with pytest.raises(ZeroDivisionError):
            pool.results()


def test_processes_give_the_same_scores(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data")
    data = RefYouTubeVOS(tmp_path / "data", "valid")
    alone = evaluate(data, deaf)
    assert evaluate(data, deaf, workers=2, keep=tmp_path / "kept") == alone
    assert len(list((tmp_path / "kept").rglob("*.png"))) == 15


def test_processes_tell_what_went_wrong() -> None:
    with Workers[float](0, 2) as pool:
        pool.submit(partial(operator.add, 1))
        pool.submit(partial(operator.truediv, 1))
        with pytest.raises(ZeroDivisionError):
            pool.results()
        pool.submit(os._exit)  # as if the system had ended it
        with pytest.raises(InputError, match="fewer --workers"):
            pool.results()
