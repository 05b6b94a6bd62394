"""What a network is made of, in numbers of weights."""

from dataclasses import dataclass
from typing import Any

import torch

from sgmg.model.config import SgMgConfig
from sgmg.model.fusion import count_parameters
from sgmg.model.sgmg import SgMg

#: Parts of a network by the names of its modules, in the order of the data; what is not here is named as in the code.
PARTS = {
    "visual_encoder": "visual encoder",
    "text_encoder.backbone": "text encoder",
    "text_encoder.head_noun": "head noun",
    "text_encoder.landmark": "landmark",
    "text_encoder": "text projections",
    "evidence": "class evidence",
    "detector": "detector",
    "detection_evidence": "detection evidence",
    "landmark_evidence": "landmark evidence",
    "appearance": "appearance",
    "motion": "motion",
    "place": "place",
    "fusion.projections": "level projections",
    "fusion.filters_before": "SCF operators before the words",
    "fusion.word_attention": "SCF attention to the words",
    "fusion.filters_after": "SCF operators after the words",
    "temporal": "temporal layers",
    "transformer.encoder": "deformable encoder",
    "transformer.decoder": "deformable decoder",
    "transformer": "queries and boxes",
    "score_heads": "scores",
    "presence": "presence",
    "feature_decoder": "feature decoder",
    "observer": "feature observer (training only)",
    "patch_segmentation": "conditional patch kernels (CPK)",
    "mask_optimiser": "mask optimiser (MSO)",
}


@dataclass(frozen=True)
class Summary:
    """Numbers of weights of a network.

    Attributes:
        config: what the network is made of.
        parts: weights by part; every weight is in one part. Parts without weights are left out.
        operators: weights of the SCF operators as the paper's Table A counts them; see `sgmg.model.fusion`.
    """

    config: SgMgConfig
    parts: dict[str, int]
    operators: int

    @property
    def total(self) -> int:
        """All weights."""
        return sum(self.parts.values())

    @property
    def without_encoders(self) -> int:
        """Weights of what is neither a pretrained encoder nor a pretrained detector."""
        return self.total - sum(self.parts.get(name, 0) for name in ("visual encoder", "text encoder", "detector"))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "parameters": self.parts,
            "total": self.total,
            "without_encoders": self.without_encoders,
            "scf_operators_as_counted_in_the_paper": self.operators,
            "config": self.config.to_dict(),
        }


def summarise(model: SgMg) -> Summary:
    """Count a network's weights by part."""
    modules = dict(model.named_modules())
    own = {prefix: count_parameters(modules[prefix]) for prefix in PARTS if prefix in modules}
    # A part within another is not counted twice.
    for prefix in own:
        owner = prefix.rpartition(".")[0]
        if owner in own:
            own[owner] -= own[prefix]
    parts = {PARTS[prefix]: count for prefix, count in own.items() if count}
    for name, child in model.named_children():
        if not any(prefix == name or prefix.startswith(name + ".") for prefix in own) and count_parameters(child):
            parts[name] = count_parameters(child)
    return Summary(model.config, parts, model.fusion.counted_parameters())


def summarise_config(config: SgMgConfig) -> Summary:
    """Count the weights that a network of this configuration would have, without making them."""
    with torch.device("meta"):
        return summarise(SgMg(config))
