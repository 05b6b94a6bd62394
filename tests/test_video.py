"""Frames come out upright, in RGB, with their times, whatever they were stored in."""

import os
import tracemalloc
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from videos import STEP, square_frame, square_x, write_video

from sgmg.errors import InputError, InputWarning
from sgmg.video import open_video, read_video


@pytest.fixture(autouse=True)
def _losses_are_errors() -> None:
    warnings.simplefilter("error", InputWarning)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("h264.mkv", "libx264", "yuv420p"),
        ("h264.mov", "libx264", "yuv444p"),
        ("h264.ts", "libx264", "yuv420p"),
        ("hevc.mp4", "libx265", "yuv420p"),
        ("hevc-10-bit.mp4", "libx265", "yuv420p10le"),
        ("vp8.webm", "libvpx", "yuv420p"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("av1-10-bit.mkv", "libsvtav1", "yuv420p10le"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("prores.mov", "prores_ks", "yuv422p10le"),
        ("ffv1.mkv", "ffv1", "bgr0"),
        ("mjpeg.avi", "mjpeg", "yuvj420p"),
        ("animation.gif", "gif", "rgb8"),
    ],
)
def test_every_container_and_codec(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    video = open_video(write_video(tmp_path / name, codec, pix_fmt=pix_fmt, rate=10))
    frames = list(video)
    assert video.size == (72, 96)
    assert video.fps == 10
    assert len(frames) == video.frame_count == 12
    assert [frame.time for frame in frames] == [Fraction(i, 10) for i in range(12)]
    assert [frame.name for frame in frames][:2] == ["00000", "00001"]
    for index, frame in enumerate(frames):
        assert frame.image.dtype == np.uint8
        assert abs(square_x(frame.image) - STEP * index) <= 1
        assert np.abs(frame.image[6, 6].astype(int) - (230, 20, 20)).max() < 40


def test_a_video_can_be_read_again(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "v.mp4"))
    first, second = np.stack([f.image for f in video]), np.stack([f.image for f in video])
    assert (first == second).all()
    assert (read_video(tmp_path / "v.mp4") == first).all()


def test_frames_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "v.mp4", frames=80, size=(180, 360)))
    one_frame = 180 * 360 * 3
    tracemalloc.start()
    try:
        assert sum(1 for _ in video) == 80
        assert tracemalloc.get_traced_memory()[1] < 10 * one_frame
    finally:
        tracemalloc.stop()


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [Fraction(t, 30) for t in (0, 1, 2, 5, 6, 12, 13, 20)]
    video = open_video(write_video(tmp_path / "v.mp4", frames=8, times=times))
    assert [frame.time for frame in video] == times


def test_a_stamp_of_another_clock_does_not_leave_a_hole_of_hours(tmp_path: Path) -> None:
    times = [Fraction(t) for t in (0, 1, 2, 7202, 7203)]
    video = open_video(write_video(tmp_path / "v.mp4", frames=5, times=times))
    first, second, third, fourth, fifth = (frame.time for frame in video)
    assert (first, second, third) == (0, 1, 2)
    assert 2 < fourth < 3600
    assert fifth - fourth == 1


def test_matroska_does_not_round_a_constant_rate(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "v.mkv", rate=Fraction(30_000, 1001)))
    assert video.fps == Fraction(30_000, 1001)
    assert [frame.time for frame in video] == [Fraction(1001 * i, 30_000) for i in range(12)]


def test_gif_keeps_its_times(tmp_path: Path) -> None:
    images = [Image.fromarray(square_frame(i)) for i in range(3)]
    images[0].save(tmp_path / "v.gif", save_all=True, append_images=images[1:], duration=[40, 200, 100])
    frames = list(open_video(tmp_path / "v.gif"))
    assert [frame.time for frame in frames] == [0, Fraction(4, 100), Fraction(24, 100)]
    assert [square_x(frame.image) for frame in frames] == [0, STEP, 2 * STEP]


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_beside_the_picture_is_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    """A display rotation of 90 degrees is counterclockwise, like numpy's."""
    plain = read_video(write_video(tmp_path / "plain.mp4"))
    video = open_video(write_video(tmp_path / "turned.mp4", rotation=rotation))
    assert video.size == ((96, 72) if turns % 2 else (72, 96))
    assert (read_video(video) == np.rot90(plain, turns, axes=(1, 2))).all()


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_mirroring_beside_the_picture_is_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    """Mirrored left to right after the turn, as selfie cameras may store it."""
    plain = read_video(write_video(tmp_path / "plain.mp4"))
    turned = read_video(write_video(tmp_path / "turned.mp4", rotation=rotation, mirrored=True))
    assert (turned == np.rot90(plain, turns, axes=(1, 2))[:, :, ::-1]).all()


def test_odd_sizes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.webm", "libvpx-vp9", size=(71, 95))
    assert read_video(path).shape == (12, 71, 95, 3)


def test_transparency_is_composited_over_black(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.webm", "libvpx-vp9", pix_fmt="yuva420p", alpha=True, frames=4, **{"auto-alt-ref": "0"}
    )
    for index, image in enumerate(read_video(path)):
        assert abs(square_x(image) - STEP * index) <= 1
        assert image[:24].max() < 20


def test_an_animated_webp(tmp_path: Path) -> None:
    images = [Image.fromarray(square_frame(i)) for i in range(3)]
    images[0].save(tmp_path / "v.webp", save_all=True, append_images=images[1:], duration=[50, 150, 100], lossless=True)
    video = open_video(tmp_path / "v.webp")
    assert video.fps == 10
    assert [(f.time, square_x(f.image)) for f in video] == [(0, 0), (Fraction(1, 20), 4), (Fraction(1, 5), 8)]


def noise(path: Path, kept: float) -> Path:
    """An animation of six frames, of whose file only the first part is left."""
    images = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (40, 60, 3), np.uint8)) for i in range(6)]
    images[0].save(path, save_all=True, append_images=images[1:])
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    return path


@pytest.mark.parametrize(("kept", "frames"), [(0.95, 5), (0.6, 3), (0.3, 1)])
def test_an_animated_png_that_is_cut_off_gives_the_frames_that_decode(tmp_path: Path, kept: float, frames: int) -> None:
    video = open_video(noise(tmp_path / "v.png", kept))
    with pytest.warns(InputWarning, match=f"is damaged or cut off: {6 - frames} of its frames cannot be decoded"):
        assert len(list(video)) == video.frame_count == frames


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(("name", "kept"), [("v.png", 0.02), ("v.webp", 0.95), ("v.tiff", 0.6)])
def test_animations_of_which_nothing_decodes(tmp_path: Path, name: str, kept: float) -> None:
    with pytest.raises(InputError, match=rf"{name}' (can be decoded|cannot be read as an image); it may be damaged"):
        open_video(noise(tmp_path / name, kept))


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    """Results could not tell of it."""
    folder = tmp_path / "frames"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"caf\xe9.png")).touch()
    except OSError:
        pytest.skip("this system has no such names")
    for source in (folder, folder / os.fsdecode(b"caf\xe9.png")):
        with pytest.raises(InputError, match="is not valid Unicode; rename it") as error:
            open_video(source)
        str(error.value).encode()


# --- images -----------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 1, 2):
        Image.fromarray(square_frame(index)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    video = open_video(tmp_path, fps=6)
    frames = list(video)
    assert [frame.name for frame in frames] == ["frame1", "frame2", "frame9", "frame10"]
    assert [square_x(frame.image) // STEP for frame in frames] == [1, 2, 9, 10]
    assert [frame.time for frame in frames] == [Fraction(i, 6) for i in range(4)]
    assert (video.fps, video.frame_count) == (6, 4)


def test_names_that_differ_only_in_their_ending_stay_apart(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        Image.fromarray(square_frame(0)).save(tmp_path / name)
    assert [frame.name for frame in open_video(tmp_path)] == ["a.jpg", "a.png"]


def test_images_of_every_mode(tmp_path: Path) -> None:
    Image.fromarray(square_frame(3, alpha=True)).save(tmp_path / "1.png")
    Image.fromarray(np.full((72, 96), 40_000, np.uint16)).save(tmp_path / "2.png")
    Image.fromarray(square_frame(3)).convert("P").save(tmp_path / "3.png")
    Image.fromarray(square_frame(3)).convert("CMYK").save(tmp_path / "4.jpg")
    transparent, sixteen_bits, palette, cmyk = read_video(tmp_path)
    assert transparent[:30].max() == 0
    assert square_x(transparent) == square_x(palette) == 12
    assert (sixteen_bits == round(40_000 / 65_535 * 255)).all()
    assert abs(square_x(cmyk) - 12) <= 1


def test_exif_orientation_of_a_single_image(tmp_path: Path) -> None:
    image = Image.fromarray(square_frame(0))
    exif = image.getexif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    image.save(tmp_path / "photo.png", exif=exif)
    assert (read_video(tmp_path / "photo.png")[0] == np.rot90(square_frame(0), -1)).all()


def test_damaged_images_are_left_out_and_reported(tmp_path: Path) -> None:
    for index in range(4):
        Image.fromarray(square_frame(index)).save(tmp_path / f"{index}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:100])
    video = open_video(tmp_path)
    with pytest.warns(InputWarning, match=r"1 of 4 images .* left out: 2\.png"):
        assert [frame.name for frame in video] == ["0", "1", "3"]
    assert len(video.problems) == 1


def test_images_of_different_sizes_are_refused_before_any_work(tmp_path: Path) -> None:
    Image.fromarray(square_frame(0)).save(tmp_path / "0.png")
    Image.fromarray(square_frame(0, size=(72, 98))).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"'1\.png' is 98x72 where the first .* is 96x72"):
        open_video(tmp_path)


# --- arrays -----------------------------------------------------------------------------------------------


def test_arrays_and_tensors_in_either_layout() -> None:
    expected = np.stack([square_frame(i) for i in range(5)])
    tensor = torch.from_numpy(expected).permute(0, 3, 1, 2)
    for source in (
        expected,
        tensor,
        tensor.float() / 255,
        (tensor / 255.0).numpy().astype(np.float64),
        torch.from_numpy(expected),
        list(expected),
        [Image.fromarray(image) for image in expected],
    ):
        assert (read_video(source) == expected).all()
    video = open_video(expected, fps=29.97)
    assert video.fps == Fraction(2997, 100)
    assert video.size == (72, 96)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((4, 20, 30), np.uint8), r"\(4, 20, 30\) is not a video"),
        (np.zeros((0, 20, 30, 3), np.uint8), "0 frames"),
        (np.zeros((4, 20, 30, 3), np.int64), "int64"),
        (np.full((4, 20, 30, 3), 7.0), r"must lie in \[0, 1\]"),
        (np.full((4, 20, 30, 3), np.nan), r"must lie in \[0, 1\]"),
        ([], "empty"),
        ([np.zeros((2, 2, 3)), np.zeros((3, 2, 3))], "differ in size"),
        (3, "A int is not a video"),
    ],
)
def test_arrays_that_are_no_video(array: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_video(array)  # type: ignore[arg-type]


# --- what cannot be read, or only in part -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.avi"])
def test_a_truncated_file_gives_what_decodes_and_reports_the_loss(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    muxer = {"movflags": "+faststart"} if name.endswith("mp4") else {}
    path = write_video(tmp_path / name, codec, frames=48, muxer=muxer, g="6")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    video = open_video(path)
    with pytest.warns(InputWarning, match=r"is cut off: (\d+) frames were decoded and about \d+ of 48 are lost"):
        frames = list(video)
    assert 5 < len(frames) < 40
    assert [square_x(frame.image) for frame in frames[:5]] == [STEP * i for i in range(5)]
    assert len(list(video)) == len(frames), "and the second time without another warning"
    assert len(video.problems) == 1


def test_whole_files_report_no_loss(tmp_path: Path) -> None:
    """Sound that is longer than the picture, and frames that an edit list hides, are no loss."""
    for name, sound in (("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.webm", None)):
        codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
        video = open_video(write_video(tmp_path / name, codec, sound=sound))
        assert len(list(video)) == 12
        assert not video.problems


def test_bytes_damaged_in_the_middle_are_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", "ffv1", pix_fmt="bgr0", frames=24, slicecrc="1")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with pytest.warns(InputWarning, match="frames were decoded"):
        frames = list(open_video(path))
    assert 12 <= len(frames) < 24


def _only_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        container.start_encoding()


def _without_index(path: Path) -> None:
    write_video(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("missing.mp4", lambda path: None, "There is no file or folder"),
        ("empty.mp4", lambda path: path.write_bytes(b""), "is empty"),
        ("text.mp4", lambda path: path.write_text("no video " * 100), "cannot be read as a video"),
        ("text.txt", lambda path: path.write_text("no video " * 100), "no video stream"),
        ("sound.m4a", _only_sound, "no video stream"),
        ("zero.avi", _no_frames, "No frame of"),
        ("index.mp4", _without_index, "cut off before its index"),
        ("folder", lambda path: path.mkdir(), "holds no images"),
        ("image.png", lambda path: path.write_bytes(b"no image"), "cannot be read as an image"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path, name: str, make, sentence: str) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=sentence) as error:
        open_video(tmp_path / name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_a_songs_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 72, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(square_frame(0))))
        container.mux(cover.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.int16), format="s16p", layout="mono")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(InputError, match="no video stream"):
        open_video(path)
