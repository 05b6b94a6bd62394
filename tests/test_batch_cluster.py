"""`sgmg batch` on a cluster of two Ray nodes, of which one dies in the middle."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from videos import write_video

pq = pytest.importorskip("pyarrow.parquet")
cluster_utils = pytest.importorskip("ray.cluster_utils")

COMMAND = [sys.executable, "-m", "sgmg", "batch"]
OPTIONS = ["-e", "the red square", "-e", "the dog", "--clip-length", "6", "--min-score", "0", "--json", "-q"]
FORMATS = ["--format", "masks", "--format", "overlay"]

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A head, to which the test adds a second node."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    store = {"object_store_memory": 200 * 2**20, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **store})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything that was written for videos, by its place."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".batch" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.suffix != ".parquet"}


def rows_of(folder: Path) -> list[dict]:
    """The table without how long things took."""
    table = pq.read_table(folder / "results.parquet")
    return table.drop_columns([name for name in table.column_names if name.startswith("seconds")]).to_pylist()


def test_a_node_that_is_killed_costs_nothing_but_time(tmp_path: Path, model: Path, cluster) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for index in range(15):
        write_video(videos / f"{index}.mp4", frames=8 if index % 5 else 30)  # of one to several clips
    (videos / "damaged.mp4").write_bytes(b"no video")
    words = ["--model", str(model), *OPTIONS, *FORMATS]
    words += ["--threads-per-actor", "1"]  # with others, sums of the network are rounded otherwise
    undisturbed = subprocess.run([*COMMAND, str(videos), str(tmp_path / "undisturbed"), *words], capture_output=True)
    assert undisturbed.returncode == 1, undisturbed.stderr

    second = cluster.add_node(num_cpus=2, object_store_memory=200 * 2**20)
    # Of three actors at most two are on the head.
    where = ["--ray-address", cluster.address, "--actors", "3"]
    command = [*COMMAND, str(videos), str(tmp_path / "disturbed"), *words, *where]
    finished = tmp_path / "disturbed" / ".batch" / "finished"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as disturbed, ExitStack() as stack:
        stack.callback(disturbed.kill)
        while disturbed.poll() is None and (not finished.is_dir() or len(list(finished.iterdir())) < 4):
            time.sleep(0.1)
        cluster.remove_node(second, allow_graceful=False)
        left = 16 - len(list(finished.iterdir()))
        _, errors = disturbed.communicate(timeout=900)
    assert left > 5, "the node was killed when the work was done"
    assert disturbed.returncode == 1, errors

    assert files_of(tmp_path / "disturbed") == files_of(tmp_path / "undisturbed")
    assert rows_of(tmp_path / "disturbed") == rows_of(tmp_path / "undisturbed")
    errors = [row["error"] for row in rows_of(tmp_path / "disturbed") if row["error"]]
    assert len(errors) == 2
    assert "cannot be read as a video" in errors[0]
