"""Every benchmark can be trained on: generated data in its layout, a tiny network, a few steps, a model folder."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from sgmg import Segmenter
from sgmg.data.benchmarks import open_benchmark
from sgmg.data.sample import Sample
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.evaluation.single_frames import ModelPredictor, evaluate
from sgmg.model import SgMg
from sgmg.training.batch import collate
from sgmg.training.datamodule import ClipData, DataConfig, SourceConfig, ValidationConfig, open_source
from sgmg.training.module import SgMgTraining
from sgmg.training.recipe import read_recipe
from sgmg.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = SyntheticConfig(size=(64, 96), length=6, objects=(2, 3), expressions=3)
PLAIN = {"flip": 0.5, "photometric": False, "resize": False}
LAYOUTS = {  # the layout, the split trained on, the kind in recipes and its settings
    "ref-youtube-vos": ("train", {"kind": "ref-youtube-vos", "clip_length": 3}),
    "ref-davis17": ("train", {"kind": "ref-davis17", "clip_length": 3}),
    "ref-davis17-raw": ("train", {"kind": "ref-davis17", "clip_length": 3}),
    "mevis": ("train", {"kind": "mevis", "clip_length": 3, "expressions_per_clip": 2}),
    "a2d": ("train", {"kind": "a2d", "clip_length": 3}),
    "refcoco": ("train", {"kind": "refcoco", "datasets": ["refcoco"], "clip_length": 1}),
    "refcocog": ("train", {"kind": "refcoco", "datasets": ["refcocog"], "clip_length": 2}),
}


REPORTED = {  # some of what each benchmark reports, by layout
    "videos": {"J", "F", "J&F"},
    "refcoco": {"P@0.5", "P@0.9", "mean IoU", "overall IoU"},
    "a2d": {"P@0.5", "P@0.9", "mean IoU", "overall IoU", "mAP"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_comes_out_of_each_benchmark(layout: str, tiny_model: SgMg, tmp_path: Path) -> None:
    split, source = LAYOUTS[layout]
    write_videos(tmp_path / "data", SMALL, seed=0, count=4, layout=layout)
    tiny_model.save_pretrained(tmp_path / "start")
    moving = source["kind"] == "refcoco" and source["clip_length"] > 1
    source |= {"root": str(tmp_path / "data"), "split": split, "augmentation": PLAIN | {"image_motion": moving}}
    settings: dict[str, Any] = {
        "run": str(tmp_path / "run"),
        "model": {"pretrained": str(tmp_path / "start")},
        "data": source | {"batch_size": 2, "workers": 0, "validation": source, "validation_clips": 1},
        "trainer": {
            "max_steps": 2,
            "val_check_interval": 1,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    model = SgMg.from_pretrained(train(read_recipe(tmp_path / "recipe.yaml")))
    before = tiny_model.transformer.level_embedding
    assert not torch.equal(model.transformer.level_embedding, before)
    assert list((tmp_path / "run" / "examples").glob("*/0.jpg"))
    reported = REPORTED.get(layout, REPORTED["videos"])
    (metrics,) = (tmp_path / "run").glob("csv/*/metrics.csv")
    with metrics.open() as lines:
        scores = {name.removeprefix("val/") for name in next(csv.DictReader(lines)) if name.startswith("val/")}
    assert reported <= scores
    assert not (scores & {"mAP", "mean IoU", "J"}) - reported
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()


def test_validation_gives_the_numbers_of_sgmg_evaluate(tiny_model: SgMg, tmp_path: Path) -> None:
    config = SyntheticConfig(size=(160, 192), length=6, objects=(2, 3), expressions=3)
    root = tmp_path / "a2d"
    write_videos(root, config, seed=0, count=6, layout="a2d")
    tiny_model.config.short_side, tiny_model.config.long_side = 160, 192  # frames as they are, and no padding
    source: dict[str, Any] = {"kind": "a2d", "root": root, "clip_length": 3}
    validation = ValidationConfig(**source, split="test")
    data = ClipData(DataConfig(**source, workers=0, validation=validation, validation_clips=1000))
    module = SgMgTraining(tiny_model, measure=data.measure)
    Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False).validate(
        module, data, verbose=False
    )
    expected = evaluate(
        open_benchmark("a2d", root, "test", window=3), ModelPredictor(Segmenter(tiny_model, "cpu"))
    ).means
    assert module.validation == pytest.approx({f"val/{name}": score for name, score in expected.items()})
    assert 0 < module.validation["val/mean IoU"] < 100


def test_a_model_for_a2d_can_be_validated_on_jhmdb_which_nobody_trains_on(tmp_path: Path) -> None:
    for name in ("a2d", "jhmdb"):
        write_videos(tmp_path / name, SMALL, seed=0, count=2, layout=name)
    jhmdb: dict[str, Any] = {"kind": "jhmdb", "root": tmp_path / "jhmdb", "split": "test", "clip_length": 3}
    data = ClipData(DataConfig(kind="a2d", root=tmp_path / "a2d", clip_length=3, validation=ValidationConfig(**jhmdb)))
    assert data.validation is not None
    assert data.validation[0][0].annotated == [1]
    assert data.measure is not None
    assert data.measure.best_by == "val/mAP"
    with pytest.raises(InputError, match="JHMDB-Sentences is for evaluation only"):
        ClipData(DataConfig(**jhmdb))


def test_only_annotated_frames_have_a_ground_truth() -> None:
    masks = torch.zeros(5, 64, 64, dtype=torch.bool)
    masks[2, :8, :8] = True
    sample = Sample(torch.zeros(5, 3, 64, 64, dtype=torch.uint8), masks, "the dog", annotated=[2])
    batch = collate([[sample], [sample]])
    assert batch.frames.shape[:2] == (2, 5)
    assert batch.annotated is not None
    assert batch.annotated.tolist() == [[2], [2]]
    assert batch.targets.masks.shape[:2] == (2, 1)
    assert batch.targets.present.all()
    whole = Sample(sample.frames, masks, "the dog")
    with pytest.raises(ValueError, match="same number of annotated frames"):
        collate([[sample], [whole]])


def test_sentences_about_one_image_share_a_clip(tmp_path: Path) -> None:
    write_videos(tmp_path, SMALL, seed=0, count=6, layout="refcoco")
    settings = {"kind": "refcoco", "root": tmp_path, "datasets": ("refcoco",), "clip_length": 1}
    alone = open_source(SourceConfig(**settings), 0).clips
    shared = open_source(SourceConfig(**settings, expressions_per_clip=3), 0).clips
    assert sum(len(shared[i]) for i in range(len(shared))) == len(alone) > len(shared)
    clip = next(shared[i] for i in range(len(shared)) if len(shared[i]) > 1)
    assert clip[0].frames is clip[1].frames
    assert clip[0].expression != clip[1].expression


def test_parts_of_a_mix_lie_below_its_root(tmp_path: Path) -> None:
    write_videos(tmp_path / "youtube", SMALL, seed=0, count=1)
    write_videos(tmp_path / "coco", SMALL, seed=0, count=4, layout="refcoco")
    recipe = {
        "data": {
            "root": str(tmp_path),
            "mix": [
                {"kind": "ref-youtube-vos", "root": "youtube", "clip_length": 3},
                {"kind": "refcoco", "root": "coco", "datasets": ["refcoco"], "clip_length": 3,
                 "augmentation": {"image_motion": True}},
            ],
        }
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    clips = ClipData(read_recipe(tmp_path / "recipe.yaml").data).clips
    assert {len(clips[draw][0].frames) for draw in range(8)} == {3}


def test_images_without_motion_make_no_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image_motion=true"):
        open_source(DataConfig(kind="refcoco", root=tmp_path, clip_length=5), 0)


@pytest.mark.parametrize(
    "other", [{"kind": "a2d"}, {"kind": "ref-youtube-vos", "clip_length": 3}], ids=["annotated frames", "lengths"]
)
def test_parts_of_a_mix_must_fit_into_one_batch(tmp_path: Path, other: dict[str, Any]) -> None:
    parts = [SourceConfig(kind="mevis", root=tmp_path), SourceConfig(**other, root=tmp_path)]
    with pytest.raises(InputError, match=r"The parts of data\.mix must give clips of one clip_length"):
        ClipData(DataConfig(mix=parts))


def test_validation_is_resized_as_its_recipe_says(tmp_path: Path) -> None:
    write_videos(tmp_path, SMALL, seed=0, count=1)
    recipe = {
        "data": {
            "kind": "ref-youtube-vos", "root": str(tmp_path), "clip_length": 3,
            "validation": {"kind": "ref-youtube-vos", "clip_length": 3},
        }
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    change = "data.validation.augmentation={resize: true, short_sides: [32]}"
    for changes, height in (([], 64), ([change], 32)):
        validation = ClipData(read_recipe(tmp_path / "recipe.yaml", changes).data).validation
        assert validation is not None
        assert validation.source.augmentation.config.flip == 0
        assert validation[0][0].frames.shape[-2] == height


def test_processes_without_a_validation_clip_would_wait_for_ever(tmp_path: Path) -> None:
    write_videos(tmp_path, SMALL, seed=0, count=1)
    source: dict[str, Any] = {"kind": "ref-youtube-vos", "root": tmp_path, "clip_length": 6}
    data = ClipData(DataConfig(**source, workers=0, validation=ValidationConfig(**source), validation_clips=2))
    for rank, world_size in ((1, 2), (0, 3)):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)  # type: ignore[assignment]
        if world_size == 2:
            assert len(data.val_dataloader()) == 1
        else:
            with pytest.raises(InputError, match="3 processes cannot share 2 validation clips"):
                data.val_dataloader()
