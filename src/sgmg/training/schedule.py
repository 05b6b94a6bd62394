"""How the network is optimised: learning rates, their schedule, weight decay, weight averaging."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sgmg.errors import InputError


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with one learning rate for each of three groups of parameters.

    Attributes:
        learning_rate: of everything but the two encoders.
        visual_learning_rate: of the visual encoder.
        text_learning_rate: of the text encoder.
        train_visual_encoder: False freezes the visual encoder.
        train_text_encoder: False freezes the text encoder, as in the published main training.
        only: parts of the network that are trained while all others keep their weights, such as
            ``[presence, score_heads]``; none names them all, but for frozen encoders.
        weight_decay: of all parameters.
        schedule: `milestones` multiplies all rates by `gamma` at each milestone; `cosine` lets them fall to
            `gamma` times their value at the last step.
        milestones: epochs at which rates drop, parts of epochs included.
        gamma: see schedule.
        warmup_steps: optimiser steps over which rates rise linearly from zero.
        average_decay: decay of an exponential moving average of the weights, which validation and the
            exported model then use; none without.
    """

    learning_rate: float = 5e-5
    visual_learning_rate: float = 2.5e-5
    text_learning_rate: float = 2.5e-6
    train_visual_encoder: bool = True
    train_text_encoder: bool = False
    only: tuple[str, ...] = ()
    weight_decay: float = 5e-4
    schedule: Literal["milestones", "cosine"] = "milestones"
    milestones: tuple[float, ...] = (6.0, 8.0)
    gamma: float = 0.1
    warmup_steps: int = 0
    average_decay: float | None = None

    def __post_init__(self) -> None:
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps must be 0 or more, not {self.warmup_steps}.")
        if self.average_decay is not None and not 0 <= self.average_decay < 1:
            raise InputError(f"average_decay lies between 0 and 1, unlike {self.average_decay}.")


def learning_rate_factor(
    config: OptimiserConfig, steps: float, steps_per_epoch: Callable[[], float]
) -> Callable[[int], float]:
    """What learning rates are multiplied by at each optimiser step.

    Args:
        config: names the schedule.
        steps: of the whole training, for the cosine.
        steps_per_epoch: asked at every step, since an epoch's length is known only once data is read.
    """

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
        if config.schedule == "milestones":
            epoch = step / steps_per_epoch()
            return warmup * config.gamma ** sum(epoch >= milestone for milestone in config.milestones)
        share = min(1.0, max(0.0, (step - config.warmup_steps) / max(1.0, steps - config.warmup_steps)))
        return warmup * (config.gamma + (1 - config.gamma) * (1 + math.cos(math.pi * share)) / 2)

    return factor
