"""Two clips are learned by heart: what is trained is what is evaluated, from the files to the score."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import tiny_config, tiny_tokenizer

from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.evaluation.expressions import evaluate
from sgmg.evaluation.video_masks import ModelPredictor
from sgmg.model import SgMg
from sgmg.segmenter import Segmenter
from sgmg.training.recipe import read_recipe
from sgmg.training.run import train


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_small_recipe_learns_two_clips_by_heart(tmp_path: Path) -> None:
    shapes = SyntheticConfig(size=(160, 256), length=3, objects=(2, 2), expressions=2, kinds=("name", "attribute"))
    write_videos(tmp_path / "data", shapes, seed=5, count=2)
    data = RefYouTubeVOS(tmp_path / "data", "train")
    words = sorted({word for video in data.videos for said in video.expressions for word in said.text.lower().split()})
    torch.manual_seed(0)
    network = tiny_config(
        hidden_size=64, queries=2, fusion="residual", coordinate_scale=0.01, short_side=160, long_side=256
    )
    network.text_encoder["vocab_size"] = 4 + len(words)  # and every word is known
    SgMg(network, tiny_tokenizer(words)).save_pretrained(tmp_path / "start")
    recipe = {
        "run": str(tmp_path / "run"),
        "model": {"pretrained": str(tmp_path / "start")},
        "data": {
            "kind": "ref-youtube-vos",
            "root": str(tmp_path / "data"),
            "clip_length": 3,
            "expressions_per_clip": 2,
            "batch_size": 2,
            "workers": 0,
            "augmentation": {"flip": 0.0, "photometric": False, "resize": False},
        },
        "optimiser": {"learning_rate": 2e-3, "visual_learning_rate": 2e-3, "schedule": "cosine", "gamma": 0.01},
        "trainer": {"max_steps": 400, "enable_progress_bar": False, "enable_model_summary": False},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    model = train(read_recipe(tmp_path / "recipe.yaml"))
    segmenter = Segmenter(SgMg.from_pretrained(model))
    score = evaluate(data, ModelPredictor(segmenter)).overall
    assert score.both is not None
    assert score.both >= 95
