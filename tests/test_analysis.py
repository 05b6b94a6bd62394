"""`sgmg analyze`: figures, and the numbers behind them, of tiny models on tiny data."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import tiny_config, tiny_tokenizer
from PIL import Image
from ref_youtube_vos_layout import write_dataset
from test_evaluation import keep

from sgmg.analysis.ablation import Result, Spread, Variant, differences, markdown, read_ablation, run_ablation
from sgmg.analysis.attention import look
from sgmg.analysis.clip import read_clip
from sgmg.analysis.drift import Tokens, measure, tokens_of
from sgmg.analysis.gallery import Case, worst
from sgmg.analysis.spectrum import gates_of
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.errors import InputError
from sgmg.evaluation.video_masks import KeptPredictor
from sgmg.model import SgMg
from sgmg.segmenter import Segmenter

pytestmark = pytest.mark.filterwarnings("ignore")


def segmenter(**changes: Any) -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(SgMg(tiny_config(**changes), tiny_tokenizer()).eval(), device="cpu")


@pytest.fixture
def video() -> np.ndarray:
    """Three frames of noise."""
    return np.random.default_rng(0).integers(0, 255, (3, 90, 120, 3), dtype=np.uint8)


@pytest.fixture
def folder(video: np.ndarray, tmp_path: Path) -> Path:
    """The same as a folder of images."""
    (tmp_path / "video").mkdir()
    for index, image in enumerate(video):
        Image.fromarray(image).save(tmp_path / "video" / f"{index}.png")
    return tmp_path / "video"


def figures(place: Path) -> set[str]:
    """Names of a folder's files; each picture must be one."""
    for path in place.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 200
    for path in place.glob("*.svg"):
        assert "<svg" in path.read_text()
    return {path.name for path in place.iterdir()}


class TestDrift:
    @pytest.mark.parametrize("way", ["segment", "observe"])
    def test_tokens_are_the_same_cells_before_and_after(self, way: str, video: np.ndarray) -> None:
        asked = segmenter(feature_decoder=way)
        tokens = tokens_of(asked.model, read_clip(asked, video, "the dog"), count=30)
        assert tokens.before.shape == tokens.after.shape == (30, 32)
        assert np.bincount(tokens.frames).tolist() == [10, 10, 10]
        again = tokens_of(asked.model, read_clip(asked, video, "the dog"), count=30)
        np.testing.assert_array_equal(tokens.after, again.after)

    def test_what_masks_are_drawn_on_is_what_is_looked_at(self, video: np.ndarray) -> None:
        """Of a segmenting decoder, "after" is what conditional patch segmentation is given."""
        asked = segmenter(feature_decoder="segment")
        clip = read_clip(asked, video, "the dog")
        given: list[Any] = []
        hook = asked.model.patch_segmentation.register_forward_pre_hook(
            lambda module, arguments: given.append(arguments)
        )
        tokens = tokens_of(asked.model, clip, count=3)
        hook.remove()
        cells = given[0][0][0].flatten(2).transpose(1, 2)[0]  # of the first frame
        distance = (torch.from_numpy(tokens.after[:1]) - cells).norm(dim=1).min()  # cdist rounds what is near 0
        assert float(distance) < 1e-3

    def test_two_clusters_are_told_apart_and_one_is_not(self) -> None:
        random = np.random.default_rng(0)
        before, frames = random.normal(size=(60, 8)).astype(np.float32), np.repeat(np.arange(6), 10)
        apart, _ = measure(Tokens(before, before + 8, frames))
        assert apart.encoded_decoded.accuracy > 0.99
        assert apart.encoded_decoded.silhouette > 0.4
        assert apart.plane_silhouette > 0.4
        assert apart.shapes_only.silhouette < 0.05  # a shift is all that there is
        same, plane = measure(Tokens(before, random.normal(size=(60, 8)).astype(np.float32), frames))
        assert 0.3 < same.encoded_decoded.accuracy < 0.7
        assert 0.25 < same.control.accuracy < 0.75
        assert plane.shape == (2, 60, 2)

    def test_the_command(self, run, folder: Path, tmp_path: Path, model: Path) -> None:
        segmenter(feature_decoder="observe").model.save_pretrained(tmp_path / "observing")
        words = ("analyze", "drift", folder, "the dog", "--tokens", 45, "--model")
        code, out, _ = run(*words, tmp_path / "observing", "-o", tmp_path / "out")
        assert code == 0
        assert "of 45 cells" in out
        assert figures(tmp_path / "out") == {"drift.png", "drift.svg", "numbers.json"}
        assert json.loads((tmp_path / "out" / "numbers.json").read_text())["frames"] == 3
        code, _, error = run(*words, model, "-o", tmp_path / "other")
        assert code == 2
        assert "decodes no features" in error
        assert not (tmp_path / "other").exists()


class TestAttention:
    def test_what_is_looked_at(self, video: np.ndarray) -> None:
        asked = segmenter()
        clip = read_clip(asked, video, "the red circle")
        assert clip.tokens == ["[CLS]", "the", "red", "circle", "[SEP]"]
        found = look(asked.model, clip, frame=1)
        heads, points = asked.model.config.heads, asked.model.config.points
        assert found.places.shape == (4, heads * points, 2)
        np.testing.assert_allclose(found.weights.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(found.words.sum(0), 1, rtol=1e-5)
        assert found.words.shape[0] == 5
        assert not asked.model.fusion.word_attention._forward_pre_hooks  # it is left as it was

    def test_the_command(self, run, folder: Path, tmp_path: Path, model: Path) -> None:
        words = ("analyze", "attention", folder, "the red circle", "--model", model, "-o", tmp_path / "out")
        assert run(*words, "--frame", 2)[0] == 0
        assert figures(tmp_path / "out") == {"attention.png", "attention.svg", "numbers.json"}
        assert run(*words)[0] == 2  # it is there already
        code, _, error = run(*words, "--frame", 3, "--overwrite")
        assert code == 2
        assert "--frame 0 to 2" in error


class TestSpectrum:
    def test_gates(self, video: np.ndarray) -> None:
        asked = segmenter(spectral_sigma=2.0)
        gates = gates_of(asked.model, read_clip(asked, video, "the dog"))
        assert [gate.stride for gate in gates] == [8, 16, 32, 64] * 2
        for gate in gates:
            assert 0 < gate.amounts.min() <= gate.amounts.max() < 1
            assert gate.amounts.shape == (3,)
            assert 0 < gate.power_kept < 1
            np.testing.assert_allclose(gate.power.sum(), 1, rtol=1e-4)
        # High frequencies are attenuated, low ones pass.
        assert gates[0].kept[-1] < 0.9 < 0.999 < gates[0].kept[0]

    def test_the_command(self, run, folder: Path, tmp_path: Path, model: Path) -> None:
        words = ("analyze", "spectrum", folder, "the dog", "--model", model)
        code, _, _ = run(*words, "--before", model, "-o", tmp_path / "out")
        assert code == 0
        assert figures(tmp_path / "out") == {"spectrum.png", "spectrum.svg", "numbers.json"}
        numbers = json.loads((tmp_path / "out" / "numbers.json").read_text())
        assert numbers["models"]["before training"] == numbers["models"]["after training"]
        segmenter(fusion_operation="linear").model.save_pretrained(tmp_path / "linear")
        code, _, error = run(
            "analyze", "spectrum", folder, "a cup", "--model", tmp_path / "linear", "-o", tmp_path / "no"
        )
        assert code == 2
        assert "fusion_operation is linear" in error


class TestGallery:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        write_dataset(tmp_path / "data")
        keep(tmp_path / "kept", RefYouTubeVOS(tmp_path / "data", "valid"))
        return tmp_path / "data"

    def test_rows_of_videos(self, run, root: Path, tmp_path: Path) -> None:
        words = ("analyze", "gallery", root, "--predictions", tmp_path / "kept")
        assert run(*words, "-o", tmp_path / "out", "--columns", 2)[0] == 0
        assert figures(tmp_path / "out") == {"gallery.png", "gallery.svg", "numbers.json"}
        rows = json.loads((tmp_path / "out" / "numbers.json").read_text())["rows"]
        assert [row["video"] for row in rows] == ["pair", "single"]
        assert rows[0]["frames"] == [0, 2]
        assert list(rows[0]["expressions"]) == ["0", "1", "3"]  # one for each object
        code, _, error = run(*words, "-o", tmp_path / "no", "--video", "nowhere")
        assert code == 2
        assert "no video 'nowhere'" in error

    def test_videos_that_nothing_is_asked_of_are_passed_over(self, run, root: Path, tmp_path: Path) -> None:
        listed = root / "meta_expressions" / "valid" / "meta_expressions.json"
        lists = json.loads(listed.read_text())
        lists["videos"]["pair"]["expressions"] = {}
        listed.write_text(json.dumps(lists))
        words = ("analyze", "gallery", root, "--predictions", tmp_path / "kept", "-o", tmp_path / "out")
        code, _, error = run(*words, "--video", "pair")
        assert code == 2
        assert "has no expression for 'pair'" in error
        assert run(*words)[0] == 0
        rows = json.loads((tmp_path / "out" / "numbers.json").read_text())["rows"]
        assert [row["video"] for row in rows] == ["single"]

    def test_errors_worst_first(self, run, root: Path, tmp_path: Path) -> None:
        words = ("analyze", "gallery", root, "--predictions", tmp_path / "kept", "--errors", "--rows", 3)
        assert run(*words, "-o", tmp_path / "anew")[0] == 0
        table = tmp_path / "scores.csv"
        run("evaluate", "ref-youtube-vos", root, "--predictions", tmp_path / "kept", "--csv-expressions", table)
        assert run(*words, "-o", tmp_path / "out", "--scores", table)[0] == 0
        assert figures(tmp_path / "out") == {"errors.png", "errors.svg", "numbers.json"}
        anew, read = (json.loads((tmp_path / name / "numbers.json").read_text()) for name in ("anew", "out"))
        assert anew == read
        with table.open(newline="") as file:
            scores = {(row["video"], row["expression"]): float(row["J&F"]) for row in csv.DictReader(file)}
        shown = [scores[row["video"], next(iter(row["expressions"]))] for row in read["rows"]]
        assert shown == sorted(scores.values())[:3]

    def test_tables_that_do_not_fit(self, run, root: Path, tmp_path: Path) -> None:
        data = RefYouTubeVOS(root, "valid")
        with pytest.raises(InputError, match="no expression '9' of a video 'pair'"):
            worst(data, KeptPredictor(tmp_path / "kept"), [Case("pair", "9", 0.0)], 1)
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        words = ("analyze", "gallery", root, "--predictions", tmp_path / "kept", "--errors", "-o", tmp_path / "out")
        code, _, error = run(*words, "--scores", tmp_path / "other.csv")
        assert code == 2
        assert "is no table of expressions" in error


class TestAblation:
    @pytest.fixture
    def table(self, tmp_path: Path, model: Path) -> Path:
        """Two variants with two seeds; what "training" gives is the tiny model."""
        recipe = {"model": {"pretrained": str(model)}, "data": {"kind": "synthetic"}, "trainer": {"max_steps": 1}}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        settings = {
            "title": "Two of a kind",
            "recipe": "recipe.yaml",
            "run": str(tmp_path / "runs"),
            "seeds": [0, 1],
            "scored": {"generated": {"videos": 1, "config": {"size": [48, 64], "length": 2, "expressions": 2}}},
            "variants": [
                {"name": "SgMg", "published": 58.9},
                {"name": "Lower rate", "changes": ["optimiser.learning_rate=1e-9"]},
            ],
        }
        (tmp_path / "table.yaml").write_text(yaml.safe_dump(settings))
        return tmp_path / "table.yaml"

    def test_runs_once_and_resumes(self, table: Path, model: Path, tmp_path: Path) -> None:
        trained: list[Path] = []

        def train(recipe: Any) -> Path:
            if len(trained) == 3:
                raise KeyboardInterrupt
            trained.append(recipe.run)
            return model

        ablation = read_ablation(table)
        with pytest.raises(KeyboardInterrupt):
            run_ablation(ablation, train)
        runs = tmp_path / "runs"
        assert trained == [runs / "sgmg/seed-0", runs / "lower-rate/seed-0", runs / "sgmg/seed-1"]
        assert "| Lower rate |" in (runs / "table.md").read_text()
        left = []
        results = run_ablation(ablation, lambda recipe: left.append(recipe.run) or model)
        assert left == [runs / "lower-rate/seed-1"]
        assert len(results) == 4
        assert results["SgMg", 0].operators == SgMg.from_pretrained(model).fusion.counted_parameters()
        assert figures(runs) >= {"table.md", "table.png", "table.svg"}
        assert run_ablation(ablation, lambda recipe: pytest.fail("nothing is left")) == results
        changed = read_ablation(table, ["changes=[optimiser.weight_decay=0.1]"])
        with pytest.raises(InputError, match="begun with other settings"):
            run_ablation(changed, train)

    def test_the_table_says_what_the_spread_allows(self, table: Path) -> None:
        ablation = read_ablation(table)

        def result(both: float) -> Result:
            return Result(both, both, both, 1_500_000, 2_364_416, 10.0)

        results = {("SgMg", 0): result(50), ("SgMg", 1): result(52), ("Lower rate", 0): result(45)}
        assert differences(ablation, results, ablation.variants[1]) == [-5]
        text = markdown(ablation, results)
        assert "| SgMg | 51.0 ± 1.4 | 51.0 | 51.0 |  | 1.50 | 2.36 | 10.0 | 58.9 |" in text
        assert "| Lower rate | 45.0 | 45.0 | 45.0 | -5.0 |" in text
        results["Lower rate", 1] = result(49)
        assert "-4.0 [-16.7, +8.7]" in markdown(ablation, results)
        assert Spread.of([1.0]).interval is None
        assert Variant("SCF (spatial)").place == "scf-spatial"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("seed=3", "there is no setting seed"),
            ("seeds=[]", "at least one"),
            ("variants=[{name: a}, {name: A}]", "of its own"),
            ("variants=[{name: a, folder: b}, {name: a, folder: c}]", "of its own"),
            ("seeds=[0, 1, 0]", "each seed once"),
            ("scored.benchmark=a2d", "ref-youtube-vos or mevis"),
        ],
    )
    def test_tables_that_cannot_be(self, table: Path, change: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_ablation(table, [change])

    def test_mistakes_in_a_variant_are_found_before_any_training(self, table: Path) -> None:
        ablation = read_ablation(table)
        ablation.variants[1].changes.append("model.fusion_operations=linear")
        with pytest.raises(InputError, match="there is no setting"):
            run_ablation(ablation, lambda recipe: pytest.fail("trained"))

    @pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recipes/ablations").glob("table_*.yaml")))
    def test_the_tables_that_come_with_the_project_can_be_read(self, path: Path) -> None:
        from sgmg.analysis.ablation import recipe_of

        ablation = read_ablation(path)
        for variant in ablation.variants:
            assert recipe_of(ablation, variant, 0).run.parent.name == variant.place
