"""The network's whole configuration, one small dataclass."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal


class ModelError(ValueError):
    """A model, checkpoint or configuration cannot be used; the message says why, in one sentence."""


#: What is taken out of RGB in [0, 1] before the network: ImageNet's mean and deviation.
PIXEL_MEAN, PIXEL_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Frames are padded to a multiple of this.
SIZE_MULTIPLE = 16
#: Below this the stride-64 level has fewer than the 3x3 cells that the spectral filter needs.
SMALLEST_SIDE = 144


def padded_size(size: Sequence[int]) -> tuple[int, int]:
    """Height and width of frames of a size once they are padded to what the network needs."""
    height, width = (max(SMALLEST_SIDE, -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE) for side in size)
    return height, width


#: RoBERTa-base, the text encoder of every published checkpoint, as `transformers` describes it.
ROBERTA_BASE: dict[str, Any] = {
    "model_type": "roberta",
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
}


#: Fields of the configuration with a choice of values.
CHOICES = {
    "sentence_pooling": ("pooler", "mean"),
    "fusion": ("product", "residual"),
    "fusion_operation": ("spectral", "spatial", "linear"),
    "feature_decoder": ("none", "segment", "observe"),
}


MOST = {
    "hidden_size": 4096,
    "queries": 1000,
    "heads": 256,
    "points": 256,
    "encoder_layers": 64,
    "decoder_layers": 64,
    "temporal_layers": 64,
    "feedforward": 65_536,
    "optimiser_width": 4096,
    "short_side": 8192,
    "long_side": 8192,
}
"""The largest values that are taken for a network, and not for a damaged or hostile file."""


@dataclass
class SgMgConfig:
    """What an SgMg network is made of. The defaults are the published Video-Swin-T model.

    Attributes:
        visual_encoder: ``video_swin_t``, ``video_swin_s``, ``video_swin_b``, or the name of any timm model
            with features at strides 4, 8, 16 and 32, applied to each frame.
        text_encoder: configuration of a Hugging Face text encoder, as ``AutoConfig.for_model`` takes it.
        fold_norms: fold the image encoder's batch norms into its convolutions.
        sentence_pooling: where the sentence feature comes from: the text encoder's ``pooler`` output (as
            published), or the ``mean`` of its word features.
        hidden_size: channels of everything between encoders and heads (the paper's d).
        queries: instance queries per frame (N).
        strides: strides of the fused levels. Each up to 32 is a stage of the visual encoder; 64 comes from
            a strided convolution of the last stage.
        heads: of all attention.
        points: places that a head of the deformable attention looks at in each level.
        encoder_layers: of the deformable transformer.
        decoder_layers: of the deformable transformer.
        feedforward: hidden channels of the deformable transformer's layers.
        dropout: share of units that is left out in training, in the transformer.
        global_attention: decoder queries also attend to all cells at once, so that few of them in few layers
            find the object.
        coordinate_scale: of the relative coordinates in conditional patch segmentation; 1 is pixels, as published.
        fusion: what words do to visual features: multiply them, as the ``product`` published, or, with
            ``residual``, add that product to them.
        fusion_operation: what filters the levels before and after the words: ``spectral`` as published; ``spatial``
            or ``linear``, the two operations that the paper compares it with.
        spectral_sigma: width, in frequency cells, of the Gaussian that attenuates high frequencies.
        patch_kernels: queries draw a patch of 4 x 4 pixels in every cell (CPK); without, one value a cell.
        mask_optimiser: refine patch masks with the visual encoder's early stages (MSO); without, the patch mask,
            resized, is the mask.
        optimiser_width: hidden channels of the multi-granularity segmentation optimiser.
        feature_decoder: decode encoded features in the manner of a feature pyramid before masks are drawn on them:
            ``none``, as published; ``segment`` with decoded features; or ``observe`` them, trained beside the
            network on masks of their own and without any effect on it.
        class_evidence: feed what the visual encoder's own ImageNet classifier sees in every cell, in the
            words of the text encoder, to the fusion (timm encoders with a classifier only).
        head_noun: compare class evidence also with the words that name the thing, apart from its attributes: which
            words these are, the text encoder's features say (with ``class_evidence`` only).
        landmark: feed what evidence there is of a sentence's other thing ("the dog behind the chair") to the fusion
            and to ``presence``; see `sgmg.model.landmark` (with ``class_evidence`` only).
        detector: feed what a small detector of COCO's 80 kinds of things finds to the fusion, and to ``presence``; see
            `sgmg.model.detector`.
        presence: decide over all frames of a clip whether the thing is there; see `sgmg.model.presence`.
        appearance: feed colours and shallow features of the visual encoder to the fusion.
        motion: feed displacements between neighbouring frames to the fusion.
        place: feed positions in the frame to the fusion.
        multi_object: find what all expressions of a clip mean in one pass through the encoder; see
            `sgmg.model.multi_object`.
        temporal_layers: layers of attention to neighbouring frames at stride 32, after the fusion.
        short_side: pixels on the shorter side that frames are resized to for inference,
        long_side: and at most on the longer.
        min_score: score that an object needs in some frame of a clip to be shown, if nothing else is asked for.
    """

    visual_encoder: str = "video_swin_t"
    text_encoder: dict[str, Any] = field(default_factory=lambda: dict(ROBERTA_BASE))
    sentence_pooling: Literal["pooler", "mean"] = "pooler"
    hidden_size: int = 256
    queries: int = 5
    strides: tuple[int, ...] = (8, 16, 32, 64)
    heads: int = 8
    points: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 4
    feedforward: int = 2048
    dropout: float = 0.1
    global_attention: bool = False
    coordinate_scale: float = 1.0
    fusion: Literal["product", "residual"] = "product"
    fusion_operation: Literal["spectral", "spatial", "linear"] = "spectral"
    spectral_sigma: float = 7.0
    patch_kernels: bool = True
    mask_optimiser: bool = True
    optimiser_width: int = 16
    feature_decoder: Literal["none", "segment", "observe"] = "none"
    fold_norms: bool = False
    class_evidence: bool = False
    head_noun: bool = False
    landmark: bool = False
    detector: bool = False
    presence: bool = False
    appearance: bool = False
    motion: bool = False
    place: bool = False
    multi_object: bool = False
    temporal_layers: int = 0
    short_side: int = 360
    long_side: int = 640
    min_score: float = 0.0

    def __post_init__(self) -> None:
        self.strides = tuple(self.strides)
        # Where somebody's copy of the text encoder lay is nobody else's business.
        self.text_encoder = {key: value for key, value in self.text_encoder.items() if key != "_name_or_path"}
        for name, most in MOST.items():
            value = getattr(self, name)
            least = 0 if name == "temporal_layers" else 1
            if not isinstance(value, int) or not least <= value <= most:
                raise ModelError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
        if self.strides not in ((8, 16, 32, 64), (16, 32, 64)):
            raise ModelError(f"strides must be 8, 16, 32, 64 or 16, 32, 64, not {self.strides}")
        if self.hidden_size % 32 or self.hidden_size % self.heads:
            raise ModelError(
                f"hidden_size must be a multiple of 32 and of heads ({self.heads}), not {self.hidden_size}"
            )
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ModelError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
        if "model_type" not in self.text_encoder:
            raise ModelError("text_encoder needs a model_type, such as 'roberta' or 'bert'")

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for ``config.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SgMgConfig":
        """From plain values.

        Raises:
            ModelError: a key is not a field of the configuration, or a value is not allowed.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ModelError(f"unknown keys in the model configuration: {', '.join(unknown)}")
        return cls(**values)
