"""`sgmg segment` as people call it: one command, a folder of results, or one sentence that says what to do."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from videos import write_video

from sgmg import cli
from sgmg.model import SgMg

SOURCES = Path(__file__).parents[1] / "src"


@pytest.fixture
def model(tiny_model: SgMg, tmp_path: Path) -> Path:
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "squares.mp4", frames=6, sound="aac")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Call the command in this process; the exit code."""
    monkeypatch.setattr(sys, "argv", ["sgmg", *map(str, arguments)])
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_a_video_and_two_sentences(model: Path, video: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    code = run(monkeypatch, "segment", video, "the dog", "a red circle", "-o", out, "--model", model)
    captured = capsys.readouterr()
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == ["masks", "overlay.mp4", "result.json"]
    assert len(list((out / "masks").glob("*/*.png"))) == 12
    assert "overlay.mp4" in captured.out
    assert "frames/s" in captured.err


def test_formats_are_written_in_the_place_of_the_usual_ones(
    model: Path, video: Path, tmp_path: Path, monkeypatch, capsys, caplog
) -> None:
    caplog.set_level(logging.INFO, "sgmg")  # so that it is put back afterwards
    logging.getLogger("sgmg").setLevel(logging.WARNING)
    out = tmp_path / "out"
    formats = ["--format", "grey-background", "-f", "yolo"]
    assert run(monkeypatch, "-v", "segment", video, "the dog", "-o", out, "--model", model, *formats) == 0
    assert sorted(p.name for p in out.iterdir()) == ["grey-background.mp4", "result.json", "yolo"]
    assert f"look at {out / 'grey-background.mp4'}, {out / 'yolo'}" in capsys.readouterr().out
    assert caplog.messages[-1] == f"saved 6 frames to {out} as grey-background, yolo"


def test_json_is_all_there_is_on_standard_output(model: Path, video: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    options = ["--json", "--clip-length", 2, "--short-side", 144, "--min-score", 0.5, "--threads", 1, "--device", "cpu"]
    out = tmp_path / "out"
    assert run(monkeypatch, "segment", video, "the dog", "-o", out, "--model", model, *options) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["output"] == str(out)
    assert answer["frame_count"] == 6
    assert answer["settings"] == {
        "clip_length": 2,
        "overlap": 0,
        "every": 1,
        "short_side": 144,
        "long_side": 256,
        "min_score": 0.5,
        "device": "cpu",
        "dtype": "float32",
    }
    assert answer["expressions"][0]["expression"] == "the dog"


def test_quiet_prints_nothing(model: Path, video: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "segment", video, "the dog", "-o", tmp_path / "out", "--model", model, "--quiet") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"video": "missing.mp4"}, "There is no file or folder 'missing.mp4'; check the path."),
        ({"expression": " "}, "An expression is empty"),
        ({"model": "no-such-folder"}, "no-such-folder"),
        ({"--clip-length": "0"}, "clip"),
        ({"--clip-length": "some"}, "clip"),
        ({"--min-score": "7"}, "lie between 0 and 1"),
        ({"--device": "warp"}, "device 'warp' is not available"),
        ({"--dtype": "float8"}, "'float8' is no type"),
        ({"--fps": "10"}, "states its own frame rate"),
        ({"--threads": "0"}, "threads"),
        ({"--format": "mpeg"}, "There is no format 'mpeg'; choose from overlay, "),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    model: Path, video: Path, tmp_path: Path, monkeypatch, capsys, change: dict[str, str], sentence: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = [part for key, value in change.items() if key.startswith("--") for part in (key, value)]
    arguments = [change.get("video", video), change.get("expression", "the dog"), "-o", tmp_path / "out"]
    code = run(monkeypatch, "segment", *arguments, "--model", change.get("model", model), *options)
    error = capsys.readouterr().err
    assert code == 2
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "squares.mp4"]


def test_an_output_that_exists_is_refused(model: Path, video: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    arguments = ["segment", video, "the dog", "-o", tmp_path / "out", "--model", model, "--quiet"]
    assert run(monkeypatch, *arguments) == 0
    before = (tmp_path / "out" / "result.json").stat().st_mtime_ns
    monkeypatch.setattr(SgMg, "from_pretrained", lambda folder: pytest.fail("too late"))
    assert run(monkeypatch, *arguments) == 2
    assert "exists already; choose another output or pass --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "result.json").stat().st_mtime_ns == before
    monkeypatch.undo()
    assert run(monkeypatch, *arguments, "--overwrite") == 0
    assert (tmp_path / "out" / "result.json").stat().st_mtime_ns > before


def test_what_is_lost_is_said_and_the_rest_done(model: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    video = write_video(tmp_path / "cut.mkv", frames=24, g="6")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    code = run(monkeypatch, "segment", video, "the dog " * 50, "-o", tmp_path / "out", "--model", model)
    error = capsys.readouterr().err
    assert code == 0
    assert "Warning: An expression is longer than the text encoder's 32 tokens; kept was: 'the dog" in error
    assert "is cut off" in error
    assert len(json.loads((tmp_path / "out" / "result.json").read_text())["warnings"]) == 2


def test_ended_from_outside_it_leaves_nothing(model: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", frames=30, size=(720, 1280))
    command = [sys.executable, "-m", "sgmg", "segment", str(video), "the dog", "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--model", str(model)],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(tmp_path.glob("*.unfinished")):
        time.sleep(0.02)  # until it writes
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) != 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["long.mp4", "model"]


def test_help_and_the_package_need_no_torch() -> None:
    code = "import sys, sgmg, sgmg.cli; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SOURCES)}, check=True)


def test_help_shows_an_example(monkeypatch, capsys) -> None:
    assert run(monkeypatch, "segment", "--help") == 0
    assert 'sgmg segment dog.mp4 "the dog"' in capsys.readouterr().out
