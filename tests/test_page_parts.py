"""What the web page is made of, without a browser: limits, tickets, and what the command refuses."""

import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from videos import write_video

pytest.importorskip("gradio", reason="needs the extra: pip install 'sgmg[web]'")

from sgmg.app.interruption import Interruption
from sgmg.app.jobs import Job
from sgmg.app.limits import Limits, as_bytes
from sgmg.app.storage import Storage, stored_name
from sgmg.app.uploads import Upload
from sgmg.engines.pytorch import PyTorchEngine
from sgmg.errors import InputError
from sgmg.model import SgMg
from sgmg.progress import Cancelled
from sgmg.segmentation import Segmentation
from sgmg.segmenter import Segmenter
from sgmg.video import open_video


@pytest.fixture
def storage():
    storage = Storage()
    yield storage
    storage.close()
    assert not storage.root.exists()


@pytest.mark.parametrize(
    ("text", "size"), [("200MB", 200_000_000), ("1.5 GB", 1_500_000_000), ("7k", 7000), ("12", 12)]
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert as_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-3MB", "0", "5 TB", "1e9"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(InputError, match="write it like 200MB"):
        as_bytes(text)


def test_one_sentence_a_line() -> None:
    assert Limits().sentences_of(" the  dog \n\n the ball\n") == ["the dog", "the ball"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (" \n ", "There is no sentence yet"),
        ("a\nb\nc", "3 sentences are too many; ask for up to 2"),
        ("x" * 31, "more than 30 letters"),
    ],
)
def test_sentences_within_limits(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Limits(sentences=2, letters=30).sentences_of(text)


def test_videos_within_limits(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "video.mp4", frames=12))
    Limits(frames=12).check_video(video)
    with pytest.raises(InputError, match="more than 11 frames"):
        Limits(frames=11).check_video(video)
    with pytest.raises(InputError, match="96 x 72 pixels, which are too large"):
        Limits(pixels=72 * 95).check_video(video)


def test_files_are_found_by_tickets_alone(storage: Storage) -> None:
    ticket, folder = storage.new()
    (folder / "video.mp4").write_bytes(b"frames")
    (folder.parent / "secret").write_bytes(b"")
    assert storage.find(f"{ticket}/video.mp4").read_bytes() == b"frames"
    for wrong in (
        f"{ticket}/../secret",
        f"{ticket}/..",
        f"{ticket}/other.mp4",
        f"{ticket}\\video.mp4",
        ticket,
        "",
        "/etc/passwd",
        str(folder / "video.mp4"),
        f"../{folder.parent.name}/{ticket}/video.mp4",
    ):
        with pytest.raises(InputError, match="not on the server any more"):
            storage.find(wrong)


def test_files_go_when_they_are_not_used_or_not_wanted() -> None:
    storage = Storage(keep_for=-1)
    try:
        old, _ = storage.new()
        kept, _ = storage.new(kept=True)  # sweeps
        assert [folder.name for folder in storage.root.iterdir()] == [kept]
        storage.remove(kept)  # as a visitor who forgets an example would
        storage.remove(old)
        assert [folder.name for folder in storage.root.iterdir()] == [kept]
    finally:
        storage.close()


def test_files_stay_while_they_are_worked_with(storage: Storage) -> None:
    ticket, folder = storage.new()
    with storage.held(ticket), storage.held(ticket):
        storage.remove(ticket)
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(InputError, match="not on the server any more"), storage.held(ticket):
        pass


@pytest.mark.parametrize(
    ("given", "stored"),
    [("dog.MP4", "video.mp4"), ("../../x.webm", "video.webm"), ("x", "video"), ("a.b/c", "video"), ("a.p h", "video")],
)
def test_names_of_visitors_never_reach_the_disk(given: str, stored: str) -> None:
    assert stored_name(given) == stored


def test_errors_call_a_file_by_its_visitors_name(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_text("no video")
    with pytest.raises(InputError, match=r"'holiday\.mp4' cannot be read as a video") as caught:
        Upload.read("ticket/video.mp4", path, "C:\\fakepath/holiday.mp4").open()
    assert str(tmp_path) not in str(caught.value)


def test_an_interruption_ends_a_network_between_two_layers(tiny_model: SgMg) -> None:
    interruption, engine, seen = Interruption(), PyTorchEngine(tiny_model, "cpu"), []
    pixels = [np.zeros((3, 144, 144), np.uint8)]

    def look() -> None:
        seen.append(len(seen))
        if len(seen) == 5:
            interruption.set()
        interruption.check()

    with engine.watched(look), pytest.raises(Cancelled), engine.computing():
        engine.encode_clip(pixels)
    assert len(seen) == 5
    with engine.computing():
        engine.encode_clip(pixels)  # nothing of it stays


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--auth", "lab"], "write it like NAME:PASSWORD"),
        (["--max-upload", "lots"], "write it like 200MB"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_the_command_refuses_in_a_sentence(run, options: list[str], sentence: str) -> None:
    code, _, errors = run("serve", *options)
    assert code == 2
    assert errors.startswith("Error: ")
    assert sentence in errors


def test_a_port_that_is_taken(run, model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, errors = run("serve", "--model", model, "--port", port)
    assert code == 2
    assert f"port {port}" in errors
    assert "choose another" in errors


def test_an_image_is_a_video_of_one_frame(storage: Storage, tiny_model: SgMg) -> None:
    ticket, folder = storage.new()
    Image.new("RGB", (64, 48), "red").save(folder / "video.png")
    job = Job(Upload.read(f"{ticket}/video.png", folder / "video.png", "red.png"), ["the dog"], min_score=0)
    told = list(job.events(Segmenter(tiny_model, device="cpu"), Limits(), storage))
    kinds = [event["kind"] for event in told if event["kind"] not in ("progress", "waiting")]
    assert kinds == ["started", "frames", "masks", "segmented", "saved", "finished"]
    assert [download["file"]["orig_name"] for download in told[-1]["files"]] == [
        "red-overlay.mp4",
        "red-masks.zip",
        "red-result.json",
        "red-0-the-dog.webm",
    ]
    assert storage.find(told[-1]["files"][0]["file"]["path"]).stat().st_size > 0


def test_a_full_disk_is_said_without_naming_a_place(
    storage: Storage, tiny_model: SgMg, tmp_path: Path, monkeypatch
) -> None:
    def full(_, folder: Path, **options: object) -> None:
        raise InputError(f"The disk is full: '{folder}' was not written; free some space, or choose another disk.")

    monkeypatch.setattr(Segmentation, "save", full)
    ticket, folder = storage.new()
    job = Job(Upload.read(f"{ticket}/video.mp4", write_video(folder / "video.mp4", frames=2), "dog.mp4"), ["the dog"])
    with pytest.raises(InputError, match=r"^The disk is full: 'saved' was not written"):
        list(job.events(Segmenter(tiny_model, device="cpu"), Limits(), storage))
    assert [place.name for place in storage.root.iterdir()] == [ticket]  # of the result nothing stays


def test_masks_of_small_things_survive_being_made_smaller() -> None:
    from sgmg.app.jobs import _masks
    from sgmg.clips import SegmentedClip
    from sgmg.segmentation import decode_masks, encode_masks

    masks = np.zeros((2, 90, 160), bool)
    masks[0, 30:60, 40:80] = True
    clip = SegmentedClip(
        0, [None, None], np.ones((1, 2), np.float32), [encode_masks(masks)], np.zeros(2, bool), (90, 160)
    )
    event = _masks(clip, (45, 80))
    assert event["scores"] == [[1, 1]]
    small = decode_masks([{"size": [45, 80], "counts": counts.encode()} for counts in event["masks"][0]], (45, 80))
    assert small[0].sum() == 15 * 20
    assert small[0, 15:30, 20:40].all()
    assert not small[1].any()
