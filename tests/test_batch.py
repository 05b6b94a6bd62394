"""`sgmg batch`: many videos, each done once, whatever happens to some of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from videos import square_frame, write_video

pa = pytest.importorskip("pyarrow")
pytest.importorskip("ray.data")

import pyarrow.parquet as pq  # noqa: E402

from sgmg import Segmenter  # noqa: E402
from sgmg.batch import job, stages  # noqa: E402
from sgmg.batch.cluster import clear_away  # noqa: E402
from sgmg.batch.stages import Event, Ledger, StreamBrokeError, Work, look_at_clip, read_clips, task_row, write_clip  # noqa: E402
from sgmg.batch.storage import Storage  # noqa: E402
from sgmg.batch.videos import VideoTask, find_tasks  # noqa: E402
from sgmg.clips import Cut, Plan  # noqa: E402
from sgmg.errors import InputError  # noqa: E402
from sgmg.output import lock_folder  # noqa: E402
from sgmg.segmenter import ClipLooker  # noqa: E402

PLAN = Plan(Cut(6, overlap=1), (32, 64), 0.0)


class TestVideos:
    def test_a_folder_is_searched_at_every_depth(self, tmp_path: Path) -> None:
        for place in (
            "b10.mp4",
            "b9.MOV",
            "deep/er/c.webm",
            ".hidden/d.mp4",
            ".e.mp4",
            "notes.txt",
            "frames/0.png",
            "out/.batch/a",
            "out/f.mp4",
        ):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).touch()
        (tmp_path / "deep" / "circle").symlink_to(tmp_path)
        found = find_tasks(str(tmp_path), ["the dog"])
        places = [Path(task.video).relative_to(tmp_path).as_posix() for task in found]
        assert places == ["b9.MOV", "b10.mp4", "deep/er/c.webm", "frames"]
        assert {task.expressions for task in found} == {("the dog",)}

    @pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
    def test_rows_of_one_video_are_joined(self, tmp_path: Path, kind: str) -> None:
        rows = [
            {"video": "a.mp4", "expression": "the dog, and its ball"},
            {"video": "/far/b.mp4", "expression": "Ένας σκύλος"},
            {"video": "a.mp4", "expression": "the cat"},
        ]
        table, path = pa.Table.from_pylist(rows), tmp_path / f"table.{kind}"
        if kind == "csv":
            import pyarrow.csv

            pyarrow.csv.write_csv(table, path)
        elif kind == "parquet":
            pq.write_table(table, path)
        else:
            path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        assert find_tasks(str(path)) == [
            VideoTask(f"{tmp_path}/a.mp4", ("the dog, and its ball", "the cat")),
            VideoTask("/far/b.mp4", ("Ένας σκύλος",)),
        ]

    def test_expressions_may_be_a_list(self, tmp_path: Path) -> None:
        (tmp_path / "t.jsonl").write_text('{"video": "a.mp4", "expressions": ["the dog", "the ball"]}\n')
        (tmp_path / "t.csv").write_text('video,expressions\na.mp4,"[""the dog"", ""the ball""]"\n')
        for kind in ("jsonl", "csv"):
            assert [task.expressions for task in find_tasks(str(tmp_path / f"t.{kind}"))] == [("the dog", "the ball")]

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("missing.csv", None, "There is no table"),
            ("empty.csv", "", "cannot be read as a table"),
            ("other.csv", "path,expression\na.mp4,the dog\n", "has no column 'video'; it has: path, expression."),
            ("silent.csv", "video,expression\na.mp4,\n", "Row 1 of .* says nothing to segment"),
            ("nameless.csv", "video,expression\n,the dog\n", "Row 1 of .* names no video"),
            ("broken.jsonl", '{"video": ', "cannot be read as a table"),
            ("number.jsonl", '{"video": "a.mp4", "expression": 3}', "no sentence"),
            ("not.parquet", "video", "cannot be read as a table"),
        ],
    )
    def test_what_is_no_table_is_refused(self, tmp_path: Path, name: str, content: str | None, said: str) -> None:
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=said):
            find_tasks(str(tmp_path / name))

    def test_names_are_safe_and_nobody_elses(self) -> None:
        paths = ["a/dog.mp4", "b/dog.mp4", "b/dog.mov", "../../etc/passwd", "C:\\..\\x.mp4", "/", "狗.mp4", "x" * 500]
        names = [VideoTask(path, ("the dog",)).name for path in paths]
        assert len(set(names)) == len(paths)
        assert all(name.replace("-", "").isalnum() and name.isascii() and len(name) < 80 for name in names)
        assert VideoTask(paths[0], ("the cat",)).name != names[0]
        assert VideoTask(paths[0], ("the dog",)).name == names[0]  # in every run, whatever else is in the job


def in_this_process(tasks: Sequence[VideoTask], work: Work, model: Path) -> Iterator[Event]:
    """The stages without Ray, one after the other; clips come in the reverse of their order."""
    look, ledger = ClipLooker(Segmenter.from_pretrained(model, "cpu"), work.plan), Ledger()
    for task in tasks:
        rows = list(read_clips(task_row(task), work))
        for row in reversed(rows):
            yield write_clip(look_at_clip(row, look, work), work, ledger.arrived)


class Batch:
    """A job in a folder, run in this process."""

    def __init__(self, folder: Path, model: Path, output: str, videos: Sequence[str]) -> None:
        self.output = folder / "out"
        self.work = Work(PLAN, Storage(output).root, ("masks",), retries=1)
        self.tasks = [VideoTask(video, ("the red square", "the dog")) for video in videos]
        self.stream = partial(in_this_process, work=self.work, model=model)

    def run(self) -> job.State:
        """Once more."""
        storage = Storage(self.work.output)
        job.begin(storage, self.work, "digest", overwrite=False)
        left = job.left_to_do(storage, self.tasks)
        return job.run(self.tasks, left, self.work, self.stream, lambda state: None)

    def table(self) -> list[dict]:
        """The table of results."""
        return pq.read_table(self.output / "results.parquet").to_pylist()


@pytest.fixture
def videos(tmp_path: Path) -> list[str]:
    """One of one clip, one of several, a folder of images, and one that is damaged."""
    write_video(tmp_path / "short.mp4", frames=4)
    write_video(tmp_path / "long.mp4", frames=17)
    (tmp_path / "images").mkdir()
    for index in range(3):
        Image.fromarray(square_frame(index)).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "damaged.mp4").write_bytes(b"no video")
    return [str(tmp_path / name) for name in ("short.mp4", "long.mp4", "images", "damaged.mp4")]


@pytest.fixture(params=["here", "store"])
def batch(
    request: pytest.FixtureRequest, tmp_path: Path, model: Path, videos: list[str], monkeypatch: pytest.MonkeyPatch
) -> Batch:
    """A job of those; "store" has all places as addresses, so that they go through fsspec as S3's do."""
    monkeypatch.setattr(stages, "_FIRST_PAUSE", 0)
    before = "local://" if request.param == "store" else ""
    return Batch(tmp_path, model, f"{before}{tmp_path / 'out'}", [before + video for video in videos])


def test_a_result_in_a_store_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    storage = Storage(f"local://{tmp_path / 'store'}")
    for kind in ("masks", "overlay"):
        folder = tmp_path / kind
        (folder / kind).mkdir(parents=True)
        for file in ("result.json", f"{kind}/0.png"):
            (folder / file).write_text(kind)
        storage.upload(folder, "dog")
    found = {str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("*.*")}
    assert found == {"dog/result.json", "dog/overlay/0.png"}


class TestOnce:
    def test_each_video_has_what_segment_writes(self, batch: Batch, tmp_path: Path, model: Path) -> None:
        state = batch.run()
        assert (state.finished, state.skipped, state.frames) == (3, 0, 24)
        segmenter = Segmenter.from_pretrained(model, "cpu")
        for task in batch.tasks[:3]:
            place, alone = task.video.removeprefix("local://"), tmp_path / "alone" / task.name
            sides = {"short_side": 32, "long_side": 64, "min_score": 0.0}
            segmenter.to_folder(place, task.expressions, alone, "masks", 6, **sides, overlap=1)
            expected = {path.relative_to(alone): path.read_bytes() for path in alone.rglob("*.*")}
            found = batch.output / task.name
            for path, content in expected.items():
                if path.name == "result.json":
                    content = content.replace(place.encode(), task.video.encode())
                assert (found / path).read_bytes() == content, path
            assert len(expected) == len([path for path in found.rglob("*") if path.is_file()])

    def test_the_table_has_all_and_says_why_not(self, batch: Batch) -> None:
        state = batch.run()
        rows = batch.table()
        assert [(row["video"], row["expression"]) for row in rows] == [
            (task.video, expression) for task in batch.tasks for expression in task.expressions
        ]
        first = json.loads((batch.output / rows[2]["name"] / "result.json").read_text())
        frames = first["expressions"][0]["frames"]
        assert rows[2]["rles"] == [frame["rle"]["counts"] for frame in frames]
        assert rows[2]["boxes"] == [frame["box"] for frame in frames]
        assert rows[2]["scores"] == pytest.approx([frame["score"] for frame in frames], abs=1e-6)
        assert rows[2]["score"] == pytest.approx(first["expressions"][0]["score"], abs=1e-6)
        assert (rows[2]["frames"], rows[2]["height"], rows[2]["width"]) == (17, 72, 96)
        assert min(rows[2][f"seconds_{stage}"] for stage in ("read", "segment", "write")) > 0
        assert rows[-1]["error"] == state.failed[rows[-1]["name"]]
        assert "cannot be read as a video" in rows[-1]["error"]
        assert rows[-1]["rles"] is None
        assert all(row["error"] is None for row in rows[:-2])

    def test_what_is_finished_is_not_done_again(self, batch: Batch, tmp_path: Path) -> None:
        batch.run()
        before = {path: path.stat().st_mtime_ns for path in batch.output.rglob("result.json")}
        write_video(tmp_path / "damaged.mp4", frames=4)  # somebody mends it
        state = batch.run()
        assert (state.finished, state.skipped, state.failed) == (1, 3, {})
        assert before.items() <= {path: path.stat().st_mtime_ns for path in batch.output.rglob("result.json")}.items()
        assert not any(row["error"] for row in batch.table())

    def test_what_is_half_finished_is_done_again(self, batch: Batch) -> None:
        batch.run()
        short, long, *_ = (task.name for task in batch.tasks)
        (batch.output / ".batch" / "finished" / f"{short}.parquet").unlink()  # killed before the last step
        for path in sorted((batch.output / long).rglob("*"), reverse=True):  # taken away by somebody
            path.rmdir() if path.is_dir() else path.unlink()
        (batch.output / long).rmdir()
        drafts = [batch.output / ".sgmg-abc.unfinished", batch.output / f".{short}.partial"]
        for draft in drafts:
            draft.mkdir()
        clips = batch.output / ".batch" / "clips" / long
        clips.mkdir(parents=True)
        (clips / "000000.json").write_text("{")  # killed while it was written
        state = batch.run()
        assert (state.finished, state.skipped) == (2, 1)
        assert (batch.output / long / "result.json").is_file()
        assert not clips.exists()
        assert not any(draft.exists() for draft in drafts) or batch.work.output.startswith("local://")

    def test_a_process_that_dies_is_no_end(self, batch: Batch) -> None:
        """A stream says nothing of what was lost with a process; here of the first video twice, of the second once."""
        whole = batch.stream
        dies = [batch.tasks[0].name, batch.tasks[1].name, batch.tasks[0].name]

        def stream(tasks: Sequence[VideoTask]) -> Iterator[Event]:
            for event in whole(tasks):
                if event.name in dies:
                    if event.finished:
                        dies.remove(event.name)
                else:
                    yield event

        batch.stream = stream
        state = batch.run()
        assert state.finished == 2
        assert "died" in state.failed[batch.tasks[0].name]

    def test_a_stream_that_breaks_down_says_why(self, batch: Batch) -> None:
        def stream(tasks: Sequence[VideoTask]) -> Iterator[Event]:
            yield Event(tasks[0].name, 4)
            raise StreamBrokeError("no actor could be started")

        batch.stream = stream
        assert list(batch.run().failed.values()) == ["no actor could be started"] * 4

    def test_another_job_is_not_mixed_in(self, batch: Batch) -> None:
        batch.run()
        storage = Storage(batch.work.output)
        with pytest.raises(InputError, match=r"other settings \(model\)"):
            job.begin(storage, batch.work, "another", overwrite=False)
        job.begin(storage, batch.work, "another", overwrite=True)
        assert len(job.left_to_do(storage, batch.tasks)) == 4


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    work = Work(PLAN, str(tmp_path), ("masks",))
    with pytest.raises(InputError, match="holds other things"):
        job.begin(Storage(work.output), work, "digest", overwrite=True)


def test_the_next_job_removes_what_killed_ones_left_of_ray(tmp_path: Path) -> None:
    killed, at_work, other = (tmp_path / name for name in ("sgmg-ray-killed", "sgmg-ray-at-work", "ray"))
    take = "import os, signal, sys; from pathlib import Path; from sgmg.output import lock_folder; "
    take += "lock_folder(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", take, killed])
    lock = lock_folder(at_work)
    assert lock is not None
    for folder in (killed, at_work, other):
        (folder / "session").mkdir(parents=True)
    clear_away(tmp_path)
    assert sorted(tmp_path.iterdir()) == [other, at_work]
    os.close(lock)


class TestCommand:
    def test_on_this_machine_without_setting_anything_up(
        self, run, tmp_path: Path, model: Path, videos: list[str]
    ) -> None:
        words = ["batch", tmp_path, tmp_path / "out", "-e", "the red square", "--model", model, "-f", "masks"]
        code, output, errors = run(*words, "--clip-length", 6, "--json")
        report = json.loads(output)
        assert (code, report["videos"], report["finished"], report["frames"]) == (1, 4, 3, 24), errors
        assert [failure["video"] for failure in report["failed"]] == [f"{tmp_path}/damaged.mp4"]
        assert errors.count("\n") < 5, errors  # Ray is quiet

        (tmp_path / "damaged.mp4").unlink()
        code, _, errors = run(*words)
        assert code == 2
        assert "holds results of another model or of other settings (cut)" in errors

        code, output, _ = run(*words, "--clip-length", 6)  # nothing is left, which needs no Ray
        table = f"{tmp_path}/out/results.parquet"
        assert (code, output) == (0, f"0 videos finished, 3 finished before. The table is {table}.\n")

    def test_without_the_extra_it_says_so(self, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ray.data", None)
        code, _, errors = run("batch", tmp_path, tmp_path / "out", "-e", "the dog")
        assert (code, errors) == (2, "Error: sgmg batch runs on Ray: install it with pip install 'sgmg[scale]'.\n")

    def test_a_cluster_that_is_not_there(self, run, tmp_path: Path, model: Path) -> None:
        write_video(tmp_path / "v.mp4", frames=2)
        words = ["-e", "the dog", "--model", model, "--ray-address", "127.0.0.1:1"]
        code, _, errors = run("batch", tmp_path, tmp_path / "out", *words)
        assert code == 2
        assert "There is no Ray at '127.0.0.1:1'" in errors
        assert not (tmp_path / "out").exists()
