"""Frames that come only once: iterables, pipes, addresses, cameras; and what goes wrong with them."""

import io
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from PIL import Image
from videos import STEP, square_frame, square_x, write_video

from sgmg import Segmenter
from sgmg.errors import InputError, InputWarning
from sgmg.live import LiveVideo, is_live, open_stream
from sgmg.model import SgMg
from sgmg.video import ArrayVideo, Frame, read_video


@pytest.fixture
def segmenter(tiny_model: SgMg) -> Segmenter:
    return Segmenter(tiny_model, device="cpu", name="tiny")


def moving_picture(rate: int, seconds: float) -> str:
    """FFmpeg's own test picture; with ",realtime" at its own pace, as a camera's."""
    return f"testsrc2=size=96x72:rate={rate}:duration={seconds}"


Pipe: TypeAlias = "Callable[[bytes], io.FileIO]"


@pytest.fixture
def piped() -> Iterator[Pipe]:
    """Makes the reading end of a pipe through which bytes come."""
    with ExitStack() as ends:

        def open_pipe(content: bytes) -> io.FileIO:
            read, write = os.pipe()

            def send() -> None:
                with suppress(BrokenPipeError), os.fdopen(write, "wb") as end:
                    end.write(content)

            threading.Thread(target=send, daemon=True).start()
            return ends.enter_context(io.FileIO(read))

        yield open_pipe


# --- iterables ---------------------------------------------------------------------------------------------


def test_frames_of_an_iterable_in_every_form() -> None:
    forms = [
        lambda image: image,
        Image.fromarray,
        lambda image: torch.from_numpy(image).permute(2, 0, 1),
        lambda image: image / 255,
    ]
    for form in forms:
        frames = list(open_stream(form(square_frame(index)) for index in range(3)))
        assert [square_x(frame.image) for frame in frames] == [0, STEP, 2 * STEP]
        assert [frame.time for frame in frames] == [0, Fraction(1, 24), Fraction(2, 24)]


def test_an_iterable_is_read_once_and_no_further_than_needed(segmenter: Segmenter) -> None:
    given: list[int] = []

    def source() -> Iterator[np.ndarray]:
        for index in range(20):
            given.append(index)
            yield square_frame(index)

    stream = segmenter.stream(source(), "the dog", clip_length=4)
    frame, masks = next(stream)
    assert (frame.name, masks.shape, masks.dtype) == ("00000", (1, 72, 96), bool)
    assert stream.delay == 3
    assert given == [0, 1, 2, 3]


def test_a_source_may_write_each_frame_over_the_one_before(segmenter: Segmenter) -> None:
    buffer = np.zeros((72, 96, 3), np.uint8)

    def source() -> Iterator[np.ndarray]:
        for index in range(4):
            buffer[:] = square_frame(index)
            yield buffer

    pairs = list(segmenter.stream(source(), "the dog", clip_length=4))
    assert [square_x(frame.image) for frame, _ in pairs] == [0, STEP, 2 * STEP, 3 * STEP]


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (iter([]), "is empty"),
        (iter([np.zeros((4, 4), np.uint8)]), r"ndarray of shape \(4, 4\) is not a frame"),
        (iter([3]), "A int"),
        (iter([np.zeros((4, 4, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)]), "Frame 1 is 4x6 where the first is 4x4"),
    ],
)
def test_iterables_that_are_no_frames(frames: Iterator[object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(open_stream(frames))


# --- streams in general --------------------------------------------------------------------------------------


def test_a_stream_gives_what_a_call_gives(segmenter: Segmenter) -> None:
    frames = np.stack([square_frame(index) for index in range(10)])
    expected = segmenter(frames, ["the dog", "a cup"], clip_length=4, overlap=1)
    stream = segmenter.stream(iter(frames), ["the dog", "a cup"], clip_length=4, overlap=1)
    pairs = list(stream)
    assert (np.stack([masks for _, masks in pairs], axis=1) == expected.masks).all()
    assert (np.stack([frame.image for frame, _ in pairs]) == frames).all()
    assert stream.dropped == 0


def test_masks_come_with_the_delay_that_is_stated(segmenter: Segmenter) -> None:
    asked = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal asked
        for index in range(20):
            asked = index
            yield square_frame(index)

    stream = segmenter.stream(source(), "the dog", clip_length=5, overlap=2)
    delays = [asked - int(frame.name) for frame, _ in stream]
    assert max(delays) == stream.delay == 4
    assert max(delays[5:]) == 2, "later, the overlap is not waited for"


def test_a_stream_keeps_nothing(segmenter: Segmenter) -> None:
    """Of the frames given, only those of the clip under way and the one before are in memory."""
    given: list[weakref.ref[Frame]] = []
    most = 0
    for frame, _ in segmenter.stream((square_frame(index % 10) for index in range(40)), "the dog", clip_length=4):
        given.append(weakref.ref(frame))
        most = max(most, sum(one() is not None for one in given))
    assert most <= 8


# --- sources that FFmpeg reads --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["v.nut", "v.mkv", "v.ts", "v.y4m", "v.avi"])
def test_a_pipe_gives_what_the_file_gives(piped: Pipe, tmp_path: Path, name: str) -> None:
    codec = "wrapped_avframe" if name.endswith("y4m") else "mpeg4" if name.endswith("avi") else "libx264"
    path = write_video(tmp_path / name, codec, frames=30)
    video = open_stream(piped(path.read_bytes()))
    frames = list(video)
    assert (np.stack([frame.image for frame in frames]) == read_video(path)).all()
    assert (video.fps, video.size, video.problems) == (12, (72, 96), [])
    with pytest.raises(InputError, match="only once"):
        next(iter(video))


@pytest.mark.parametrize("name", ["v.nut", "v.ts", "v.mkv", "v.y4m"])
def test_a_pipe_that_ends_within_a_frame_gives_the_whole_ones(piped: Pipe, tmp_path: Path, name: str) -> None:
    codec = "wrapped_avframe" if name.endswith("y4m") else "libx264"
    path = write_video(tmp_path / name, codec, frames=30, size=(144, 192))
    whole, content = read_video(path), path.read_bytes()
    video = open_stream(piped(content[: len(content) * 7 // 10]))
    # FFmpeg passes over the rest of a frame in other formats without a word
    said = pytest.warns(InputWarning, match=r"'pipe' is damaged or ended within a frame: \d+ frames were decoded")
    with said if name in ("v.nut", "v.ts") else nullcontext():
        frames = list(video)
    assert 15 < len(frames) < 30
    assert (np.stack([frame.image for frame in frames[:-2]]) == whole[: len(frames) - 2]).all()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "'pipe' is empty; the program that should fill it may have failed"),
        (b"this is no video\n" * 500, "'pipe' cannot be read as a video"),
    ],
)
def test_what_is_not_a_video_is_said_in_one_sentence(piped: Pipe, content: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        open_stream(piped(content))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("named", [False, True], ids=["pipe", "named pipe"])
def test_what_comes_through_a_pipe_opens_no_other_file(
    piped: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    write_video(tmp_path / "secret.mp4", frames=2)
    monkeypatch.chdir(tmp_path)  # names in such a text are taken from here
    script = b"ffconcat version 1.0\nfile secret.mp4\n"
    source: object = piped(script)
    if named:
        os.mkfifo(tmp_path / "pipe")
        threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[script], daemon=True).start()
        source = tmp_path / "pipe"
    with pytest.raises(InputError, match=r"only names other files|cannot be read as a video"):
        open_stream(source)  # type: ignore[arg-type]


def test_a_pipe_that_stalls_is_said_after_the_timeout(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.y4m", "wrapped_avframe", frames=60)
    read, write = os.pipe()
    os.write(write, path.read_bytes()[:60_000])  # and then nothing
    with io.FileIO(read) as pipe:
        frames = iter(open_stream(pipe, timeout=2))
        got = [next(frames), next(frames)]
        assert [square_x(frame.image) for frame in got] == [0, STEP]
        with pytest.raises(InputError, match="has given no frame for 2 seconds; check it, or let it take longer"):
            list(frames)
        os.close(write)


def test_a_pipe_that_gives_nothing_at_all_is_said_too() -> None:
    read, write = os.pipe()
    with io.FileIO(read) as pipe:
        with pytest.raises(InputError, match=r"has given no frame for 0\.3 seconds"):
            open_stream(pipe, timeout=0.3)
        os.close(write)


def test_a_source_that_does_not_wait_loses_its_oldest_frames() -> None:
    video = LiveVideo(moving_picture(rate=100, seconds=2) + ",realtime", "camera", waiting=5, form="lavfi")
    names: list[int] = []

    def work() -> None:
        for frame in video:
            names.append(int(frame.name))
            assert frame.time == Fraction(int(frame.name), 100), "times are those of the source"
            if len(names) % 5 == 0:
                time.sleep(0.2)  # the network at work

    with pytest.warns(InputWarning, match=r"'camera' is faster than the segmentation: \d+ of 200 frames were dropped"):
        work()
    assert video.dropped == 200 - len(names) > 0
    assert names[-1] == 199, "the newest frames are kept"
    steps = np.diff(names)
    assert (steps == 1).sum() > len(steps) / 2, "frames of a clip stay neighbours"


def test_a_source_that_waits_loses_nothing() -> None:
    video = LiveVideo(moving_picture(rate=100, seconds=1), "file", can_wait=True, waiting=3, form="lavfi")
    frames = list(video)
    assert (len(frames), video.dropped) == (100, 0)


def test_a_live_source_is_segmented_and_stopped(segmenter: Segmenter) -> None:
    video = LiveVideo(moving_picture(rate=50, seconds=3600) + ",realtime", "camera", form="lavfi")
    stream = segmenter.stream(video, "the dog", clip_length=2)
    for count, (frame, masks) in enumerate(stream):
        assert frame.image.shape == (*masks.shape[1:], 3)
        if count == 5:
            video.stop()
    assert count < 30


def test_an_address_is_read(tmp_path: Path) -> None:
    """Over a socket, as from a camera in the network."""
    content = write_video(tmp_path / "v.ts", frames=30).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(content)

        threading.Thread(target=serve, daemon=True).start()
        frames = list(open_stream(f"tcp://127.0.0.1:{port}"))
    assert [square_x(frame.image) for frame in frames[:3]] == [0, STEP, 2 * STEP]
    assert len(frames) == 30


# In a process of its own: PyAV holds Python's lock while it connects, and both ends would wait for each other.
PUBLISHER = """
import sys, time, av
from videos import square_frame
for _ in range(100):  # until somebody listens
    container = av.open(sys.argv[1], "w", format="rtsp", options={"rtsp_transport": "tcp"})
    stream = container.add_stream("mpeg4", rate=20)
    stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
    try:
        container.start_encoding()
        break
    except OSError:
        time.sleep(0.1)
for index in range(60):
    container.mux(stream.encode(av.VideoFrame.from_ndarray(square_frame(index % 10))))
    time.sleep(0.02)
"""


def test_rtsp() -> None:
    """FFmpeg can listen on either side of a connection, so that no server is needed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"rtsp://127.0.0.1:{port}/live"
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, address], cwd=Path(__file__).parent)
    try:
        listen = {"rtsp_flags": "listen", "listen_timeout": "20"}
        video = open_stream(address.replace("127", "user:secret@127", 1), options=listen, waiting=100, timeout=20)
        frames = [frame for frame, _ in zip(video, range(8), strict=False)]
        video.stop()
    finally:
        publisher.kill()
        publisher.wait()
    assert video.source == address, "passwords are not shown"
    places = [square_x(frame.image) for frame in frames]
    assert len(places) == 8
    assert STEP in np.diff(places)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/dev/video99", "There is no camera '/dev/video99'; cameras here: "),
        (
            "rtsp://user:secret@127.0.0.1:9/live",
            r"'rtsp://127\.0\.0\.1:9/live' cannot be read as a video \(.*\); check",
        ),
        ("rtsp://user:secret[@127.0.0.1:9/live", r"'rtsp://127\.0\.0\.1:9/live' cannot be read"),
        ("nothing://127.0.0.1", "cannot be read as a video"),
        ("missing.mp4", "There is no file"),
    ],
)
def test_sources_that_are_not_there(source: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        open_stream(source, timeout=20)
    assert "secret" not in str(error.value)


def test_an_address_that_stalls(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=r"has given no frame for 0\.5 seconds"):
            open_stream(f"tcp://127.0.0.1:{port}", timeout=0.5)


def test_an_address_that_stalls_after_some_frames(tmp_path: Path) -> None:
    """It is no end of the video, whatever FFmpeg's own clock makes of it."""
    content = write_video(tmp_path / "v.y4m", "wrapped_avframe", frames=60).read_bytes()[:200_000]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.sendall(content)
            done.wait(30)
            connection.close()

        done = threading.Event()
        threading.Thread(target=serve, daemon=True).start()
        video = open_stream(f"tcp://127.0.0.1:{server.getsockname()[1]}", timeout=2)
        with pytest.raises(InputError, match=r"has given no frame for 2 seconds"):
            list(video)
        done.set()


def test_what_counts_as_live() -> None:
    assert is_live("/dev/video0")
    assert is_live("rtsp://camera/1")
    assert not is_live("https://example.org/dog.mp4"), "a server waits"
    assert not is_live("dog.mp4")
    assert not is_live("-")


def test_videos_pass_through() -> None:
    video = ArrayVideo(np.zeros((2, 8, 8, 3), np.uint8))
    assert open_stream(video) is video
