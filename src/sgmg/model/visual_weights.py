"""Pretrained weights for a new network's visual encoder: published ones, torchvision's, timm's, or another model's."""

import re
from pathlib import Path
from urllib.error import URLError

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from torch import Tensor
from torchvision.models import WeightsEnum, get_model_weights

from sgmg.model.config import ModelError
from sgmg.model.pretrained import load_exactly
from sgmg.model.published import load_kinetics, read_checkpoint
from sgmg.model.sgmg import SgMg
from sgmg.model.visual import ImageEncoder

#: Of torchvision's Swin3D, what the encoder has no place for: the classifier, and integers that hold nothing learned.
LEFT_OUT = re.compile(r"(norm|head)\.(weight|bias)|.*\.relative_position_index")


def load_visual_weights(model: SgMg, source: str) -> None:
    """Give a network's visual encoder pretrained weights.

    Args:
        model: whose visual encoder takes them.
        source: a published Kinetics checkpoint (``.pth``), a model folder with the same visual encoder, the name
            of torchvision's weights of Swin3D (such as ``KINETICS400_V1``, downloaded once), or, for an image
            encoder, ``timm`` for the weights that timm has for it (downloaded once).

    Raises:
        ModelError: there are no such weights, they cannot be had, or they are of another encoder.
    """
    encoder, name = model.visual_encoder, model.config.visual_encoder
    path = Path(source)
    if path.is_dir():
        other = SgMg.from_pretrained(path)
        if other.config.visual_encoder != name:
            raise ModelError(f"{source} has the visual encoder {other.config.visual_encoder}, not {name}")
        state = other.visual_encoder.state_dict()
        load_exactly(encoder, {key: value for key, value in state.items() if value.is_floating_point()}, source)
    elif isinstance(encoder, ImageEncoder):
        if source != "timm":
            raise ModelError(f"there is no folder {source}: give one, or 'timm' for timm's weights of {name}")
        encoder.load_classifier(_timm_weights(name))
    elif path.suffix in (".pth", ".pt") or path.is_file():
        content = read_checkpoint(path).get("state_dict")
        if not isinstance(content, dict):
            raise ModelError(f"{source} has no 'state_dict', as Kinetics checkpoints of Video Swin have")
        variant, weights = load_kinetics({key: value for key, value in content.items() if isinstance(value, Tensor)})
        if variant != name:
            raise ModelError(f"{source} is a {variant}, but the visual encoder is {name}")
        load_exactly(encoder, weights, source)
    else:
        load_exactly(encoder, _torchvision_weights(name, source), source)


def _torchvision_weights(name: str, source: str) -> dict[str, Tensor]:
    known = get_model_weights(name.replace("video_swin", "swin3d"))
    short = source.rpartition(".")[2]
    if short not in known.__members__:
        raise ModelError(
            f"there are no weights {source} for {name}: give a Kinetics checkpoint, a model folder, or one of "
            f"{', '.join(known.__members__)}"
        )
    weights: WeightsEnum = known[short]
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise ModelError(
            f"{source} could not be downloaded ({error}): download {weights.url} elsewhere into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}"
        ) from error
    kept = {key: value for key, value in state.items() if not LEFT_OUT.fullmatch(key)}
    kept["patch_embed.proj.weight"] = kept["patch_embed.proj.weight"].sum(2, keepdim=True)  # patches of one frame
    return kept


def _timm_weights(name: str) -> list[Tensor]:
    try:
        return list(timm.create_model(name, pretrained=True).state_dict().values())
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
        raise ModelError(f"timm's weights of {name} could not be downloaded: {error}") from error
