"""Reading A2D-Sentences, from the raw files and from cached lists, whole and broken."""

import csv
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sgmg.data.a2d import A2DSentences
from sgmg.data.sampling import training_clip
from sgmg.data.synthetic import KINDS, SyntheticConfig, SyntheticVideos
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.video import read_video

h5py = pytest.importorskip("h5py")

CONFIG = SyntheticConfig(size=(64, 98), length=9, objects=(2, 3), expressions=4)
GENERATED = replace(CONFIG, kinds=tuple(kind for kind in KINDS if kind != "absent"), absent_share=0.0)
VIDEOS = 5  # four to train on; 000000 and 000003 have one instance


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a2d") / "data"
    write_videos(root, CONFIG, seed=3, count=VIDEOS, layout="a2d")
    for path in root.glob("a2d_sentences_single_frame_*.json"):
        path.unlink()  # most tests are about the raw files
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def write_cached(root: Path, split: str, rows: object) -> None:
    (root / f"a2d_sentences_single_frame_{split}_annotations.json").write_text(json.dumps(rows))


def annotation(root: Path, entry: object) -> Path:
    return A2DSentences(root).annotation_path(entry)  # type: ignore[arg-type]


def test_samples_are_windows_around_each_annotated_frame_that_holds_the_instance(written: Path) -> None:
    data = A2DSentences(written, "train", window=5)
    layout = written / "text_annotations" / "a2d_annotation_with_instances"
    assert {entry.video for entry in data.entries} == {f"{index:06d}" for index in range(4)}
    assert len(data) == sum(len(h5py.File(path)["instance"]) for path in layout.glob("00000[0-3]/*.h5"))

    generated = SyntheticVideos(GENERATED, 3).generate(1)
    whole = read_video(written / "Release" / "CLIPS320" / "000001.mp4")
    entries = [entry for entry in data.entries if entry.video == "000001"]
    assert len({entry.instance for entry in entries}) > 1
    for entry in entries:
        sample = data.sample(entry)
        assert sample.frames.shape == (5, 3, 64, 98)
        annotated = 0 if entry.frame == 1 else 2  # the first, where the window repeats the frame
        assert sample.annotated == [annotated]
        assert sample.expression_id == f"v_000001_f_{entry.frame}_i_{entry.instance}"
        indices = [min(max(entry.frame - 1 + step, 0), 8) for step in range(-2, 3)]
        assert sample.frame_names == [f"{index + 1:05d}" for index in indices]
        np.testing.assert_array_equal(sample.frames.permute(0, 2, 3, 1).numpy(), whole[indices])
        np.testing.assert_array_equal(
            sample.masks[annotated].numpy(), generated.masks[entry.frame - 1] == entry.instance
        )
        assert sample.present.nonzero().flatten().tolist() == [annotated]
        assert sample.expression in {expression.text for expression in generated.expressions}


def test_the_axis_of_instances_is_missing_where_there_is_one(written: Path) -> None:
    data = A2DSentences(written)
    shapes = {len(h5py.File(data.annotation_path(entry))["reMask"].shape) for entry in data.entries}
    assert shapes == {2, 3}
    for sample in data:
        (annotated,) = sample.annotated  # type: ignore[misc]
        assert sample.masks[annotated].any()
        assert sample.boxes[annotated, 2] > sample.boxes[annotated, 0]


def test_the_copied_row_and_missed_videos_are_dropped(written: Path) -> None:
    text = written / "text_annotations"
    rows = list(csv.reader((text / "a2d_annotation.txt").open()))
    assert any(row[1] == "1 (copy)" for row in rows)
    missed = (text / "a2d_missed_videos.txt").read_text().split()
    assert missed
    assert missed[0] in {row[0] for row in rows}
    entries = [*A2DSentences(written).entries, *A2DSentences(written, "test").entries]
    assert not {entry.video for entry in entries} & set(missed)
    assert len({entry.id for entry in entries}) == len(entries)


@pytest.mark.parametrize("split", ["train", "test"])
def test_generated_cached_lists_are_those_of_the_raw_files(written: Path, tmp_path: Path, split: str) -> None:
    write_videos(tmp_path / "data", CONFIG, seed=3, count=VIDEOS, layout="a2d")
    data = A2DSentences(tmp_path / "data", split)
    assert data.list_file.name == f"a2d_sentences_single_frame_{split}_annotations.json"
    assert data.entries == A2DSentences(written, split).entries


def test_cached_lists_stand_for_the_raw_files(root: Path) -> None:
    raw = A2DSentences(root, "test").entries
    assert raw
    write_cached(root, "test", [[entry.query, entry.video, entry.frame, entry.instance] for entry in raw])
    for name in ("a2d_annotation.txt", "a2d_missed_videos.txt"):
        (root / "text_annotations" / name).unlink()
    (root / "Release" / "videoset.csv").unlink()
    data = A2DSentences(root, "test", window=1)
    assert data.entries == raw
    assert data[0].frames.shape[0] == 1
    assert data[0].masks.any()


@pytest.mark.parametrize("name", ["CLIPS320H", "clips320H"])
def test_other_names_of_the_folder_of_videos(root: Path, name: str) -> None:
    shutil.rmtree(root / "Release" / "clips320H")
    (root / "Release" / "CLIPS320").rename(root / "Release" / name)
    assert A2DSentences(root).videos_folder.name == name


@pytest.mark.parametrize("window", [1, 4, 12])
def test_windows_of_any_length(written: Path, window: int) -> None:
    data = A2DSentences(written, "test", window)
    sample = data[0]
    annotated = window // 2 if data.entries[0].frame > 1 else 0
    assert len(sample.frames) == len(sample.masks) == len(sample.frame_names) == window
    assert sample.annotated == [annotated]
    assert sample.frame_names[annotated] == f"{data.entries[0].frame:05d}"
    assert sample.frame_names == sorted(sample.frame_names)


def test_ids_as_matlab_writes_them(root: Path) -> None:
    entry = A2DSentences(root).entries[0]
    before = A2DSentences(root)[0].masks
    with h5py.File(annotation(root, entry), "r+") as file:
        ids = file["instance"][()].astype(np.float64)[None]
        del file["instance"]
        file["instance"] = ids
    assert torch.equal(A2DSentences(root)[0].masks, before)


def test_a_side_may_differ_by_the_rounding_of_encoders(root: Path) -> None:
    data = A2DSentences(root)
    entry = data.entries[0]
    with h5py.File(data.annotation_path(entry), "r+") as file:
        mask = file["reMask"][()]
        del file["reMask"]
        file["reMask"] = mask[..., :-1, :]  # a column fewer
    sample = data.sample(entry)
    assert sample.masks.shape == (5, 64, 98)
    assert sample.masks[sample.annotated].any()


def test_frames_may_be_drawn_from_all_of_the_video_instead(written: Path) -> None:
    data = A2DSentences(written, window=5, choose=training_clip)
    window = A2DSentences(written, window=5)
    whole = read_video(written / "Release" / "CLIPS320" / "000001.mp4")
    entry = next(entry for entry in data.entries if entry.video == "000001" and 3 <= entry.frame <= 7)
    drawn = set()
    for seed in range(4):
        torch.manual_seed(seed)
        sample = data.sample(entry)
        numbers = [int(name) for name in sample.frame_names]
        drawn.add(tuple(numbers))
        assert numbers == sorted(numbers)
        np.testing.assert_array_equal(sample.frames.permute(0, 2, 3, 1).numpy(), whole[[n - 1 for n in numbers]])
        (annotated,) = sample.annotated  # type: ignore[misc]
        assert numbers[annotated] == entry.frame
        assert torch.equal(sample.masks[annotated], window.sample(entry).masks[2])
    assert len(drawn) > 1


def test_sentences_about_one_frame_share_its_frames(written: Path) -> None:
    data = A2DSentences(written, choose=training_clip)
    frame = next(e.frame for e in data.entries if e.video == "000001")
    entries = [entry for entry in data.entries if (entry.video, entry.frame) == ("000001", frame)]
    samples = data.samples(entries)
    assert len(samples) > 1
    assert [sample.expression for sample in samples] == [entry.query for entry in entries]
    assert all(sample.frames is samples[0].frames for sample in samples)
    assert all(sample.annotated == samples[0].annotated for sample in samples)


def test_it_can_be_sent_to_workers(written: Path) -> None:
    data = pickle.loads(pickle.dumps(A2DSentences(written, choose=training_clip)))
    assert data[0].frames.shape == (5, 3, 64, 98)


def cut_video(root: Path) -> None:
    path = root / "Release" / "CLIPS320" / "000000.mp4"
    path.write_bytes(path.read_bytes()[:100])


def long_annotation(root: Path) -> None:
    entry = A2DSentences(root).entries[0]
    path = annotation(root, entry)
    write_cached(root, "train", [[entry.query, entry.video, 20, entry.instance]])
    path.rename(path.with_name("00020.h5"))


def first_annotation(root: Path) -> Path:
    return annotation(root, A2DSentences(root).entries[0])


def keep_list(root: Path) -> Path:
    """Cache the list, so that a broken annotation is met by the sample and not by the list."""
    entries = A2DSentences(root).entries
    write_cached(root, "train", [[entry.query, entry.video, entry.frame, entry.instance] for entry in entries])
    return first_annotation(root)


def other_size(root: Path) -> None:
    with h5py.File(keep_list(root), "r+") as file:
        del file["reMask"]
        file["reMask"] = np.zeros((50, 40), np.uint8)


def other_instance(root: Path) -> None:
    entry = A2DSentences(root).entries[0]
    write_cached(root, "train", [[entry.query, entry.video, entry.frame, 77]])


def linked_mask(root: Path) -> None:
    path = keep_list(root)
    with h5py.File(root / "other.h5", "w") as other:
        other["reMask"] = np.ones((98, 64), np.uint8)
    with h5py.File(path, "r+") as file:
        del file["reMask"]
        file["reMask"] = h5py.ExternalLink(str(root / "other.h5"), "reMask")


def external_mask(root: Path) -> None:
    path = keep_list(root)
    (root / "secret.bin").write_bytes(b"\1" * 98 * 64)
    with h5py.File(path, "r+") as file:
        del file["reMask"]
        file.create_dataset("reMask", (98, 64), np.uint8, external=[(str(root / "secret.bin"), 0, 98 * 64)])


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "video missing": (lambda root: (root / "Release" / "CLIPS320" / "000000.mp4").unlink(), r"000000\.mp4"),
    "video cut off": (cut_video, r"000000\.mp4"),
    "video too short": (long_annotation, "holds 9 frames, but frame 20 is annotated"),
    "annotation missing": (lambda root: keep_list(root).unlink(), r"\.h5 is missing"),
    "annotation empty": (lambda root: keep_list(root).write_bytes(b""), r"\.h5 is damaged or no HDF5 file"),
    "annotation junk": (lambda root: keep_list(root).write_bytes(b"junk" * 500), r"\.h5 is damaged or no HDF5"),
    "annotation cut off": (lambda root: cut(keep_list(root)), r"\.h5 is damaged or no HDF5"),
    "annotation of another size": (other_size, "50x40, but the frames of the video are 98x64"),
    "instance not there": (other_instance, "has no instance 77"),
    "mask in another file": (linked_mask, "holds no dataset 'reMask'"),
    "mask in external storage": (external_mask, "in the file itself"),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(("damage", "message"), BREAK.values(), ids=BREAK)
def test_broken_files_are_named_when_they_are_read(root: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(root)
    with pytest.raises(InputError, match=message):
        A2DSentences(root)[0]


def rewrite(name: str, old: str, new: str) -> Callable[[Path], object]:
    def damage(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


SENTENCES, VIDEOSET = "text_annotations/a2d_annotation.txt", "Release/videoset.csv"
BREAK_LISTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no videos": (lambda root: [shutil.rmtree(folder) for folder in root.glob("Release/*/")], "CLIPS320 is missing"),
    "no sentences": (lambda root: (root / SENTENCES).unlink(), r"a2d_annotation\.txt is missing"),
    "no videoset": (lambda root: (root / VIDEOSET).unlink(), r"videoset\.csv is missing"),
    "other header": (rewrite(SENTENCES, "video_id", "vid"), "must begin with the line"),
    "comma in a sentence": (rewrite(SENTENCES, "000000,", "000000,1,"), "line 2: there must be 3 columns"),
    "no number": (rewrite(SENTENCES, "1 (copy)", "one"), "'one' is not the number of instance"),
    "path": (rewrite(SENTENCES, "000000", "../000000"), "no plain file name"),
    "NUL": (rewrite(SENTENCES, "000000", "\0"), r"a2d_annotation\.txt"),
    "no subset": (rewrite(VIDEOSET, ",0\n", "\n"), "line 1: there must be 9 columns"),
    "unknown video": (rewrite(VIDEOSET, "000001,", "other,"), "no row for '000001'"),
    "no annotations": (
        lambda root: shutil.rmtree(root / "text_annotations" / "a2d_annotation_with_instances" / "000000"),
        "000000 holds no annotations",
    ),
    "broken annotation": (lambda root: first_annotation(root).write_bytes(b"junk"), r"\.h5 is damaged"),
    "cached: no JSON": (
        lambda root: (root / "a2d_sentences_single_frame_train_annotations.json").write_text("["),
        "not valid JSON",
    ),
    "cached: no list": (lambda root: write_cached(root, "train", {}), "must hold a list"),
    "cached: short entry": (lambda root: write_cached(root, "train", [["a", "b", 1]]), "entry 0 must be"),
    "cached: path": (lambda root: write_cached(root, "train", [["a", "../b", 1, 1]]), "no plain file name"),
    "cached: frame 0": (lambda root: write_cached(root, "train", [["a", "b", 0, 1]]), "0 is not the number of frame"),
    "cached: frame true": (lambda root: write_cached(root, "train", [["a", "b", True, 1]]), "True is not the number"),
    "cached: no sentence": (lambda root: write_cached(root, "train", [[" ", "b", 1, 1]]), "the sentence is missing"),
}


@pytest.mark.parametrize(("damage", "message"), BREAK_LISTS.values(), ids=BREAK_LISTS)
def test_broken_lists_are_named_when_the_data_is_opened(
    root: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(root)
    with pytest.raises(InputError, match=message):
        A2DSentences(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"split": "valid"}, "no split 'valid'"), ({"window": 0}, "A window of 0 frames")],
)
def test_settings_that_are_not_possible(written: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        A2DSentences(written, **options)  # type: ignore[arg-type]
