"""Run a training from a recipe."""

import warnings
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import FSDPStrategy

from sgmg.errors import InputError
from sgmg.model.pretrained import CONFIG
from sgmg.output import check_output, settle
from sgmg.training.checkpoints import BEST_MODEL, CHECKPOINT, MODEL, Checkpoints, WholeFiles
from sgmg.training.datamodule import ClipData
from sgmg.training.loading import worker_errors
from sgmg.training.memory import FreedMemory
from sgmg.training.module import SgMgTraining
from sgmg.training.monitoring import Examples, LossTable, ScoreTable
from sgmg.training.recipe import Recipe, new_model
from sgmg.training.sharding import Sharded

#: Of Lightning, about what is so on purpose.
NEEDLESS_WARNINGS = [
    ".*your dataloader is not resumable.*",  # it is: the data follows the module's count of batches
    ".*does not have many workers.*",  # recipes say how many
    ".*in eval mode at the start of training.*",  # frozen encoders and batch norms
    ".*recommended to use `self.log.*sync_dist=True.*",  # scores are of all processes already
    ".*isinstance.treespec, LeafSpec.*",  # between Lightning and PyTorch
]


def resumes(recipe: Recipe, restart: bool = False) -> bool:
    """Whether `train` would go on from a checkpoint."""
    return not restart and (recipe.run / CHECKPOINT).is_file()


def train(recipe: Recipe, restart: bool = False) -> Path:
    """Train as a recipe says; goes on from the run folder's checkpoint if there is one.

    Args:
        recipe: the training.
        restart: start anew, even though there is a checkpoint, which is replaced by the first of this training.

    Returns:
        The folder of the trained model.

    Raises:
        InputError: the data or model cannot be used, or a loss is not finite.
    """
    checkpoint = recipe.run / CHECKPOINT if resumes(recipe, restart) else None
    for folder in (recipe.run / MODEL, recipe.run / BEST_MODEL):
        settle([folder])
        check_output(folder, overwrite=True, marker=CONFIG)
    seed_everything(recipe.seed, verbose=False)
    data = ClipData(recipe.data, recipe.seed)
    model = new_model(recipe.model)
    if recipe.recompute_activations:
        model.visual_encoder.recompute_activations()
    module = SgMgTraining(model, recipe.losses, recipe.costs, recipe.optimiser, recipe.seed, data.measure)
    trainer = make_trainer(recipe)
    with warnings.catch_warnings(), worker_errors():
        for needless in NEEDLESS_WARNINGS:
            warnings.filterwarnings("ignore", needless)
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    return recipe.run / MODEL


def make_trainer(recipe: Recipe) -> Trainer:
    """Lightning's Trainer with this project's logs, progress and checkpoints."""
    arguments: dict[str, Any] = dict(recipe.trainer)
    callbacks = arguments.pop("callbacks", None) or []
    callbacks = [callbacks] if not isinstance(callbacks, list) else list(callbacks)
    plugins = arguments.pop("plugins", None) or []
    plugins = [plugins] if not isinstance(plugins, list) else list(plugins)
    if arguments.get("enable_progress_bar") is not False:
        callbacks += [RichProgressBar(), LossTable(), ScoreTable()]
    if isinstance(strategy := arguments.get("strategy"), FSDPStrategy) or str(strategy).startswith("fsdp_"):
        raise InputError("Weights are spread over processes with trainer.strategy=fsdp, which takes no more settings.")
    if strategy == "fsdp":
        arguments["strategy"] = Sharded()
    # Lightning's own way to go on after a job's end would write checkpoints of its own, and prefer them to ours.
    slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    if slurm and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        plugins.append(SLURMEnvironment(auto_requeue=False))
    try:
        recipe.run.mkdir(parents=True, exist_ok=True)
        return Trainer(
            **arguments,
            default_root_dir=recipe.run,
            logger=[
                CSVLogger(recipe.run, name="csv", flush_logs_every_n_steps=1),
                TensorBoardLogger(recipe.run, name="tensorboard"),
            ],
            callbacks=[
                *callbacks,
                FreedMemory(),
                Examples(recipe.run),
                Checkpoints(recipe.run, recipe.checkpoint_minutes),
            ],
            plugins=[*plugins, WholeFiles()],
            enable_checkpointing=True,
            use_distributed_sampler=False,
        )
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise InputError(f"The trainer cannot be made: {error}") from error
