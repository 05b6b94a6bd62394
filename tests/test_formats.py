"""Whatever a segmentation is saved as, tools made elsewhere find the same masks in it."""

import gc
import json
import subprocess
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO
from videos import write_video

from sgmg import Segmentation
from sgmg.errors import InputError
from sgmg.formats import FORMATS, choose_formats, effects
from sgmg.formats.polygons import FIDELITY, outlines_of, polygon_of
from sgmg.video import ArrayVideo, Frame, open_video

SIZE = (180, 240)
FRAMES = 5
RING, SQUARE, NASTY = 0, 1, 2
EXPRESSIONS = ["a ring and a crumb", "the square", '</track> the "dog\'s" <b>&amp;</b>: 犬']
READERS = Path(__file__).parents[1] / ".venv-readers" / "bin" / "python"


def found_masks() -> np.ndarray:
    """(3, T, H, W): a ring beside a crumb, a square that crosses it and leaves, and a line one pixel wide."""
    masks = np.zeros((3, FRAMES, *SIZE), bool)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for index in range(FRAMES):
        distance = np.hypot(x - 80 - 5 * index, y - 90)
        masks[RING, index] = (distance < 60) & (distance > 25)
        masks[RING, index, 20:32, 200:212] = True
        masks[SQUARE, index, 60:110, 100 + 20 * index : 150 + 20 * index] = True
        masks[NASTY, index, np.arange(30), np.arange(30) + index] = True
    masks[SQUARE, -1] = False
    return masks


def textured(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame of light and dark brown tiles, which every effect changes and every codec keeps."""
    tiles = np.random.default_rng(7).integers(40, 240, (size[0] // 10 + 1, size[1] // 10 + 2))
    light = np.roll(tiles.repeat(10, axis=0).repeat(10, axis=1), -2 * index, axis=1)[: size[0], : size[1]]
    return (light[..., None] * (1, 0.7, 0.4)).astype(np.uint8)


@pytest.fixture
def segmentation() -> Segmentation:
    video = ArrayVideo(np.stack([textured(index) for index in range(FRAMES)]), fps=Fraction(30_000, 1001))
    scores = np.tile([[0.5], [0.75], [0.25]], (1, FRAMES))
    result = Segmentation.from_masks(found_masks(), EXPRESSIONS, scores, video)
    result.source = "holiday/Dog 1.mp4"
    return result


def iou(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def seen_masks() -> dict[tuple[int, int], np.ndarray]:
    """Masks that are not empty, by expression and frame."""
    masks = found_masks()
    return {(e, t): masks[e, t] for e in range(3) for t in range(FRAMES) if masks[e, t].any()}


# --- annotations ------------------------------------------------------------------------------------------


def test_pycocotools_reads_coco(segmentation: Segmentation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = segmentation.save(tmp_path / "out", format="coco") / "coco"
    data = COCO(place / "annotations" / "instances_default.json")
    assert [data.cats[index + 1]["name"] for index in range(3)] == EXPRESSIONS
    read = {}
    for annotation in data.loadAnns(data.getAnnIds()):
        mask = data.annToMask(annotation).astype(bool)
        rows, columns = np.nonzero(mask)
        x, y = columns.min(), rows.min()
        assert annotation["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        assert annotation["area"] == mask.sum()
        read[annotation["category_id"] - 1, annotation["image_id"] - 1] = mask
    assert_same(read, seen_masks())
    for image in data.loadImgs(data.getImgIds()):
        picture = np.asarray(Image.open(place / "images" / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)
        assert np.abs(picture.astype(int) - textured(image["id"] - 1)).mean() < 6


def test_supervision_reads_coco(segmentation: Segmentation, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    place = segmentation.save(tmp_path / "out", format="coco") / "coco"
    data = supervision.DetectionDataset.from_coco(
        str(place / "images"), str(place / "annotations" / "instances_default.json"), force_masks=True
    )
    assert data.classes == EXPRESSIONS
    assert_same(detections(data), seen_masks())


def test_supervision_reads_yolo(segmentation: Segmentation, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    place = segmentation.save(tmp_path / "out", format="yolo") / "yolo"
    data = supervision.DetectionDataset.from_yolo(
        str(place / "images" / "train"), str(place / "labels" / "train"), str(place / "data.yaml"), force_masks=True
    )
    assert data.classes == EXPRESSIONS
    read, wanted = detections(data), seen_masks()
    assert read.keys() == wanted.keys()
    for (expression, frame), mask in wanted.items():
        # It draws outlines with OpenCV, whose pixels on the line belong to the object.
        assert iou(read[expression, frame], mask) > (0.25 if expression == NASTY else 0.93)
        assert read[expression, frame].sum() >= mask.sum()


def test_trackeval_reads_youtube_vis(segmentation: Segmentation, tmp_path: Path) -> None:
    datasets = pytest.importorskip("trackeval.datasets", exc_type=ImportError)
    place = segmentation.save(tmp_path / "out", format="youtube-vis") / "youtube-vis"
    ground_truth = tmp_path / "youtube_vis_train"
    ground_truth.mkdir()
    (place / "annotations.json").rename(ground_truth / "train.json")
    (tmp_path / "none" / "youtube_vis_train").mkdir(parents=True)
    folders = {"GT_FOLDER": f"{tmp_path}/", "TRACKERS_FOLDER": f"{tmp_path}/none/"}
    reader = datasets.YouTubeVIS({**folders, "SPLIT_TO_EVAL": "train", "TRACKERS_TO_EVAL": [], "PRINT_CONFIG": False})
    assert reader.class_list == EXPRESSIONS
    assert reader.seq_list == ["dog-1"]
    raw = reader._load_raw_file(None, "dog-1", is_gt=True)
    read = {
        (expression - 1, frame): coco.decode(run_lengths).astype(bool)
        for frame in range(FRAMES)
        for expression, run_lengths in zip(raw["gt_ids"][frame], raw["gt_dets"][frame], strict=True)
    }
    assert_same(read, seen_masks())
    files = reader.gt_data["videos"][0]["file_names"]
    assert all((place / "JPEGImages" / file).is_file() for file in files)


def test_json_and_pillow_read_ref_youtube_vos(segmentation: Segmentation, tmp_path: Path) -> None:
    place = segmentation.save(tmp_path / "out", format="ref-youtube-vos") / "ref-youtube-vos"
    lists = json.loads((place / "meta_expressions" / "train" / "meta_expressions.json").read_text(encoding="utf-8"))
    video = lists["videos"]["dog-1"]
    assert [entry["exp"] for entry in video["expressions"].values()] == EXPRESSIONS
    for index, frame in enumerate(video["frames"]):
        labels = np.array(Image.open(place / "train" / "Annotations" / "dog-1" / f"{frame}.png"))
        assert Image.open(place / "train" / "JPEGImages" / "dog-1" / f"{frame}.jpg").size == SIZE[::-1]
        for expression, entry in enumerate(video["expressions"].values()):
            assert ((labels == int(entry["obj_id"])) == without_better(expression, index)).all()


def test_a_result_can_be_trained_on(segmentation: Segmentation, tmp_path: Path) -> None:
    from sgmg.data.ref_youtube_vos import RefYouTubeVOS

    data = RefYouTubeVOS(segmentation.save(tmp_path / "out", format="ref-youtube-vos") / "ref-youtube-vos", "train")
    assert [sample.expression for sample in data] == EXPRESSIONS
    assert (data[SQUARE].masks.numpy() == found_masks()[SQUARE]).all()


def without_better(expression: int, frame: int) -> np.ndarray:
    """A mask without what the square, which scores best, or then the ring takes of it."""
    better = {SQUARE: [], RING: [SQUARE], NASTY: [SQUARE, RING]}[expression]
    return found_masks()[expression, frame] & ~found_masks()[better, frame].any(axis=0)


@pytest.fixture
def datumaro(tmp_path: Path) -> Callable[[Path, str], dict[tuple[str, str], np.ndarray]]:
    """Reads a dataset in an environment of its own, which `make test` makes: masks by frame and label."""
    if not READERS.exists():
        pytest.skip("needs datumaro in .venv-readers: make install-readers")

    def read(path: Path, form: str) -> dict[tuple[str, str], np.ndarray]:
        script, output = Path(__file__).with_name("read_with_datumaro.py"), tmp_path / "read.npz"
        words = [READERS, script, path, form, *SIZE, output]
        subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=300)
        with np.load(output) as masks:
            return {tuple(key): masks[f"mask{index}"] for index, key in enumerate(masks["keys"].tolist())}

    return read


def test_datumaro_reads_cvat(segmentation: Segmentation, tmp_path: Path, datumaro) -> None:
    place = segmentation.save(tmp_path / "out", format="cvat") / "cvat.xml"
    read = {
        (EXPRESSIONS.index(label), int(frame.removeprefix("frame_"))): mask
        for (frame, label), mask in datumaro(place, "cvat").items()
    }
    assert read.keys() == seen_masks().keys(), "the square is not there once it has left"
    for key, mask in seen_masks().items():
        assert iou(read[key], mask) >= FIDELITY


def test_datumaro_reads_coco(segmentation: Segmentation, tmp_path: Path, datumaro) -> None:
    place = segmentation.save(tmp_path / "out", format="coco") / "coco"
    read = {(EXPRESSIONS.index(label), int(frame)): mask for (frame, label), mask in datumaro(place, "coco").items()}
    assert_same(read, seen_masks())


def test_cvat_labels_are_short_distinct_and_writable(tmp_path: Path) -> None:
    from defusedxml import ElementTree

    texts = ["x" * 100, "x" * 100, "a\x00b\x1b", " two\nlines ", "ab"]
    segmentation = Segmentation.from_masks(np.ones((5, 1, 8, 8), bool), texts)
    root = ElementTree.parse(segmentation.save(tmp_path / "out", format="cvat") / "cvat.xml").getroot()
    labels = [track.get("label") for track in root.iter("track")]
    assert labels == ["x" * 63 + "…", "x" * 59 + "… (2)", "ab", "two lines", "ab (2)"]
    assert labels == [name.text for name in root.iter("name")][1:]


def test_yaml_reads_any_name_of_a_class(tmp_path: Path) -> None:
    import yaml

    texts = ['😀 "dog": {a}, [b] # c', "- x\ty\x85\x07", "yes", "1"]
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    segmentation = Segmentation.from_masks(np.ones((4, 1, 8, 8), bool), texts, video=frames)
    content = yaml.safe_load(
        (segmentation.save(tmp_path / "out", format="yolo") / "yolo" / "data.yaml").read_text("utf-8")
    )
    assert content["names"] == {0: texts[0], 1: "- x y", 2: "yes", 3: "1"}


# --- polygons ---------------------------------------------------------------------------------------------


def filled(polygon: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return coco.decode(coco.frPyObjects([polygon.reshape(-1).tolist()], *size)[0]).astype(bool)


@settings(max_examples=100, deadline=None)
@given(st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda size: arrays(np.bool_, size)))
def test_a_polygon_is_its_mask_with_all_holes_and_parts(mask: np.ndarray) -> None:
    polygon = polygon_of(mask)
    if polygon is None:
        assert not mask.any()
    else:
        assert iou(filled(polygon, mask.shape), mask) >= FIDELITY


def test_outlines_know_holes_from_parts() -> None:
    parts = outlines_of(found_masks()[RING, 0], tolerance=0.5)
    assert sorted(len(holes) for _, holes in parts) == [0, 1]
    corners = sum(len(ring) for outline, holes in parts for ring in (outline, *holes))
    assert corners < 120, "a circle of 60 pixels needs no corner at each of them"


# --- images and arrays ------------------------------------------------------------------------------------


def test_pillow_reads_davis_palettes(segmentation: Segmentation, tmp_path: Path) -> None:
    place = segmentation.save(tmp_path / "out", format="davis") / "davis" / "dog-1"
    files = sorted(place.iterdir())
    assert [file.name for file in files] == [f"{index:05d}.png" for index in range(FRAMES)]
    for index, file in enumerate(files):
        image = Image.open(file)
        assert image.mode == "P"
        assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        for expression in range(3):
            assert ((np.array(image) == expression + 1) == without_better(expression, index)).all()


def test_more_objects_than_a_palette_has_are_refused(tmp_path: Path) -> None:
    segmentation = Segmentation.from_masks(np.zeros((256, 1, 4, 4), bool), ["a thing"] * 256)
    with pytest.raises(InputError, match="255 objects and not 256"):
        segmentation.save(tmp_path / "out", format="davis")
    assert not (tmp_path / "out").exists()


def test_numpy_reads_npz(segmentation: Segmentation, tmp_path: Path) -> None:
    with np.load(segmentation.save(tmp_path / "out", format="npz") / "masks.npz", allow_pickle=False) as arrays:
        assert (arrays["masks"] == found_masks()).all()
        assert (arrays["boxes"] == segmentation.boxes).all()
        assert (arrays["frame_scores"] == segmentation.frame_scores).all()
        assert arrays["times"] == pytest.approx(segmentation.times)
        assert arrays["frame_names"].tolist() == segmentation.frame_names
        assert arrays["expressions"].tolist() == EXPRESSIONS


def test_pillow_reads_cutouts_as_png(segmentation: Segmentation, tmp_path: Path) -> None:
    place = segmentation.save(tmp_path / "out", format="cutout-png") / "cutout-png" / "0-a-ring-and-a-crumb"
    for index, file in enumerate(sorted(place.iterdir())):
        image = np.array(Image.open(file))
        mask = found_masks()[RING, index]
        assert (image[..., 3] == mask * 255).all()
        assert (image[mask, :3] == textured(index)[mask]).all()
        assert (image[~mask] == 0).all(), "nothing of what is cut away is in the file"


# --- videos -----------------------------------------------------------------------------------------------


def transparent_frames(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """All frames of a file as FFmpeg decodes them, (H, W, 4), and what it tells of its streams."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codecs = [stream.codec_context.name for stream in container.streams]
        # FFmpeg's own VP9 decoder knows no transparency; libvpx does.
        decoder = av.CodecContext.create("libvpx-vp9", "r") if path.suffix == ".webm" else stream.codec_context
        for packet in container.demux(stream):
            for frame in decoder.decode(packet if packet.size else None):
                assert "yuva" in frame.format.name
                frames.append(frame.to_ndarray(format="rgba"))
    return frames, codecs


@pytest.mark.parametrize(
    ("form", "suffix", "codec", "sound"),
    [("cutout-webm", "webm", "vp9", "opus"), ("cutout-prores", "mov", "prores", "aac")],
)
def test_ffmpeg_reads_cutouts_with_their_transparency(
    tmp_path: Path, form: str, suffix: str, codec: str, sound: str
) -> None:
    """Of an odd size, with sound, and with the frame rate of American television."""
    size, rate = (71, 95), Fraction(30_000, 1001)
    even = write_video(tmp_path / "in.mp4", frames=12, rate=rate, sound="aac")
    source = open_video(even)
    source.size = size
    masks = np.zeros((2, 12, *size), bool)
    masks[0, :, 8:50, 10:60] = masks[1, 3:, 20:60, 30:90] = True
    masks[0, :, 20:30, 20:30] = False

    class Cropped(type(source)):  # type: ignore[misc]
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                yield Frame(frame.image[: size[0], : size[1]], frame.time, frame.duration, frame.name)

    source.__class__ = Cropped
    place = Segmentation.from_masks(masks, ["one", "other"], video=source).save(tmp_path / "out", format=form) / form
    for index, name in enumerate(("0-one", "1-other")):
        frames, codecs = transparent_frames(place / f"{name}.{suffix}")
        assert sorted(codecs) == sorted([codec, sound])
        written = open_video(place / f"{name}.{suffix}")
        assert (written.fps, written.has_sound, len(frames)) == (rate, True, 12)
        assert [frame.time for frame in written] == [frame.time for frame in open_video(even)]
        for frame, mask, original in zip(frames, masks[index], source, strict=True):
            assert frame.shape[:2] == size
            assert ((frame[..., 3] >= 128) == mask).mean() > 0.999
            if suffix == "mov":
                assert ((frame[..., 3] == 255) == mask).all(), "lossless"
            quiet = mask.copy()
            quiet[50:] = False  # below is noise, which VP9 smooths
            if quiet.any():
                assert np.abs(frame[quiet][:, :3].astype(int) - original.image[quiet]).mean() < 4
            far = ~effects.grown(mask, 16)
            assert frame[far][:, :3].mean() < 3, "what is far from the object is not hidden, but gone"


@pytest.mark.parametrize("name", ["blur", "pixelate", "blur-background", "pixelate-background", "grey-background"])
def test_effects_change_what_they_say_and_nothing_else(segmentation: Segmentation, tmp_path: Path, name: str) -> None:
    video = open_video(segmentation.save(tmp_path / "out", format=name) / f"{name}.mp4")
    assert video.fps == segmentation.fps
    for index, frame in enumerate(video):
        original = textured(index).astype(int)
        change = np.abs(frame.image - original).max(axis=2)
        objects = found_masks()[:, index].any(axis=0)
        changed = ~objects if "background" in name else objects
        near = 0 if "background" in name else effects.block_side(SIZE)
        kept = ~effects.grown(changed, near + 3)  # H.264 mixes colours over a few pixels
        assert change[kept].mean() < 8
        assert change[changed].mean() > 15
        if name == "grey-background":
            outside = ~effects.grown(objects, 3)
            assert np.ptp(frame.image[outside].astype(int), axis=1).mean() < 4


def test_pixelation_hides_all_detail_and_the_outline() -> None:
    image = textured(0)
    mask = found_masks()[RING, 0]
    side = effects.block_side(SIZE)
    hidden = effects.replaced(image, effects.whole_blocks(mask), effects.pixelated(image))
    for y in range(0, SIZE[0], side):
        for x in range(0, SIZE[1], side):
            block = hidden[y : y + side, x : x + side]
            if mask[y : y + side, x : x + side].any():
                assert (block == block[0, 0]).all()
            else:
                assert (block == image[y : y + side, x : x + side]).all()


@pytest.mark.parametrize("effect", [effects.blurred, effects.pixelated])
def test_a_sharp_object_throws_no_halo(effect: Callable[..., np.ndarray]) -> None:
    image = np.full((*SIZE, 3), (20, 120, 40), np.uint8)
    objects = found_masks()[SQUARE, 0]
    image[objects] = (255, 0, 255)
    background = effect(image, ~objects)
    assert np.abs(background[~objects].astype(int) - (20, 120, 40)).max() <= 3


@pytest.mark.parametrize("by", [0, 1, 2, 3, 10, 300])
def test_growing_reaches_as_far_as_it_says(by: int) -> None:
    mask = np.zeros((40, 50), bool)
    mask[20, 30] = True
    y, x = np.mgrid[:40, :50]
    assert (effects.grown(mask, by) == (np.maximum(abs(y - 20), abs(x - 30)) <= by)).all()


# --- all of them ------------------------------------------------------------------------------------------


def test_all_formats_at_once(segmentation: Segmentation, tmp_path: Path) -> None:
    out = segmentation.save(tmp_path / "out", format=list(FORMATS))
    assert {path.name for path in out.iterdir()} == {form.place for form in FORMATS.values()} | {"result.json"}
    files = json.loads((out / "result.json").read_text(encoding="utf-8"))["files"]
    assert files == {name: form.place for name, form in FORMATS.items()}


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 400)])
def test_tiny_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    for count, masks in enumerate((np.zeros((1, 1, *size), bool), np.ones((1, 1, *size), bool))):
        segmentation = Segmentation.from_masks(masks, ["all"], video=np.zeros((1, *size, 3), np.uint8))
        segmentation.save(tmp_path / str(count), format=list(FORMATS))


def test_formats_that_need_no_frames_never_look_for_them(segmentation: Segmentation, tmp_path: Path) -> None:
    segmentation.video = None
    for form in FORMATS.values():
        if form.needs_frames:
            with pytest.raises(InputError, match=f"not at hand any more; set `video` to save {form.name}"):
                segmentation.save(tmp_path / form.name, format=form.name)
            assert not (tmp_path / form.name).exists()
        else:
            segmentation.save(tmp_path / form.name, format=form.name)


def test_names_of_formats() -> None:
    assert [form.name for form in choose_formats(["coco", "yolo", "coco"])] == ["coco", "yolo"]
    with pytest.raises(InputError, match="no format 'mpeg'; choose from overlay, "):
        choose_formats("mpeg")
    with pytest.raises(InputError, match="no format to save as"):
        choose_formats([])


class Watched(ArrayVideo):
    """Counts how many of its frames are in memory at the same time."""

    def __init__(self, length: int) -> None:
        super().__init__(np.zeros((1, 48, 64, 3), np.uint8))
        self.length, self.alive, self.most = length, 0, 0

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            image = textured(index, (48, 64)).copy()
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(image, self._forget)
            yield Frame(image, index / self.fps, 1 / self.fps, f"{index:05d}")
            del image

    def _forget(self) -> None:
        self.alive -= 1


def test_no_format_keeps_frames(tmp_path: Path) -> None:
    gc.collect()
    video = Watched(40)
    masks = np.zeros((1, 40, 48, 64), bool)
    masks[:, :, 10:30, 10:30] = True
    Segmentation.from_masks(masks, ["a"], video=video).save(tmp_path / "out", format=list(FORMATS))
    assert video.most <= 3


def detections(data) -> dict[tuple[int, int], np.ndarray]:  # type: ignore[no-untyped-def]
    """Masks of a supervision dataset by class and frame."""
    read = {}
    for path, _, found in data:
        for index, mask in zip(found.class_id, found.mask, strict=True):
            read[int(index), int(Path(path).stem)] = mask
    return read


def assert_same(read: dict[tuple[int, int], np.ndarray], wanted: dict[tuple[int, int], np.ndarray]) -> None:
    assert read.keys() == wanted.keys()
    for key, mask in wanted.items():
        np.testing.assert_array_equal(read[key], mask)
