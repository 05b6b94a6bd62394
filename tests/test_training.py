"""`sgmg train`: a recipe in, a model folder out; whatever happens in between."""

import copy
import csv
import io
import json
import platform
import re
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback
from ref_youtube_vos_layout import write_dataset
from rich.console import Console
from training_runs import logged, recipe_of, weights_of
from typer.testing import CliRunner

from sgmg.cli import app
from sgmg.data.sample import Sample
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.evaluation.scores import ExpressionScore
from sgmg.model import SgMg
from sgmg.model.pixels import normalised
from sgmg.training import checkpoints
from sgmg.training.averaging import WeightAverage
from sgmg.training.batch import collate
from sgmg.training.memory import keep_freed_memory, return_freed_memory
from sgmg.training.module import Example, NonFiniteError, SgMgTraining
from sgmg.training.monitoring import GAP, draw_example, score_table
from sgmg.training.recipe import StartConfig, model_config, new_model, read_recipe
from sgmg.training.run import make_trainer, resumes, train
from sgmg.training.schedule import OptimiserConfig, learning_rate_factor
from sgmg.training.validation import RegionAndBoundary, SingleFrames

RECIPES = Path(__file__).parents[1] / "recipes"

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_training_leaves_a_model_a_checkpoint_and_logs(settings: dict[str, Any], tmp_path: Path) -> None:
    validation = settings["data"] | {"length": 2}
    for key in ("batch_size", "workers"):
        validation.pop(key)
    settings["data"]["validation"] = validation
    model = train(recipe_of(settings, tmp_path))

    run = tmp_path / "run"
    assert model == run / "model"
    before, after = weights_of(tmp_path / "start"), weights_of(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("visual_encoder.") for name in changed)
    assert any(name.startswith("transformer.") for name in changed)
    assert not any(name.startswith("text_encoder.backbone.") for name in changed)  # frozen by default
    assert SgMg.from_pretrained(model).tokenize(["the red circle"])[0].shape == (1, 5)

    assert sorted(logged(run)) == [1, 2, 3]
    assert {
        "train/loss_dice_low_0",
        "train/gradient_norm",
        "learning_rate/visual",
        "val/J&F",
        "val/score_present",
    } <= set(next(csv.DictReader(next(run.glob("csv/*/metrics.csv")).open())))
    assert list(run.glob("tensorboard/*/events*"))
    assert (run / "best" / "model.safetensors").is_file()
    assert sorted(path.name for path in next((run / "examples").iterdir()).iterdir()) == ["0.jpg", "1.jpg"]

    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    assert checkpoint["batches_seen"] == 6
    assert not any("text_encoder.backbone" in name for name in checkpoint["state_dict"])
    average = {name: value for name, value in checkpoint["average"].items() if name != "updates"}
    assert all(torch.equal(after[name], value) for name, value in average.items()), "it is what the model has"
    assert any(not torch.equal(checkpoint["state_dict"][f"model.{name}"], value) for name, value in average.items())


class Kill(Callback):
    """Ends the process' training in the middle of a batch, as a kill would."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.batches_seen == self.batch:
            raise RuntimeError("killed")


@pytest.mark.parametrize("killed_at", [4, 5])  # mid-accumulation in the last step of an epoch; in the next epoch
def test_a_killed_training_goes_on_as_if_it_had_not_been(
    settings: dict[str, Any], tmp_path: Path, killed_at: int
) -> None:
    settings["data"]["augmentation"] = {"photometric": True, "flip": 0.5, "resize": False}
    train(recipe_of(settings, tmp_path, f"run={tmp_path / 'straight'}"))

    killed = recipe_of(settings, tmp_path, "checkpoint_minutes=0")
    killed.trainer["callbacks"] = [Kill(killed_at)]
    with pytest.raises(RuntimeError, match="killed"):
        train(killed)
    recipe = recipe_of(settings, tmp_path)
    assert resumes(recipe)
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["batches_seen"] == 2 * ((killed_at - 1) // 2)
    torch.manual_seed(99)
    train(recipe)

    for name in ("train/loss", "train/gradient_norm", "learning_rate/rest"):
        assert logged(tmp_path / "run", name) == logged(tmp_path / "straight", name)
    straight, resumed = (weights_of(tmp_path / run / "model") for run in ("straight", "run"))
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


class KillInValidation(Callback):
    """Ends the process' training in a validation."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        raise RuntimeError("killed")


def test_a_validation_in_which_training_was_killed_is_done_when_it_goes_on(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    validation = {key: value for key, value in settings["data"].items() if key not in ("batch_size", "workers")}
    settings["data"]["validation"] = validation | {"length": 2}
    train(recipe_of(settings, tmp_path, f"run={tmp_path / 'straight'}"))

    killed = recipe_of(settings, tmp_path, "checkpoint_minutes=0")
    killed.trainer["callbacks"] = [KillInValidation()]
    with pytest.raises(RuntimeError, match="killed"):
        train(killed)
    train(recipe_of(settings, tmp_path))

    straight, resumed = ((tmp_path / run / "best" / "validation.json").read_text() for run in ("straight", "run"))
    assert straight == resumed
    assert logged(tmp_path / "run", "train/loss") == logged(tmp_path / "straight", "train/loss")


def test_a_finished_training_can_be_made_longer_or_begun_anew(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["trainer"]["max_steps"] = 1
    train(recipe_of(settings, tmp_path))
    train(recipe_of(settings, tmp_path, "trainer.max_steps=2"))
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    recipe = recipe_of(settings, tmp_path)
    assert not resumes(recipe, restart=True)
    train(recipe, restart=True)
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 1


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_run_and_leaves_no_checkpoint(
    settings: dict[str, Any], tmp_path: Path, what: str
) -> None:
    class Spoil(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if what == "loss":
                pl_module.model.score_heads[0].bias.data.fill_(float("nan"))

        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            if what == "gradient":
                pl_module.model.score_heads[0].bias.grad.fill_(float("inf"))

    recipe = recipe_of(settings, tmp_path, "checkpoint_minutes=0")
    recipe.trainer["callbacks"] = [Spoil()]
    with pytest.raises(NonFiniteError, match=rf"the {what}.* is not finite.*\d+/\d \('the .*'\)"):
        train(recipe)
    assert not (tmp_path / "run" / "last.ckpt").exists()
    assert not (tmp_path / "run" / "model").exists()


def test_frozen_encoders_stay_as_they_are_also_in_bfloat16(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["trainer"]["max_steps"] = 1
    settings["optimiser"] |= {"train_visual_encoder": False, "average_decay": None, "milestones": [], "warmup_steps": 0}
    model = train(recipe_of(settings, tmp_path, "trainer.precision=bf16-mixed"))
    before, after = weights_of(tmp_path / "start"), weights_of(model)
    for name in before:
        if name.startswith(("visual_encoder.", "text_encoder.backbone.")):
            assert torch.equal(before[name], after[name])
    groups = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"]
    assert [group["name"] for group in groups] == ["rest"]


def test_what_frozen_encoders_feed_has_the_gradient_it_would_have_otherwise(tiny_model: SgMg) -> None:
    frames = torch.randn(1, 2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    gradients = []
    for frozen in (False, True):
        model = copy.deepcopy(tiny_model).eval()
        for encoder in (model.visual_encoder, model.text_encoder.backbone):
            encoder.requires_grad_(not frozen)
        stages: list[torch.Tensor] = []
        model.visual_encoder(frames, stages.append)
        assert stages[0].requires_grad != frozen
        prediction, _ = model(frames, None, *model.tokenize(["the dog"]))
        (prediction.logits.sum() + prediction.patch_masks.mean()).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None and "encoder" not in n})
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_that_a_step_frees_is_mapped_once() -> None:
    def pages_mapped() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10_000_000)  # 40 MB, and gone again
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    keep_freed_memory()
    try:  # in several tries, since other threads of this process map pages too and a place has to be found first
        kept = min(pages_mapped() for _ in range(10))
    finally:
        return_freed_memory()
    assert kept * 10 < pages_mapped()


def test_only_the_parts_that_are_named_are_trained(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["trainer"]["max_steps"] = 1
    settings["optimiser"] |= {"only": ["score_heads"], "milestones": [], "warmup_steps": 0}
    model = train(recipe_of(settings, tmp_path))
    before, after = weights_of(tmp_path / "start"), weights_of(model)
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"score_heads"}

    settings["optimiser"] |= {"only": ["visual_encoder"], "train_visual_encoder": False}
    with pytest.raises(InputError, match="Nothing is left to train: visual_encoder is frozen"):
        train(recipe_of(settings, tmp_path, f"run={tmp_path / 'other'}"))
    settings["optimiser"]["only"] = ["heads"]
    with pytest.raises(InputError, match=r"no part 'heads' to train; it has visual_encoder, .*score_heads"):
        train(recipe_of(settings, tmp_path, f"run={tmp_path / 'other'}"))


def test_data_on_disk_is_trained_on_with_the_published_augmentation(settings: dict[str, Any], tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "train")
    settings["data"] = {
        "kind": "ref-youtube-vos",
        "root": str(tmp_path / "data"),
        "clip_length": 3,
        "batch_size": 2,
        "workers": 1,
        "augmentation": {"short_sides": [144, 160], "long_side": 224},
    }
    settings["trainer"] |= {"max_steps": -1, "max_epochs": 1, "accumulate_grad_batches": 1}
    settings["optimiser"]["schedule"] = "cosine"
    train(recipe_of(settings, tmp_path))
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["batches_seen"] == 3  # five clips
    assert logged(tmp_path / "run").keys() == {1, 2, 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.rot=here", "there is no setting data.rot"),
        ("optimizer.lr=1", "there is no setting optimizer.lr"),
        ("trainer.max_step=1", "there is no setting trainer.max_step"),
        ("trainer.max_steps=ten", "trainer.max_steps.*int.*ten"),
        ("data.kind=coco", "data.kind.*coco"),
        ("data.validation.kid=synthetic", "there is no setting kid"),
        ("data.validation={kind: synthetic, synthetic: {source: ours}}", "yaml: Unknown source 'ours': use one of"),
        ("trainer.devices=0", "The trainer cannot be made"),
        ("max_steps", "write key=value"),
    ],
)
def test_recipes_that_cannot_be_are_one_sentence(
    settings: dict[str, Any], tmp_path: Path, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        make_trainer(recipe_of(settings, tmp_path, change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_the_project_can_be_read(path: Path) -> None:
    recipe = read_recipe(path, ["run=elsewhere"])
    assert recipe.run == Path("elsewhere")


def test_unknown_keys_in_the_file_are_named(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["data"]["clip_lenght"] = 5
    with pytest.raises(InputError, match=r"recipe\.yaml: there is no setting clip_lenght in data"):
        recipe_of(settings, tmp_path)
    with pytest.raises(InputError, match="There is no recipe"):
        read_recipe(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    "change",
    ["data.batch_size=0", "data.clip_length=0", "data.expressions_per_clip=-1", "data.length=0", "data.workers=-1",
     "data.validation_clips=0", "data.weight=0", "optimiser.warmup_steps=-1", "optimiser.average_decay=1"],
)  # fmt: skip
def test_numbers_that_cannot_be_are_named(settings: dict[str, Any], tmp_path: Path, change: str) -> None:
    name, _, value = change.rpartition(".")[2].partition("=")
    with pytest.raises(InputError, match=rf"{name} .*{value}"):
        recipe_of(settings, tmp_path, change)


@pytest.mark.parametrize("content", [None, 3, [], [3]])
@pytest.mark.parametrize("section", ["losses", "trainer", "data", "data.synthetic"])
def test_a_section_without_settings_is_named(
    settings: dict[str, Any], tmp_path: Path, section: str, content: object
) -> None:
    within, _, name = section.rpartition(".")
    (settings[within] if within else settings)[name] = content
    with pytest.raises(InputError, match=rf"recipe\.yaml: {section} holds no settings"):
        recipe_of(settings, tmp_path)


def test_a_model_folder_brings_its_own_configuration(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"leave out model\.hidden_size, or model\.pretrained"):
        train(recipe_of(settings, tmp_path, "model.hidden_size=64"))
    del settings["model"]["pretrained"]
    with pytest.raises(InputError, match="text_weights"):
        train(recipe_of(settings, tmp_path))


@pytest.mark.parametrize("change", ["model.pretrained={}", "model={{pretrained: {}}}"])
def test_a_model_to_go_on_from_takes_the_place_of_the_recipes_network(
    change: str, tiny_model: SgMg, tmp_path: Path
) -> None:
    tiny_model.save_pretrained(tmp_path / "start")
    recipe = read_recipe(RECIPES / "sgmg_lite_start.yaml", [change.format(tmp_path / "start")])
    assert new_model(recipe.model).config == tiny_model.config
    assert recipe.optimiser.schedule == "cosine"


def test_what_only_inference_reads_may_be_given_whatever_it_is(
    settings: dict[str, Any], tiny_model: SgMg, tmp_path: Path
) -> None:
    """Also where it is what a new network would have, and the model has something else."""
    tiny_model.config = replace(tiny_model.config, short_side=288, long_side=512, min_score=0.5)
    tiny_model.save_pretrained(tmp_path / "start")
    settings["model"] = {"pretrained": str(tmp_path / "start"), "short_side": 360, "min_score": 0.0}
    recipe = recipe_of(settings, tmp_path)
    config = new_model(recipe.model).config
    assert (config.short_side, config.long_side, config.min_score) == (360, 512, 0.0)
    assert model_config(recipe.model) == config


@pytest.mark.parametrize("setting", ["visual_encoder=resnet50", "sentence_pooling=mean", "text_weights=somewhere"])
def test_the_defaults_start_has_its_own_encoders(setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(InputError, match=rf"brings its encoders: leave out model\.{name}, or it"):
        model_config(StartConfig(start="sgmg-lite", **{name: value}))  # type: ignore[arg-type]


def test_a_configuration_is_known_without_making_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SgMg, "__init__", None)
    for recipe in ("sgmg_lite.yaml", "sgmg_lite_start.yaml"):
        config = model_config(read_recipe(RECIPES / recipe).model)
        assert (config.visual_encoder, config.hidden_size) == ("tf_efficientnet_lite2", 128)


def test_cutouts_are_asked_for_where_videos_are_made(settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_of(settings, tmp_path, "data.synthetic.source=cutouts")  # enough to look at its network
    with pytest.raises(InputError, match=r"needs a folder of cutouts: .* data\.synthetic\.cutouts=DIR"):
        train(recipe)


def test_the_command_reports_bad_recipes_with_exit_code_2(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    result = CliRunner().invoke(app, ["train", str(path), "data.root_folder=x"])
    assert isinstance(result.exception, InputError)


def test_learning_rates_follow_their_schedule() -> None:
    milestones = learning_rate_factor(OptimiserConfig(milestones=(1, 2.5)), 0, lambda: 10.0)
    assert [milestones(step) for step in (0, 9, 10, 24, 25)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = learning_rate_factor(OptimiserConfig(schedule="cosine", gamma=0.1, warmup_steps=10), 110, lambda: 1.0)
    assert [cosine(step) for step in (0, 10, 60, 110, 200)] == pytest.approx([1 / 11, 1, 0.55, 0.1, 0.1])
    assert all(cosine(step) < cosine(step + 1) for step in range(10))


def test_weights_are_averaged_and_put_back() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = WeightAverage(layer.named_parameters(), decay=0.5)
    for value in (1.0, 2.0, 3.0, 4.0):
        layer.weight.data.fill_(value)
        average.update()
    with average.applied():
        inside = layer.weight.item()
    assert 2.5 < inside < 4
    assert layer.weight.item() == 4
    resumed = WeightAverage(layer.named_parameters(), decay=0.5)
    resumed.load_state_dict(average.state_dict())
    with resumed.applied():
        assert layer.weight.item() == inside


def test_the_average_keeps_no_more_than_its_decay() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = WeightAverage(layer.named_parameters(), decay=0.2)
    layer.weight.data.fill_(1.0)
    for _ in range(3):  # keeps 1/10, 2/11, and 0.2 where it would be 3/12
        average.update()
    assert average.values["weight"].item() == pytest.approx(1 - 0.1 * 2 / 11 * 0.2)


def test_each_part_learns_at_its_own_rate(tiny_model: SgMg) -> None:
    module = SgMgTraining(tiny_model, optimiser=OptimiserConfig(4e-4, 2e-4, 1e-4, train_text_encoder=True))
    module._trainer = SimpleNamespace(max_steps=1, num_training_batches=1, accumulate_grad_batches=1)  # type: ignore[assignment]
    groups = module.configure_optimizers()["optimizer"].param_groups  # type: ignore[index, call-overload]
    assert {g["name"]: g["initial_lr"] for g in groups} == {"rest": 4e-4, "visual": 2e-4, "text": 1e-4}
    sizes = {g["name"]: len(g["params"]) for g in groups}
    names = [name for name, _ in tiny_model.named_parameters()]
    assert sizes["visual"] == sum(name.startswith("visual_encoder.") for name in names)
    assert sizes["text"] == sum(name.startswith("text_encoder.backbone.") for name in names)
    assert sum(sizes.values()) == len(names)


def test_training_sees_what_inference_sees(tiny_model: SgMg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences in small letters; and frames padded with what stands for nothing, here and in the network itself."""
    asked: list[str] = []
    tokenize = tiny_model.tokenize
    monkeypatch.setattr(tiny_model, "tokenize", lambda texts: asked.extend(texts) or tokenize(texts))
    frames = torch.randint(0, 256, (2, 3, 150, 180), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sample = Sample(frames, torch.ones(2, 150, 180, dtype=torch.bool), " The  DOG")
    module = SgMgTraining(tiny_model).eval()
    with torch.no_grad():
        trained, _ = module.predict(collate([[sample]]))
        found, _ = tiny_model(normalised(frames[None]), None, *tokenize(["the dog"]))
    assert asked == ["the dog"]
    torch.testing.assert_close(trained.logits, found.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(trained.patch_masks, found.patch_masks, atol=1e-3, rtol=1e-3)


def test_what_a_process_that_loads_data_cannot_read_is_one_sentence(
    run: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    write_videos(tmp_path / "data", SyntheticConfig(size=(64, 96), length=3, objects=(2, 2)), seed=0, count=1)
    broken = tmp_path / "data/train/JPEGImages/000000/00001.jpg"
    broken.write_bytes(b"no image")
    settings["data"] = {"kind": "ref-youtube-vos", "root": str(tmp_path / "data"), "clip_length": 3, "workers": 1}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(settings))
    for words in (
        ("train", tmp_path / "recipe.yaml"),
        ("bench", "data", "ref-youtube-vos", tmp_path / "data", "--workers", 1),
    ):
        code, _, err = run(*words)
        assert code == 2
        assert f"Error: {broken} is not a readable image: its format is unknown.\n" in err
        assert "Traceback" not in err


def test_validation_tells_kinds_and_absent_things_apart() -> None:
    def row(kind: str, region: float, boundary: float, score: float) -> tuple[ExpressionScore, float]:
        return ExpressionScore("", kind, kind, kind != "absent", region, boundary, empty=0), score

    rows = [row("motion", 0.5, 0.7, 0.9), row("name", 1.0, 0.8, 0.7), row("absent", 0.0, 0.0, 0.1)]
    assert RegionAndBoundary().summary(rows) == pytest.approx(
        {
            "val/J": 75,
            "val/F": 75,
            "val/J&F": 75,
            "val/J&F/motion": 60,
            "val/J&F/name": 90,
            "val/score_present": 0.8,
            "val/score_absent": 0.1,
        }
    )


def test_the_score_that_the_best_model_is_chosen_by_stands_out_in_a_table() -> None:
    table = score_table({"val/P@0.5": 50.0, "val/mAP": 41.267}, {"val/mAP": 40.0}, "val/mAP", "Validation")
    console = Console(width=60, file=io.StringIO())
    console.print(table)
    assert re.search(r"mAP\W+41\.27\W+40\.00", console.file.getvalue())
    assert [row.style for row in table.rows] == [None, "bold"]


def test_a_best_score_of_another_measure_does_not_count(
    tiny_model: SgMg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer: Any = SimpleNamespace(sanity_checking=False, is_global_zero=True, global_step=7)
    module = SgMgTraining(tiny_model, measure=SingleFrames(rank=True))
    exported: list[float] = []
    monkeypatch.setattr(
        checkpoints, "export", lambda module, folder, notes: exported.append(module.validation["val/mAP"])
    )
    keeper = checkpoints.Checkpoints(tmp_path, 1)
    keeper.load_state_dict({"best_score": 80.0})  # J&F, of a version that knew nothing else
    for score in (40.0, 30.0, 50.0):
        module.validation = {"val/mAP": score, "val/mean IoU": 90.0}
        keeper.on_validation_end(trainer, module)
    assert exported == [40.0, 50.0]
    assert keeper.state_dict() == {"best_by": "val/mAP", "best_score": 50.0}


def test_a_best_model_that_the_checkpoint_does_not_know_of_is_not_replaced_by_a_worse_one(
    tiny_model: SgMg, tmp_path: Path
) -> None:
    """Training was cut off after a validation, before the next checkpoint."""
    trainer: Any = SimpleNamespace(sanity_checking=False, is_global_zero=True, global_step=7)
    module = SgMgTraining(tiny_model)
    module.validation = {"val/J": 58.0, "val/J&F": 60.0}
    before = checkpoints.Checkpoints(tmp_path, 1)
    in_checkpoint = before.state_dict()
    before.on_validation_end(trainer, module)
    scores = tmp_path / "best" / "validation.json"
    assert json.loads(scores.read_text()) == {"step": 7, "best_by": "val/J&F", "val/J": 58.0, "val/J&F": 60.0}

    after = checkpoints.Checkpoints(tmp_path, 1)
    after.load_state_dict(in_checkpoint)
    after.on_train_start(trainer, module)
    module.validation = {"val/J&F": 50.0}
    after.on_validation_end(trainer, module)
    assert json.loads(scores.read_text())["val/J&F"] == 60.0

    trainer.global_step = 0  # begun anew
    checkpoints.Checkpoints(tmp_path, 1).on_train_start(trainer, module)
    assert not scores.exists()


def test_a_gradient_that_the_scaler_of_half_precision_leaves_out_does_not_stop_the_run(tiny_model: SgMg) -> None:
    module = SgMgTraining(tiny_model)
    weight = next(p for p in module.parameters() if p.requires_grad)
    optimiser = torch.optim.SGD([weight], 0.1)
    weight.grad = torch.full_like(weight, float("inf"))
    module._trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()))  # type: ignore[assignment]
    module.on_before_optimizer_step(optimiser)
    module._trainer = SimpleNamespace(precision_plugin=SimpleNamespace(), world_size=1)  # type: ignore[assignment]
    with pytest.raises(NonFiniteError, match="gradient"):
        module.on_before_optimizer_step(optimiser)


def test_examples_show_predictions_above_the_truth() -> None:
    frames = np.zeros((6, 40, 60, 3), np.uint8)
    masks, truth = np.zeros((2, 1, 6, 40, 60), bool)
    truth[:, :, 10:30, 10:30] = True
    picture = draw_example(Example(frames, masks, truth, ["the dog"]))
    assert picture.shape == (2 * 40 + GAP, 4 * 60 + 3 * GAP, 3)
    assert not picture[:40, :60].any()  # nothing was found
    assert picture[-40:, -60:].any()
