"""Frames of a video file by their index: the pixels that decoding the whole file gives, without decoding it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import square_x, write_video

from sgmg.errors import InputError
from sgmg.video import VideoFrames, read_video

UNEVEN = [Fraction(i * i, 60) for i in range(30)]
LATE = [Fraction(3, 2) + Fraction(i, 20) for i in range(30)]
SEEKABLE = {
    "B-frames": {"bf": "3", "g": "10"},
    "one keyframe": {"bf": "2", "g": "250"},
    "keyframes only": {"g": "1"},
    "open groups": {"bf": "3", "g": "6", "x264opts": "open-gop=1:keyint=6:min-keyint=6:b-pyramid=normal"},
    "variable rate": {"times": UNEVEN, "bf": "2", "g": "8"},
    "a late start": {"times": LATE, "bf": "2", "g": "8"},
}


@pytest.fixture
def must_seek(monkeypatch: pytest.MonkeyPatch) -> None:
    """No falling back to decoding the whole file."""
    monkeypatch.setattr(VideoFrames, "_decode_all", lambda *_: pytest.fail("decoded from the start"))


@pytest.mark.filterwarnings("ignore:.*cut off:sgmg.errors.InputWarning")  # Matroska states the end, not the length
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("options", SEEKABLE.values(), ids=SEEKABLE)
def test_every_frame_is_the_one_that_decoding_all_gives(
    tmp_path: Path, must_seek: None, options: dict[str, str], suffix: str
) -> None:
    path = write_video(tmp_path / f"video{suffix}", frames=30, size=(72, 160), **options)  # type: ignore[arg-type]
    whole = read_video(path)
    with VideoFrames(path) as video:
        assert len(video) == len(whole) == 30
        assert video.size == (72, 160)
        for index in range(0, 30, 3):
            np.testing.assert_array_equal(video.read([index])[0], whole[index])


@pytest.mark.parametrize("indices", [[0, 0, 0, 1, 2], [29, 0, 15], [28, 29, 29, 29], list(range(30)), [9, 10, 19, 20]])
def test_frames_come_in_the_order_asked_for_and_as_often(tmp_path: Path, must_seek: None, indices: list[int]) -> None:
    with VideoFrames(write_video(tmp_path / "video.mp4", frames=30, size=(72, 160), bf="3", g="10")) as video:
        frames = video.read(indices)
    assert frames.shape == (len(indices), 72, 160, 3)
    assert [round(square_x(frame) / 4) for frame in frames] == indices


def test_a_window_decodes_only_from_the_keyframe_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "video.mp4", frames=30, size=(72, 160), bf="2", g="10", sc_threshold="0")
    with VideoFrames(path) as video:
        container, packets = video._container, []

        class Watched:
            seek = container.seek
            close = container.close

            @staticmethod
            def demux(stream: av.VideoStream) -> Iterator[av.Packet]:
                for packet in container.demux(stream):
                    packets.append(packet.pts)
                    yield packet

        monkeypatch.setattr(video, "_container", Watched)
        video.read(range(21, 24))
    assert len(packets) <= 8  # from keyframe 20 on, and what the decoder holds back for B-frames


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("video.avi", {"codec": "mpeg4", "bf": "2"}),
        ("video.mkv", {"codec": "ffv1"}),
        ("video.webm", {"codec": "libvpx"}),
    ],
    ids=["mpeg4", "ffv1", "vp8"],
)
def test_other_codecs_are_decoded_from_the_start(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path = write_video(tmp_path / name, frames=12, **options)  # type: ignore[arg-type]
    whole = read_video(path)
    with VideoFrames(path) as video:
        assert len(video) == len(whole)
        np.testing.assert_array_equal(video.read([9, 2]), whole[[9, 2]])


def test_rotated_pictures_stand_upright(tmp_path: Path, must_seek: None) -> None:
    path = write_video(tmp_path / "video.mp4", frames=6, rotation=90)
    with VideoFrames(path) as video:
        np.testing.assert_array_equal(video.read([4])[0], read_video(path)[4])


@pytest.mark.parametrize("index", [-1, 12, 10**9])
def test_a_frame_that_is_not_there_is_an_error(tmp_path: Path, index: int) -> None:
    with VideoFrames(write_video(tmp_path / "video.mp4")) as video, pytest.raises(InputError, match="12 frames"):
        video.read([3, index])


@pytest.mark.filterwarnings("ignore:.*cut off:sgmg.errors.InputWarning")
def test_of_a_truncated_file_what_is_there_can_be_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", frames=30, size=(72, 160), g="5", muxer={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    whole = read_video(path)
    assert 5 < len(whole) < 30
    with VideoFrames(path) as video:
        assert len(video) == len(whole)
        np.testing.assert_array_equal(video.read([0, len(whole) - 1]), whole[[0, -1]])
        with pytest.raises(InputError, match="cut off"):
            video.read([29])


@pytest.mark.parametrize("content", [b"", b"junk" * 100], ids=["empty", "junk"])
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "video.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"video\.mp4"):
        VideoFrames(tmp_path / "video.mp4")
    with pytest.raises(InputError, match=r"other\.mp4"):
        VideoFrames(tmp_path / "other.mp4")
