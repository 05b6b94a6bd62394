"""`sgmg train` in many processes: what one would do with their batches together, whatever happens to one of them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from training_runs import logged, recipe_of, weights_of

from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError
from sgmg.training.recipe import read_recipe
from sgmg.training.run import make_trainer, train

TESTS = Path(__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def recipe(settings: dict[str, Any], tmp_path: Path) -> Path:
    """Trains the tiny model without dropout, of which each process has its own."""
    config = tmp_path / "start" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dropout": 0.0}))
    settings["trainer"]["accumulate_grad_batches"] = 1
    return written(settings, tmp_path)


def written(settings: dict[str, Any], folder: Path) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def environment() -> dict[str, str]:
    paths = f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}"
    own_stores = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # as in docs/examples/torchrun.sh
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | own_stores


def command(*words: object) -> str:
    """Run `sgmg`; its standard error."""
    line = [sys.executable, "-m", "sgmg", *map(str, words)]
    result = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr


def two_nodes(*words: object, restarts: int = 0, each: Sequence[str] = ("seed=0", "seed=0")) -> list[str]:
    """Run `sgmg` in two processes, each started by torchrun as on a machine of its own; their outputs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--max-restarts", str(restarts)]
    line = [*launch, "-m", "sgmg", *map(str, words), "trainer.devices=1", "trainer.num_nodes=2"]
    nodes = [
        subprocess.Popen(
            [*line, *filter(None, [own])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        for own in each
    ]
    try:
        return [node.communicate(timeout=600)[0] + f"exit code {node.returncode}" for node in nodes]
    finally:
        for node in nodes:
            node.kill()


def apart(run: Path, other: Path, folder: str = "model") -> float:
    """How far weights of two runs are apart in the mean; AdamW makes whole steps of the least differences in some."""
    one, two = (weights_of(path if path.name == "start" else path / folder) for path in (run, other))
    assert one.keys() == two.keys()
    return float(torch.cat([(one[name] - two[name]).abs().float().flatten() for name in one]).mean())


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes_train_as_one_with_their_batches_together(strategy: str, recipe: Path, tmp_path: Path) -> None:
    changes = ["trainer.max_steps=2", f"run={tmp_path / 'run'}"]
    train(read_recipe(recipe, [*changes, f"run={tmp_path / 'together'}", "data.batch_size=2"]))
    command("train", recipe, *changes, "trainer.devices=2", f"trainer.strategy={strategy}")

    for name in ("train/loss", "train/gradient_norm"):
        one, two = logged(tmp_path / "together", name), logged(tmp_path / "run", name)
        assert two == pytest.approx(one, rel=1e-3)
    one, two = (torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("together", "run"))
    assert [two[key] for key in ("batches_seen", "clips_seen", "global_step")] == [2, 4, 2]
    assert one["state_dict"].keys() == two["state_dict"].keys()
    assert one["average"].keys() == two["average"].keys()
    assert apart(tmp_path / "run", tmp_path / "together") < 0.02 * apart(tmp_path / "run", tmp_path / "start")


def test_spread_weights_train_as_whole_ones_and_either_goes_on_from_the_other(
    settings: dict[str, Any], recipe: Path, tmp_path: Path
) -> None:
    validation = settings["data"] | {"length": 2}
    settings["data"]["validation"] = {k: v for k, v in validation.items() if k not in ("batch_size", "workers")}
    settings["trainer"] |= {"max_steps": 4, "val_check_interval": 2}
    whole, spread = "trainer.strategy=auto", "trainer.strategy=fsdp"
    train(recipe_of(settings, tmp_path, f"run={tmp_path / 'straight'}", whole))
    for steps, strategy in enumerate([whole, spread, spread, whole], 1):
        train(recipe_of(settings, tmp_path, f"trainer.max_steps={steps}", strategy))

    for name in ("train/loss", "train/gradient_norm"):
        assert logged(tmp_path / "run", name) == pytest.approx(logged(tmp_path / "straight", name), rel=1e-4)
    # A pixel may change sides by rounding, 0.002 of J&F; two steps of training are 0.7.
    assert logged(tmp_path / "run", "val/J&F") == pytest.approx(logged(tmp_path / "straight", "val/J&F"), abs=0.02)
    for folder in ("model", "best"):
        run, straight = (tmp_path / name for name in ("run", "straight"))
        assert apart(run, straight, folder) < 0.02 * apart(run, tmp_path / "start", folder)


def test_other_batches_go_on_with_the_next_clip(settings: dict[str, Any], recipe: Path, tmp_path: Path) -> None:
    for steps, batch_size in ((2, 1), (3, 2)):  # two clips, then the third and fourth
        notes = {"class_path": "witness.Witness", "init_args": {"notes": str(tmp_path / f"of {batch_size}")}}
        settings["trainer"] |= {"max_steps": steps, "callbacks": [notes]}
        train(recipe_of(settings, tmp_path, f"data.batch_size={batch_size}"))
    names = [name for batch_size in (1, 2) for name in seen(tmp_path / f"of {batch_size}", processes=1)]
    assert [int(name.split("/")[0]) for name in names] == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("strategy", ["fsdp_cpu_offload", "{class_path: lightning.pytorch.strategies.FSDPStrategy}"])
def test_lightnings_own_way_to_spread_weights_is_not_taken(
    strategy: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"trainer\.strategy=fsdp"):
        make_trainer(recipe_of(settings, tmp_path, f"trainer.strategy={strategy}"))


def test_slurm_starts_no_second_kind_of_checkpoint(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_slurm = {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_ID": "1", "JOB_NAME": "train"}
    for name, value in (of_slurm | {"NTASKS_PER_NODE": "1", "NNODES": "1"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    trainer = make_trainer(recipe_of(settings, tmp_path))
    environment: Any = trainer._accelerator_connector.cluster_environment
    assert not environment.auto_requeue


def seen(notes: Path, processes: int) -> list[str]:
    """The samples that a training learned from, in their order; a batch that was seen again was the same again."""
    batches: dict[tuple[int, int], list[str]] = {}
    for rank in range(processes):
        for line in (notes / f"{rank}.jsonl").read_text().splitlines():
            note = json.loads(line)
            assert batches.setdefault((note["batch"], rank), note["names"]) == note["names"]
    return [name for _, names in sorted(batches.items()) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_killed_process_changes_nothing(
    strategy: str, settings: dict[str, Any], recipe: Path, tmp_path: Path
) -> None:
    """Of two machines, one loses its process in the first epoch; torchrun starts both anew."""
    write_videos(tmp_path / "data", SyntheticConfig(size=(64, 96), length=2, objects=(2, 2)), seed=0, count=2)
    settings["data"] = {"kind": "ref-youtube-vos", "root": str(tmp_path / "data"), "keep_absent": True}
    settings["data"] |= {"clip_length": 2, "batch_size": 1, "workers": 1, "augmentation": {"resize": False}}
    settings["checkpoint_minutes"] = 0
    notes: dict[str, Any] = {"class_path": "witness.Witness"}
    settings["trainer"] |= {"max_steps": 8, "strategy": strategy, "callbacks": [notes]}
    for name, kill_at in (("straight", 0), ("killed", 4)):
        settings["run"] = str(tmp_path / name)
        notes["init_args"] = {"notes": str(tmp_path / name / "notes"), "kill_at": kill_at}
        outputs = two_nodes("train", written(settings, tmp_path), restarts=2)
        assert all(output.endswith("exit code 0") for output in outputs), "\n".join(outputs)[-6000:]
    assert (tmp_path / "killed" / "notes" / "killed").exists()

    for name in ("train/loss", "train/gradient_norm"):
        assert logged(tmp_path / "killed", name) == logged(tmp_path / "straight", name)
    straight, killed = (weights_of(tmp_path / run / "model") for run in ("straight", "killed"))
    assert all(torch.equal(straight[name], killed[name]) for name in straight)
    names = seen(tmp_path / "killed" / "notes", processes=2)
    assert names == seen(tmp_path / "straight" / "notes", processes=2)
    videos = json.loads((tmp_path / "data" / "meta_expressions" / "train" / "meta_expressions.json").read_text())
    epoch = sum(len(video["expressions"]) for video in videos["videos"].values())
    assert epoch < len(names)
    assert len(set(names[:epoch])) == epoch


@pytest.mark.slow
def test_what_is_wrong_in_one_process_stops_all_with_its_sentence(
    settings: dict[str, Any], recipe: Path, tmp_path: Path
) -> None:
    settings["trainer"]["callbacks"] = [{"class_path": "witness.Spoiler", "init_args": {"batch": 2}}]
    outputs = two_nodes("train", written(settings, tmp_path), "trainer.strategy=ddp", "checkpoint_minutes=60")
    for output in outputs:
        assert "Error: the loss (" in output
        assert "of batch 2 is not finite" in output
        assert "Traceback" not in output.split("torch/distributed")[0]
        assert not output.endswith("exit code 0")
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.slow
def test_a_run_that_not_all_machines_see_is_refused(settings: dict[str, Any], recipe: Path, tmp_path: Path) -> None:
    """Only the first process finds the checkpoint."""
    train(recipe_of(settings, tmp_path, "trainer.max_steps=1"))
    runs = [f"run={tmp_path / name}" for name in ("run", "elsewhere")]
    outputs = two_nodes("train", recipe, "trainer.strategy=ddp", each=runs)
    assert all("Only 1 of 2 processes find the checkpoint" in output for output in outputs)
