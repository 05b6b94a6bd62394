"""Recipes: one YAML file that says what a training is, and `key=value` changes to it."""

import json
import re
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace
from lightning.pytorch import Trainer
from transformers import AutoConfig, AutoModel, AutoTokenizer

from sgmg.errors import InputError
from sgmg.model import SgMg, SgMgConfig
from sgmg.model.config import ROBERTA_BASE
from sgmg.model.pretrained import read_config
from sgmg.model.visual_weights import load_visual_weights
from sgmg.training.datamodule import DataConfig
from sgmg.training.losses import LossConfig
from sgmg.training.matching import CostWeights
from sgmg.training.schedule import OptimiserConfig
from sgmg.training.start import CHANGEABLE, LITE_ENCODERS, grown_start, lite_config, lite_start

#: What a run decides itself.
OWN_TRAINER_ARGUMENTS = {"logger", "default_root_dir", "enable_checkpointing", "use_distributed_sampler"}

#: Names of the text encoder whose configuration is known without asking anybody.
ROBERTA_BASE_NAMES = ("FacebookAI/roberta-base", "roberta-base")


@dataclass
class StartConfig(SgMgConfig):
    """The network that training starts from: a model folder, or a new one.

    Attributes:
        pretrained: model folder, Hub id, or "sgmg-lite" for the default inside the package. It has its own
            configuration; beside it may be given parts to add or, with false, to leave out (`head_noun`, `landmark`,
            `detector`, `presence`) and what only inference reads (`short_side`, `long_side`, `min_score`).
        text_weights: for a new network, the name or folder of a Hugging Face text encoder, whose configuration,
            weights and tokenizer it takes.
        visual_weights: for a new network, pretrained weights of its visual encoder: a published Kinetics checkpoint, a
            model folder, the name of torchvision's weights (`KINETICS400_V1`), or `timm`; see `load_visual_weights`.
        start: "sgmg-lite" for a new network on the two pretrained encoders of the embedded default.
    """

    pretrained: str | None = None
    text_weights: str | None = None
    visual_weights: str | None = None
    start: Literal["sgmg-lite"] | None = None

    # What a pretrained network may be given: None leaves it as it is there, and a new network as `SgMgConfig` has it.
    head_noun: bool | None = None  # type: ignore[assignment]
    landmark: bool | None = None  # type: ignore[assignment]
    detector: bool | None = None  # type: ignore[assignment]
    presence: bool | None = None  # type: ignore[assignment]
    short_side: int | None = None  # type: ignore[assignment]
    long_side: int | None = None  # type: ignore[assignment]
    min_score: float | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.given = {name: value for name in CHANGEABLE if (value := getattr(self, name)) is not None}
        for of in fields(SgMgConfig):
            if of.name in CHANGEABLE and of.name not in self.given:
                setattr(self, of.name, of.default)
        super().__post_init__()


@dataclass
class Recipe:
    """A training.

    Attributes:
        run: folder of the run: checkpoint, logs and the trained model.
        seed: of weights, data and dropout.
        checkpoint_minutes: between checkpoints.
        recompute_activations: of the visual encoder in the backward pass, not keeping them: less memory for more time
            (activation checkpointing).
        model: what training starts from.
        data: what it trains on.
        losses: weights of the losses.
        costs: weights of the matching cost.
        optimiser: learning rates, schedule, what is frozen.
        trainer: arguments of Lightning's Trainer.
    """

    run: Path = Path("runs/sgmg")
    seed: int = 0
    checkpoint_minutes: float = 10.0
    recompute_activations: bool = False
    model: StartConfig = field(default_factory=StartConfig)
    data: DataConfig = field(default_factory=DataConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    costs: CostWeights = field(default_factory=CostWeights)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    trainer: dict[str, Any] = field(default_factory=dict)


SECTIONS = {
    "model": StartConfig,
    "data": DataConfig,
    "losses": LossConfig,
    "costs": CostWeights,
    "optimiser": OptimiserConfig,
}


def recipe_parser() -> ArgumentParser:
    """The parser that knows every key of a recipe, its type and its default."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--recipe", action="config")
    parser.add_argument("--run", type=Path, default=Path("runs/sgmg"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint_minutes", type=float, default=10.0)
    parser.add_argument("--recompute_activations", type=bool, default=False)
    for name, section in SECTIONS.items():
        parser.add_class_arguments(section, name)
    parser.add_class_arguments(Trainer, "trainer", skip=OWN_TRAINER_ARGUMENTS, instantiate=False)
    parser.set_defaults({"trainer.gradient_clip_val": 0.1, "trainer.num_sanity_val_steps": 0})
    return parser


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe and change it.

    Args:
        path: the YAML file.
        changes: `key=value`, dots between the parts of a key, such as `data.root=/data/ref-youtube-vos`. A model
            to go on from (`model.pretrained=FOLDER`) takes the place of a new network that the file describes.

    Raises:
        InputError: the file is missing or no YAML, a key is unknown, a value is of the wrong type.
    """
    goes_on = any(re.match(r"model(\.pretrained=|=\{.*\bpretrained:)", change) for change in changes)
    if goes_on and _describes_network(path):
        changes = [_NO_NETWORK, *changes]
    made = read_settings(recipe_parser(), "recipe", path, changes)
    own = {section: made[section] for section in SECTIONS}
    return Recipe(
        made.run, made.seed, made.checkpoint_minutes, made.recompute_activations, **own, trainer=vars(made.trainer)
    )


def read_settings(parser: ArgumentParser, kind: str, path: Path, changes: Sequence[str] = ()) -> Any:
    """Read a YAML file with a parser that knows its keys, and make its dataclasses.

    Args:
        parser: with an option of the name `kind` that takes a file.
        kind: what the file is.
        path: the file.
        changes: `key=value`.

    Raises:
        InputError: as for `read_recipe`.
    """
    if not path.is_file():
        raise InputError(f"There is no {kind} {path}.")
    for change in changes:
        if not re.match(r"[\w.]+=", change):
            raise InputError(f"{change!r} changes nothing: write key=value, such as trainer.max_steps=1000.")
    try:
        values = parser.parse_args([f"--{kind}={path}", *(f"--{change}" for change in changes)])
        for section in parser.groups or ():  # the parser takes anything for a whole section
            if section in values and not isinstance(values[section], Namespace):
                raise InputError(f"{path}: {section} holds no settings: give it some, or leave it out.")
        return parser.instantiate(values)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no {kind}: it is not text in UTF-8.") from error
    except (ArgumentError, ValueError) as error:  # the latter around what a part said that may also be left out
        cause = error.__cause__
        said = str(cause) if isinstance(cause, InputError) else _one_sentence(str(error))
        raise InputError(f"{path}: {said}") from error


def _describes_network(path: Path) -> bool:
    """Whether a recipe starts from a new network. What is wrong with the file, its parser says."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    model = content.get("model") if isinstance(content, dict) else None
    return isinstance(model, dict) and "pretrained" not in model


def _one_sentence(message: str) -> str:
    """jsonargparse's messages, which may go over many lines, as one."""
    if match := re.search(r"(?:unrecognized arguments: --|Option '|accept option ')([\w.]+)", message):
        group = re.search(r"Group '([\w.]+)'|Parser key \"([\w.]+)\"", message)
        within = f" in {group[1] or group[2]}" if group else ""
        return f"there is no setting {match[1]}{within}."
    return " ".join(message.replace("Parser key", "the value of").split()) + "."


def _check_start(config: StartConfig) -> None:
    changed = [f.name for f in fields(config) if getattr(config, f.name) != _default(f)]
    if config.pretrained is not None:
        changed = [name for name in changed if name not in ("pretrained", *CHANGEABLE)]
        if changed:
            raise InputError(
                f"model.pretrained brings its own configuration: leave out model.{changed[0]}, or model.pretrained."
            )
    elif config.start is not None:
        encoders = ("text_weights", "visual_weights", *LITE_ENCODERS)
        if brought := [name for name in encoders if name in changed]:
            raise InputError(f"model.start={config.start} brings its encoders: leave out model.{brought[0]}, or it.")
    elif config.text_weights is None:
        raise InputError(
            "A new network needs a text encoder: give model.text_weights=NAME_OR_FOLDER, or model.pretrained=FOLDER "
            "to go on from a model."
        )


def model_config(config: StartConfig) -> SgMgConfig:
    """The configuration of the network that a training starts from; no weights are read.

    Raises:
        InputError: as for `new_model`.
    """
    _check_start(config)
    if config.pretrained is not None:
        return replace(read_config(config.pretrained), **config.given)
    values = _values(config)
    if config.start is not None:
        return lite_config(**values)
    if config.text_weights in ROBERTA_BASE_NAMES:
        values["text_encoder"] = dict(ROBERTA_BASE)
    else:
        assert config.text_weights is not None
        try:
            values["text_encoder"] = AutoConfig.from_pretrained(config.text_weights).to_dict()
        except (OSError, ValueError) as error:
            raise InputError(f"The text encoder {config.text_weights} could not be read: {error}") from error
    return SgMgConfig(**values)


def new_model(config: StartConfig) -> SgMg:
    """The network that a training starts from.

    Raises:
        InputError: a model folder and something else are given, or neither a folder nor a text encoder.
    """
    _check_start(config)
    if config.pretrained is not None:
        return grown_start(config.pretrained, **config.given)
    values = _values(config)
    if config.start is not None:
        return lite_start(**values)
    assert config.text_weights is not None
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.text_weights)
        encoder = AutoModel.from_pretrained(config.text_weights, dtype="float32")
    except (OSError, ValueError) as error:
        raise InputError(f"The text encoder {config.text_weights} could not be read: {error}") from error
    model = SgMg(SgMgConfig(**values | {"text_encoder": encoder.config.to_dict()}), tokenizer)
    missing = model.text_encoder.backbone.load_state_dict(encoder.state_dict(), strict=False).missing_keys
    if missing:  # what the network has no use for (a pooling layer) may be left over, but nothing may be lacking
        raise InputError(f"The text encoder {config.text_weights} lacks {len(missing)} weights, such as {missing[0]}.")
    if config.visual_weights is not None:
        load_visual_weights(model, config.visual_weights)
    return model


def _values(config: StartConfig) -> dict[str, Any]:
    """What a new network's `SgMgConfig` is made of, without encoders that it is given."""
    given = LITE_ENCODERS if config.start is not None else ()
    return {f.name: getattr(config, f.name) for f in fields(SgMgConfig) if f.name not in given}


def _default(of: Field[Any]) -> Any:
    return of.default_factory() if of.default_factory is not MISSING else of.default


#: A change that leaves nothing of the network that a recipe describes.
_NO_NETWORK = f"model={json.dumps({of.name: _default(of) for of in fields(StartConfig)})}"
