"""Train on a Ray cluster.

    python ray_train.py --workers 16 --gpu recipes/ref_youtube_vos_t.yaml data.root=/shared/data run=/shared/runs/a

Paths must be those of a disk that all machines share.
"""

import argparse
from pathlib import Path

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

RAY = [
    "trainer.strategy={class_path: ray.train.lightning.RayDDPStrategy}",
    "trainer.plugins={class_path: ray.train.lightning.RayLightningEnvironment}",
    "trainer.devices=auto",
]


def work(settings: dict) -> None:
    """What each worker does: what `sgmg train` does."""
    from sgmg.training.recipe import read_recipe
    from sgmg.training.run import train

    train(read_recipe(Path(settings["recipe"]), settings["changes"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--gpu", action="store_true", help="a GPU for each worker")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("changes", nargs="*")
    arguments = parser.parse_args()
    TorchTrainer(
        work,
        train_loop_config={"recipe": str(arguments.recipe.resolve()), "changes": [*arguments.changes, *RAY]},
        scaling_config=ScalingConfig(num_workers=arguments.workers, use_gpu=arguments.gpu),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=3)),
    ).fit()
