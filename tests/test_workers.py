"""Scoring beside the main thread: the same results in the same order, whatever the number of workers."""

import operator
import os
import subprocess
import sys
import time
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
        with pytest.raises(InputError, match="fewer --workers"):
            pool.submit(partial(operator.add, 1))


KILLED = """
import os, signal
from sgmg.evaluation.workers import Workers

def me(_):
    return os.getpid()

if __name__ == "__main__":
    with Workers(None, 2) as pool:
        pool.submit(me)
        print(*pool.results(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    parent = subprocess.run([sys.executable, tmp_path / "killed.py"], stdout=subprocess.PIPE, text=True, timeout=300)
    worker = Path("/proc", parent.stdout.strip())
    until = time.monotonic() + 60
    while worker.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not worker.exists()
