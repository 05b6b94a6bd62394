"""Frames become H.264 that browsers play, with their source's timing, size and sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import square_frame, square_x, write_video

from sgmg.recording import VideoRecording
from sgmg.video import Video, open_video


def copy(video: Video, path: Path) -> Video:
    with VideoRecording(path, like=video) as recording:
        for frame in video:
            recording.write(frame.image, frame.time, frame.duration)
    return open_video(path)


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """(seconds after the first frame of the picture, bytes) of every packet."""
    start = float(open_video(path).sound_start)
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(float(p.pts * p.time_base) - start, bytes(p)) for p in container.demux(stream) if p.size]


def test_h264_that_browsers_play(tmp_path: Path) -> None:
    source = open_video(write_video(tmp_path / "in.webm", "libvpx-vp9", rate=Fraction(30_000, 1001)))
    result = copy(source, tmp_path / "out.mp4")
    assert (result.size, result.fps, result.frame_count) == (source.size, source.fps, 12)
    assert [f.time for f in result] == [f.time for f in source]
    for before, after in zip(source, result, strict=True):
        assert square_x(before.image) == square_x(after.image)
        # the floor is noise, which no codec keeps
        assert np.abs(before.image[:52].astype(int) - after.image[:52]).mean() < 3
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "players can start before they have it all"


def test_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    times = [Fraction(t, 30) for t in (0, 1, 2, 5, 6, 12, 13, 20)]
    source = open_video(write_video(tmp_path / "in.mp4", frames=8, times=times))
    assert [frame.time for frame in copy(source, tmp_path / "out.mp4")] == times


def test_an_odd_size_grows_by_a_repeated_row_and_column(tmp_path: Path) -> None:
    source = open_video(np.stack([square_frame(i, size=(71, 95)) for i in range(3)]))
    result = copy(source, tmp_path / "out.mp4")
    assert result.size == (72, 96)
    image = next(iter(result)).image.astype(int)
    assert np.abs(image[:50, 95] - image[:50, 94]).max() <= 8


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 400)])
def test_tiny_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    result = copy(open_video(np.full((2, *size, 3), 128, np.uint8)), tmp_path / "out.mp4")
    assert len(list(result)) == 2


def test_rotated_video_comes_out_upright_without_rotation(tmp_path: Path) -> None:
    source = open_video(write_video(tmp_path / "in.mp4", rotation=90))
    result = copy(source, tmp_path / "out.mp4")
    assert result.size == source.size == (96, 72)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_colours_keep_their_meaning(tmp_path: Path) -> None:
    """HD video (BT.709) stays tagged, and converted, as such."""
    tags = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
    source = open_video(write_video(tmp_path / "in.mkv", **tags))
    assert source.colour.matrix == 1
    result = copy(source, tmp_path / "out.mp4")
    assert result.colour == source.colour
    before, after = (next(iter(video)).image.astype(int) for video in (source, result))
    assert np.abs(before[:52] - after[:52]).mean() < 3


@pytest.mark.parametrize(
    ("name", "sound"), [("in.mp4", "aac"), ("in.mkv", "libopus"), ("in.mkv", "libmp3lame"), ("in.ts", "aac")]
)
def test_sound_that_browsers_play_is_copied_in_step(tmp_path: Path, name: str, sound: str) -> None:
    source = open_video(write_video(tmp_path / name, sound=sound, frames=24))
    assert source.has_sound
    copy(source, tmp_path / "out.mp4")
    before, after = packets(tmp_path / name, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert len(before) == len(after) > 20
    assert before[5][1].endswith(after[5][1]), "the same bytes; a transport stream adds a header to each"
    assert after[5][0] == pytest.approx(before[5][0], abs=0.002)


@pytest.mark.parametrize(("name", "sound"), [("in.mkv", "ac3"), ("in.mov", "pcm_s16le"), ("in.avi", "pcm_s16le")])
def test_other_sound_becomes_aac_in_step(tmp_path: Path, name: str, sound: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    source = open_video(write_video(tmp_path / name, codec, sound=sound, frames=24))
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate) == ("aac", 48_000)
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(stream)])
    assert len(samples) == pytest.approx(2 * 48_000, abs=4096)
    assert np.abs(np.fft.rfft(samples)).argmax() == pytest.approx(440 * len(samples) / 48_000, abs=2)


def test_an_error_while_writing_is_not_hidden_by_closing(tmp_path: Path) -> None:
    source = open_video(write_video(tmp_path / "in.mp4", sound="aac"))

    def write_and_fail() -> None:
        with VideoRecording(tmp_path / "out.mp4", like=source) as recording:
            recording.write(square_frame(0), Fraction(0), Fraction(1, 12))
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        write_and_fail()


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    source = open_video(np.stack([square_frame(i, size=(144, 176)) for i in range(20)]))
    for name in ("a.mp4", "b.mp4"):
        copy(source, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
