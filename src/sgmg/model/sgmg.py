"""SgMg: spectrum-guided multi-granularity referring video object segmentation (Miao et al., ICCV 2023)."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from sgmg.model.appearance import Appearance
from sgmg.model.cells import Cells
from sgmg.model.config import ModelError, SgMgConfig, padded_size
from sgmg.model.deformable import DeformableTransformer, TransformerOutput
from sgmg.model.detection_evidence import DetectionEvidence
from sgmg.model.detector import Detector
from sgmg.model.evidence import ClassEvidence
from sgmg.model.feature_decoder import FeatureDecoder, FeatureObserver
from sgmg.model.fusion import Fusion
from sgmg.model.heads import build_mask_optimiser, build_segmentation, picture
from sgmg.model.landmark import LandmarkEvidence
from sgmg.model.motion import Motion
from sgmg.model.multi_object import Decoupling, JoinedText, join
from sgmg.model.onednn import speed_up_linear_layers
from sgmg.model.parts import FrameQueue, Whole, by_parts, frames_at_once
from sgmg.model.portable import at_sizes, for_each
from sgmg.model.positions import Place, cell_positions
from sgmg.model.presence import Presence
from sgmg.model.pretrained import PretrainedFolder
from sgmg.model.steps import told
from sgmg.model.temporal import TemporalLayer
from sgmg.model.text import TextEncoder, TextFeatures
from sgmg.model.visual import build_visual_encoder

#: As long as no more texts are asked for, their predictions take less than a clip's levels do.
TEXTS_AT_ONCE = 4


@dataclass
class VisualFeatures:
    """B encoded clips of T frames: all that does not depend on an expression.

    Attributes:
        details: (B·T, width, h, w) at strides 4 and 8, what the mask optimiser sees of them.
        levels: (B·T, d, h, w) projected, once filtered levels.
        padding_mask: (B, H, W) bool at the padded size, True on padding.
        frames: T.
        size: height and width of the frames as they were given, before padding to what the network needs.
        posterior: (B·T, classes, h, w) of the encoder's own classifier at stride 32, or None.
        detections: (B·T, detections, 4 + kinds) of the `Detector`, or None.
        expressions: E, how often `repeat` made each clip stand in `levels` and `padding_mask`, whose B is then B·E.
        stages: four (B·T, C, h, w) stages of the visual encoder, strides 4 to 32; only in networks that draw on them
            again (`SgMgConfig.feature_decoder`), since they are most of what a clip takes.
    """

    details: list[Tensor]
    levels: list[Tensor]
    padding_mask: Tensor
    frames: int
    size: tuple[int, int]
    posterior: Tensor | None = None
    detections: Tensor | None = None
    expressions: int = 1
    stages: list[Tensor] = field(default_factory=list)

    def add(self, details: list[Tensor], levels: list[Tensor]) -> None:
        """What is made of the encoder's next stage."""
        self.details += details
        self.levels += levels

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the levels."""
        return [(x.shape[2], x.shape[3]) for x in self.levels]

    @property
    def clips(self) -> int:
        """B, or B·E once repeated."""
        return len(self.padding_mask)

    def select(self, indices: Sequence[int] | Tensor) -> "VisualFeatures":
        """Some frames of every clip, in the order given; the rest of the clip has done its part in the encoder.

        Clips with one annotated frame (A2D, JHMDB) go on with that frame alone.

        Args:
            indices: K frames, the same of all clips, or (B, K), each clip's own.

        Returns:
            features of B clips of K frames.

        Raises:
            IndexError: a clip has no such frame.
            ValueError: the features were repeated; select before.
        """
        if self.expressions != 1:
            raise ValueError("frames are selected before features are repeated")
        chosen = torch.as_tensor(indices, device=self.padding_mask.device).expand(self.clips, -1)  # (B, K)
        if chosen.numel() and not -self.frames <= int(chosen.min()) <= int(chosen.max()) < self.frames:
            raise IndexError(f"frames {chosen.tolist()} of clips of {self.frames} frames")
        rows = torch.arange(self.clips, device=chosen.device)[:, None]

        def of(maps: Tensor) -> Tensor:  # (B·T, C, h, w) to (B·K, C, h, w)
            return maps.unflatten(0, (self.clips, self.frames))[rows, chosen].flatten(0, 1)

        return replace(
            self,
            details=[of(x) for x in self.details],
            levels=[of(x) for x in self.levels],
            stages=[of(x) for x in self.stages],
            frames=chosen.shape[1],
            posterior=None if self.posterior is None else of(self.posterior),
            detections=None if self.detections is None else of(self.detections),
        )

    def chunks(self) -> list["VisualFeatures"]:
        """The clips cut into parts of a few frames, which take less memory; whole where gradients are asked for."""
        length = frames_at_once(self.sizes, self.clips, self.frames, self.padding_mask.device)
        if length == self.frames:
            return [self]

        def of(maps: Tensor, start: int) -> Tensor:  # (B·T, C, h, w) to (B·K, C, h, w)
            return maps.unflatten(0, (-1, self.frames))[:, start : start + length].flatten(0, 1)

        return [
            replace(
                self,
                details=[of(x, start) for x in self.details],
                levels=[of(x, start) for x in self.levels],
                stages=[of(x, start) for x in self.stages],
                frames=min(length, self.frames - start),
                posterior=None if self.posterior is None else of(self.posterior, start),
                detections=None if self.detections is None else of(self.detections, start),
            )
            for start in range(0, self.frames, length)
        ]

    def repeat(self, expressions: int) -> "VisualFeatures":
        """Each clip as many times in a row as it has expressions; details and stages are shared."""
        if expressions == 1:
            return self
        levels = [x.unflatten(0, (self.clips, -1)).repeat_interleave(expressions, 0) for x in self.levels]
        return replace(
            self,
            levels=[x.flatten(0, 1) for x in levels],
            padding_mask=self.padding_mask.repeat_interleave(expressions, 0),
            expressions=self.expressions * expressions,
        )

    def one_each(self, counts: Sequence[int]) -> "VisualFeatures":
        """Each clip as many times in a row as it has expressions; details are shared where all have as many."""
        if len(set(counts)) == 1:
            return self.repeat(counts[0])
        owners = owners_of(counts, self.padding_mask.device)

        def of(maps: Tensor) -> Tensor:  # (B·T, C, h, w) to (ΣE·T, C, h, w)
            return maps.unflatten(0, (self.clips, self.frames))[owners].flatten(0, 1)

        return replace(
            self,
            details=[of(x) for x in self.details],
            levels=[of(x) for x in self.levels],
            stages=[of(x) for x in self.stages],
            padding_mask=self.padding_mask[owners],
            posterior=None if self.posterior is None else of(self.posterior),
            detections=None if self.detections is None else of(self.detections),
        )


@dataclass
class Prediction:
    """What one decoder layer says of B clips of T frames with N queries.

    Attributes:
        logits: (B, T, N, 1) scores before the sigmoid.
        boxes: (B, T, N, 4) cx, cy, w, h in [0, 1] of the unpadded frame.
        patch_masks: (B, T, N, 16, h, w) logits of 4x4 patches in cells of stride 8.
        intermediate: the same of the earlier decoder layers, in order (training only).
        observed: (B, T, N, 16, h, w) logits of patches drawn on observed, decoded features (training of models
            with ``feature_decoder: observe`` only).
        notes: (B, T, N, d) what each frame says of whether the thing is there (models with ``presence`` only).
    """

    logits: Tensor
    boxes: Tensor
    patch_masks: Tensor
    intermediate: list["Prediction"] = field(default_factory=list)
    observed: Tensor | None = None
    notes: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """What is there of inference: (B, T, ...) each."""
        return [x for x in (self.logits, self.boxes, self.patch_masks, self.notes) if x is not None]

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "Prediction":
        """From its `tensors`."""
        logits, boxes, patch_masks, *notes = tensors
        return cls(logits, boxes, patch_masks, notes=notes[0] if notes else None)

    @classmethod
    def join(cls, parts: Iterable["Prediction"], frames: int) -> "Prediction":
        """Predictions of the parts of clips of T frames, one after another, as one of the whole clips."""
        whole = Whole(frames, dim=1)
        for part in parts:
            if part.logits.shape[1] == frames:
                return part
            whole.add(part.tensors, part.logits.shape[1])
        return cls.of(whole.tensors)

    @property
    def patch_masks_at_stride_2(self) -> Tensor:
        """(B, T, N, 4·h, 4·w) the patch masks as pictures."""
        return picture(self.patch_masks)

    def best_query(self) -> Tensor:
        """(B,) the query with the highest mean score over the frames."""
        return self.logits.sigmoid().mean((1, 3)).argmax(1)


class SgMg(nn.Module, PretrainedFolder):
    """The network. Tensors in, tensors out; `sgmg.Segmenter` does the rest.

    >>> model = SgMg.from_pretrained("models/sgmg-t")
    >>> prediction, visual = model(frames, None, *model.tokenize(["the dog"]))
    >>> model.optimise_masks(prediction, visual, prediction.best_query()).shape  # (expressions, T, H, W)

    Args:
        config: what the network is made of; the published Video-Swin-T model by default.
        tokenizer: of the text encoder; without one, `tokenize` raises a `ModelError`.
    """

    def __init__(self, config: SgMgConfig | None = None, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__()
        self.config = config = config or SgMgConfig()
        self.tokenizer = tokenizer
        for part in ("head_noun", "landmark"):
            if getattr(config, part) and not config.class_evidence:
                raise ModelError(f"{part} is compared with class evidence: set class_evidence too")
        d = config.hidden_size
        self.visual_encoder = build_visual_encoder(config)
        self.text_encoder = TextEncoder(config)
        channels = self.visual_encoder.channels
        text_channels = self.text_encoder.backbone.config.hidden_size
        self.evidence = ClassEvidence(config, text_channels) if config.class_evidence else None
        self.detector = Detector() if config.detector else None
        self.detection_evidence = DetectionEvidence(config, text_channels) if config.detector else None
        self.landmark_evidence = LandmarkEvidence(config) if config.landmark else None
        self.appearance = Appearance(config, channels) if config.appearance else None
        self.motion = Motion(config) if config.motion else None
        self.place = Place(config) if config.place else None
        self.fusion = Fusion(config, channels)
        self.temporal = nn.ModuleList(TemporalLayer(config) for _ in range(config.temporal_layers))
        self.transformer = DeformableTransformer(config)
        self.decoupling = Decoupling(config) if config.multi_object else None
        self.score_heads = nn.ModuleList(score_head(d) for _ in range(config.decoder_layers))
        self.presence = Presence(config) if config.presence else None
        self.feature_decoder = FeatureDecoder(config, channels) if config.feature_decoder == "segment" else None
        self.observer = FeatureObserver(config, channels) if config.feature_decoder == "observe" else None
        self.patch_segmentation = build_segmentation(config)
        self.mask_optimiser = build_mask_optimiser(config, channels)
        speed_up_linear_layers(self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer.level_embedding.device

    @property
    def max_tokens(self) -> int:
        """The longest expression that the text encoder takes, in tokens, special ones included."""
        backbone = self.text_encoder.backbone
        # RoBERTa's positions begin after that of padding.
        first = getattr(backbone.embeddings, "padding_idx", -1) + 1
        positions = backbone.config.max_position_embeddings - first
        return min(positions, self.tokenizer.model_max_length) if self.tokenizer is not None else positions

    def tokenize(self, expressions: list[str]) -> tuple[Tensor, Tensor]:
        """Sentences to token ids and attention mask, both (E, L), cut to the text encoder's length."""
        if self.tokenizer is None:
            raise ModelError("this model has no tokenizer; load it from a model folder that holds one")
        tokens = self.tokenizer(
            expressions, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return tokens["input_ids"].to(self.device), tokens["attention_mask"].to(self.device)

    def forward(
        self, frames: Tensor, padding_mask: Tensor | None, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Prediction, VisualFeatures]:
        """Clips and their expressions to predictions; see `encode_video`, `encode_text` and `decode`.

        Args:
            frames: (B, T, 3, H, W), RGB with ImageNet's mean and deviation taken out.
            padding_mask: (B, H, W) bool, True where a clip is padding; None for no padding.
            input_ids: (E, L) tokens of the expressions, as many of each clip, clip after clip.
            attention_mask: (E, L), 1 on tokens and 0 on padding.
        """
        visual = self.encode_video(frames, padding_mask)
        return self.decode(visual, self.encode_text(input_ids, attention_mask)), visual

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        """Token ids and attention mask, both (E, L), to features of E expressions."""
        return self.text_encoder(input_ids, attention_mask)

    def encode_video(self, frames: Tensor, padding_mask: Tensor | None = None) -> VisualFeatures:
        """Encode clips once, for any number of expressions.

        Args:
            frames: (B, T, 3, H, W), RGB: uint8, or with ImageNet's mean and deviation taken out and zeros on padding.
            padding_mask: (B, H, W) bool, True where a clip of the batch is padding; none by default.

        Raises:
            ValueError: frames with padding are uint8, of which no value is the network's zero.
        """
        clips, count, _, *size = frames.shape
        if frames.dtype == torch.uint8 and padding_mask is not None:
            raise ValueError("frames with padding are given with their mean and deviation taken out")
        if padding_mask is None:
            padding_mask = torch.zeros(clips, *size, dtype=torch.bool, device=frames.device)
        visual = VisualFeatures([], [], with_padding(padding_mask), count, (size[0], size[1]))
        if not self._needs_stages:
            number = itertools.count()
            visual.posterior = self.visual_encoder(
                frames, lambda x: visual.add(*self._look(next(number), x, visual.sizes))
            )
            return visual
        visual.posterior = self.visual_encoder(frames, visual.stages.append)
        hints = self._hints(frames, visual)
        for index, stage in enumerate(visual.stages):
            visual.add(*self._look(index, stage, visual.sizes, hints))
        return visual if self._keeps_stages else replace(visual, stages=[])

    @property
    def _keeps_stages(self) -> bool:
        """Whether something asks for the visual encoder's stages again, once levels are made of them."""
        return self.feature_decoder is not None or self.observer is not None

    @property
    def _needs_stages(self) -> bool:
        """Whether something asks for several of the visual encoder's stages, or for all their sizes, at once."""
        hints = (self.appearance, self.motion, self.place, self.evidence, self.detector)
        return self._keeps_stages or any(part is not None for part in hints)

    def _look(
        self, index: int, stage: Tensor, finer: list[tuple[int, int]], hints: Sequence[Tensor] = ()
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Details and levels of one stage (n, C, h, w), made of a few frames at a time.

        `finer` are the sizes of the levels of the stages before.
        """

        def by_few(work: Callable[..., Tensor], size: tuple[int, int], *frames: Tensor) -> Tensor:
            at_once = frames_at_once([size], 1, len(stage), stage.device)
            return by_parts(lambda *part: [work(*part)], at_once, *frames)[0]

        details, levels = [], []
        if index < 2:
            size = (stage.shape[2], stage.shape[3])
            details.append(by_few(lambda x: self.mask_optimiser.look(index, x), size, stage))
        for level in self.fusion.levels_of(index):
            size = self.fusion.size(level, stage)
            finer = [*finer, size]
            project = partial(self.fusion.project, level, self.fusion.bumps(finer, stage.device)[-1])
            levels.append(by_few(project, size, stage, *hints[level : level + 1]))
        return details, levels

    def _hints(self, frames: Tensor, visual: VisualFeatures) -> list[Tensor]:
        """What is added to each level before fusion: colours, motion, place, classes and what a detector sees.

        (B·T, d, h, w) each, or none at all.
        """
        sizes = self.fusion.sizes(visual.stages)
        hints = []
        if self.appearance is not None:
            hints.append(self.appearance(frames.flatten(0, 1), visual.stages, sizes))
        if self.motion is not None:
            hints.append(self.motion(visual.stages, visual.clips, sizes))
        if self.place is not None:
            masks = [mask_at_size(visual.padding_mask, size) for size in sizes]
            of_clips = self.place([cell_positions(mask, self.config.hidden_size) for mask in masks])
            hints.append([for_each(x, visual.frames) for x in of_clips])
        if self.evidence is not None and visual.posterior is not None:
            hints.append(at_sizes(self.evidence.describe(visual.posterior), sizes))
        if self.detector is not None:
            visual.detections, *seen = self._detect(frames.flatten(0, 1), sizes)
            hints.append(seen)
        return [sum(level[1:], start=level[0]) for level in zip(*hints, strict=True)]

    def _detect(self, frames: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Detections in frames (n, 3, H, W), and what the detector sees for each level's size (n, d, h, w)."""
        detector, evidence = self.detector, self.detection_evidence
        assert detector is not None
        assert evidence is not None

        def detect(frames: Tensor) -> list[Tensor]:
            pyramid, detections = detector(frames)
            return [detections, *evidence.describe(pyramid, sizes)]

        rows, columns = padded_size(frames.shape[2:])
        at_once = frames_at_once([(rows // 4, columns // 4)], 1, len(frames), frames.device)
        return by_parts(detect, at_once, frames)

    def decode(self, visual: VisualFeatures, text: TextFeatures, counts: Sequence[int] | None = None) -> Prediction:
        """Find what each clip's expressions mean.

        Args:
            visual: B encoded clips.
            text: of all clips' expressions, clip after clip.
            counts: expressions of each clip; by default all clips have as many.

        Returns:
            predictions of all expressions: B in `Prediction` is their number.
        """
        return self._decided(self._seen(visual, text, counts or [len(text.words) // visual.clips] * visual.clips))

    def find(
        self,
        frames: Sequence[Tensor],
        texts: Sequence[TextFeatures],
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[VisualFeatures, Iterator[Prediction]]:
        """What some texts mean in a clip of which nothing else is asked: `encode_video`, and `decode` of each.

        Where frames are independent once the visual encoder has seen them and texts are few, every few frames are
        decoded at once, and the clip's levels are never all there.

        Args:
            frames: T of (3, H, W), uint8 or as `encode_video` takes them.
            texts: what goes through the network together, one after another.
            progress: told now and then what share of the work is done.

        Returns:
            what `optimise_masks` asks of the clip, and a prediction for each text in turn.
        """
        if len(texts) > TEXTS_AT_ONCE or self.temporal or self._needs_stages or torch.is_grad_enabled():
            visual = self.encode_video(torch.stack(list(frames)).to(self.device)[None])
            return visual, (self.decode(visual, text) for text in told(texts, progress))
        details, predictions = Whole(len(frames)), [Whole(len(frames), dim=1) for _ in texts]
        done = 0
        for part in self._stream(frames):
            details.add(part.details, part.frames)
            for text, prediction in zip(texts, predictions, strict=True):
                prediction.add(self._seen(part, text, [len(text.words)]).tensors, part.frames)
            done += part.frames
            progress(done / len(frames))
        visual = replace(part, details=details.tensors, levels=[], frames=len(frames))
        return visual, (self._decided(Prediction.of(prediction.tensors)) for prediction in predictions)

    def _stream(self, frames: Sequence[Tensor]) -> Iterator[VisualFeatures]:
        """A clip's features, of some frames after others."""
        size = (frames[0].shape[1], frames[0].shape[2])
        padding_mask = with_padding(torch.zeros(1, *size, dtype=torch.bool, device=self.device))
        details, levels = defaultdict[int, FrameQueue](FrameQueue), defaultdict[int, FrameQueue](FrameQueue)
        sizes: list[tuple[int, int]] = []

        def take(index: int, stage: Tensor) -> None:
            first = sum(len(self.fusion.levels_of(finer)) for finer in range(index))
            seen, projected = self._look(index, stage, sizes[:first])
            sizes[first : first + len(projected)] = [(x.shape[2], x.shape[3]) for x in projected]
            for number, x in enumerate(seen, index):
                details[number].put(x)
            for number, x in enumerate(projected, first):
                levels[number].put(x)

        for count in self.visual_encoder.stream([frame.to(self.device) for frame in frames], take):
            seen, projected = ([q[number].take(count) for number in sorted(q)] for q in (details, levels))
            yield VisualFeatures(seen, projected, padding_mask, count, size)

    def _seen(self, visual: VisualFeatures, text: TextFeatures, counts: Sequence[int]) -> Prediction:
        """`decode`, but for what the whole clip decides."""
        if self.decoupling is None:
            visual = visual.one_each(counts)
        elif visual.expressions != 1:
            raise ValueError("a multi-object model takes each clip once for all its expressions: do not repeat it")
        words = text if self.decoupling is None else join(text, counts)
        cells = self.transformer.cells(self.level_masks(visual))
        parts = self._fused_parts(visual, words)
        return Prediction.join((self._decode_frames(part, cells, text, words, counts) for part in parts), visual.frames)

    def _decided(self, prediction: Prediction) -> Prediction:
        """With what the whole clip says of whether things are there."""
        if self.presence is None or prediction.notes is None:
            return prediction
        return replace(prediction, logits=self.presence(prediction.notes, prediction.logits))

    def _fused_parts(self, visual: VisualFeatures, text: TextFeatures) -> Iterator[VisualFeatures]:
        """The clips a few frames at a time, with words in their levels."""
        if self.temporal:
            yield from replace(visual, levels=self.fuse(visual, text)).chunks()
        else:  # no part waits for another: the whole clip's fused levels are never there at once
            for part in visual.chunks():
                yield replace(part, levels=self._fuse_frames(part, text))

    def _decode_frames(
        self, visual: VisualFeatures, cells: Cells, text: TextFeatures, words: TextFeatures, counts: Sequence[int]
    ) -> Prediction:
        """Predictions from levels that are fused with `words`: each frame by itself.

        In a multi-object model, all expressions of a clip go through the encoder in one pass; see
        `sgmg.model.multi_object`.
        """
        cells = cells.each(lambda x: for_each(x, visual.frames))
        sentence = for_each(text.sentence, visual.frames)
        if self.decoupling is None or not isinstance(words, JoinedText):
            return self._predict(visual, self.transformer(visual.levels, cells, sentence), text)
        encoded = self.transformer.encode(visual.levels, cells)
        shares: list[Tensor] = []
        if self.evidence is not None and visual.posterior is not None:
            of_all = self.evidence.shares(visual.posterior, words.embedding, visual.clips).flatten(0, 1)
            shares = at_sizes(of_all[~words.absent].flatten(0, 1), cells.shapes)
        owners = owners_of(counts, visual.padding_mask.device)
        encoded = self.decoupling(encoded, text, owners, visual.frames, shares)
        visual = replace(visual, levels=[]).one_each(counts)
        output = self.transformer.decode(encoded, sentence)
        return self._predict(visual, output, text)

    def fuse(self, visual: VisualFeatures, text: TextFeatures) -> list[Tensor]:
        """Words into the levels: (B·T, d, h, w) each."""
        parts = [self._fuse_frames(part, text) for part in visual.chunks()]
        fused = [join_frames(levels, visual.clips) for levels in zip(*parts, strict=True)]
        if self.temporal:
            index = self.config.strides.index(32)
            fused[index] = self._look_around(fused[index], self.level_masks(visual)[index], text)
        return fused

    def _fuse_frames(self, visual: VisualFeatures, text: TextFeatures) -> list[Tensor]:
        sizes, clips = visual.sizes, visual.clips // visual.expressions
        agreements = []
        if self.evidence is not None and visual.posterior is not None:
            agreements.append(at_sizes(self.evidence.compare(visual.posterior, text, clips), sizes))
        if self.detection_evidence is not None and visual.detections is not None:
            agreements.append(self.detection_evidence.compare(visual.detections, text, clips, sizes))
        if self.landmark_evidence is not None:
            seen = self._landmarks(visual, text, clips, sizes[0])
            agreements.append(self.landmark_evidence.compare([text.agreed(x).flatten(0, 2) for x in seen], sizes))
        agreement = [sum(level[1:], start=level[0]) for level in zip(*agreements, strict=True)]
        return self.fusion(visual.levels, text, agreement or [None] * len(sizes))

    def _look_around(self, level: Tensor, mask: Tensor, text: TextFeatures) -> Tensor:
        """Temporal layers over one level (B·T, d, h, w) with padding mask (B, h, w)."""
        clips = len(mask)
        cells = level.flatten(2).transpose(1, 2).unflatten(0, (clips, -1))  # (B, T, S, d)
        position = cell_positions(mask, self.config.hidden_size).flatten(2).transpose(1, 2)
        for layer in self.temporal:
            cells = layer(cells, position, mask.flatten(1), text)
        return cells.flatten(0, 1).transpose(1, 2).reshape(level.shape)

    def level_masks(self, visual: VisualFeatures) -> list[Tensor]:
        """The padding mask at each level's size: (B, h, w) bool."""
        return [mask_at_size(visual.padding_mask, size) for size in visual.sizes]

    def segmented_levels(self, output: TransformerOutput) -> list[Tensor]:
        """The encoder's output that masks are drawn on: its levels up to stride 32."""
        return output.memory[: self.config.strides.index(32) + 1]

    def _predict(self, visual: VisualFeatures, output: TransformerOutput, text: TextFeatures) -> Prediction:
        """Scores, boxes and patch masks of the last decoder layer; in training of all of them."""
        grid = (visual.details[1].shape[2], visual.details[1].shape[3])
        memory = self.segmented_levels(output)
        drawn_on = memory
        if self.feature_decoder is not None:
            drawn_on = [self.feature_decoder(memory, visual.stages, text)]
        real = ~visual.padding_mask
        size = torch.stack((real[:, 0].sum(1), real[:, :, 0].sum(1)), -1)  # (B, 2): width, height
        size = for_each(size, visual.frames)[:, None]
        layers = range(len(self.score_heads)) if self.training else range(len(self.score_heads))[-1:]
        predictions = []
        for layer in layers:
            queries = output.queries[layer]
            patches = self.patch_segmentation(drawn_on, grid, queries, output.references[layer] * size)
            by_clip = (self.score_heads[layer](queries), output.boxes[layer], patches)
            predictions.append(Prediction(*(x.unflatten(0, (visual.clips, visual.frames)) for x in by_clip)))
        last = replace(predictions[-1], intermediate=predictions[:-1])
        if self.presence is not None:
            queries, patches = output.queries[-1], last.patch_masks.flatten(0, 1)
            clips = visual.clips // visual.expressions
            last.notes = self.presence.notes(queries, text, patches, self._noun_shares(visual, text))
            more = []
            if self.detection_evidence is not None and visual.detections is not None:
                more.append(self.detection_evidence.notes(visual.detections, text, clips, patches))
            if self.landmark_evidence is not None:
                seen = self._landmarks(visual, text, clips, (grid[0] // 2, grid[1] // 2))
                more.append(self.landmark_evidence.notes([x.flatten(0, 2) for x in seen]))
            for noted in more:
                last.notes = last.notes + noted.unflatten(0, (visual.clips, visual.frames))
        if self.observer is not None and self.training:
            seen = self.observer(memory, visual.stages, text, output.queries[-1], output.references[-1] * size)
            last.observed = seen.unflatten(0, (visual.clips, visual.frames))
        return last

    def _noun_shares(self, visual: VisualFeatures, text: TextFeatures) -> Tensor | None:
        """How far each cell's classes are what each expression names: (B·T, thresholds + 1, h, w), or None."""
        if self.evidence is None or visual.posterior is None:
            return None
        return self.evidence.shares(visual.posterior, text.named, visual.clips // visual.expressions).flatten(0, 2)

    def _landmarks(self, visual: VisualFeatures, text: TextFeatures, clips: int, size: tuple[int, int]) -> list[Tensor]:
        """What evidence there is in each cell of the other things of sentences: (B, E, T, n, h, w) of each sort.

        `size` is of the grid that detections are drawn on.
        """
        assert self.evidence is not None
        assert visual.posterior is not None
        assert text.landmark is not None
        seen = [self.evidence.shares(visual.posterior, text.landmark, clips)]
        if self.detection_evidence is not None and visual.detections is not None:
            seen.append(self.detection_evidence.draw(visual.detections, text.landmark, clips, size))
        return seen

    def optimise_masks(self, prediction: Prediction, visual: VisualFeatures, query: Tensor) -> Tensor:
        """Mask logits of one query a clip, or of several.

        Args:
            prediction: of the same clips as `visual`, which may be one for all expressions.
            query: (B,) indices, or (B, Q) of Q queries a clip.

        Returns:
            (B, T, H, W), or (B, Q, T, H, W), at the size of the frames given to `encode_video`.
        """
        several = query if query.dim() == 2 else query[:, None]
        rows = torch.arange(len(query), device=query.device)[:, None]
        patches = prediction.patch_masks.transpose(1, 2)[rows, several]  # (B, Q, T, 16, h, w)
        clips = visual.clips // visual.expressions
        # To the optimiser, the queries of one clip are as the expressions of one clip.
        patches = patches.flatten(0, 1).unflatten(0, (clips, -1))  # (B, E, T, 16, h, w)
        h, w = visual.size

        def optimise(patches: Tensor, *details: Tensor) -> list[Tensor]:  # of frames, (K, B, E, 16, h, w) and others
            by_clip = [detail.transpose(0, 1).flatten(0, 1) for detail in details]
            return [self.mask_optimiser(patches.permute(1, 2, 0, 3, 4, 5), by_clip)[..., :h, :w].movedim(2, 0)]

        by_frame = [detail.unflatten(0, (clips, -1)).transpose(0, 1) for detail in visual.details]
        size = (visual.details[0].shape[2], visual.details[0].shape[3])
        at_once = frames_at_once([size], len(patches.flatten(0, 1)), visual.frames, query.device)
        logits = by_parts(optimise, at_once, patches.permute(2, 0, 1, 3, 4, 5), *by_frame)[0]  # (T, B, E, H, W)
        logits = logits.movedim(0, 2).flatten(0, 1)
        return logits if query.dim() == 1 else logits.unflatten(0, several.shape)


def with_padding(padding_mask: Tensor) -> Tensor:
    """The padding mask (B, H, W) of clips at the padded size; frames themselves get their padding a few at a time."""
    (h, w), (rows, columns) = padding_mask.shape[1:], padded_size(padding_mask.shape[1:])
    return F.pad(padding_mask, [0, columns - w, 0, rows - h], value=True) if (rows, columns) != (h, w) else padding_mask


def join_frames(parts: Sequence[Tensor], clips: int) -> Tensor:
    """Maps (B·T_i, ...) of parts of B clips, one after another, as (B·T, ...)."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([part.unflatten(0, (clips, -1)) for part in parts], 1).flatten(0, 1)


def owners_of(counts: Sequence[int], device: torch.device) -> Tensor:
    """Index of the clip of each expression: 2 and 1 expressions are [0, 0, 1]."""
    return torch.arange(len(counts), device=device).repeat_interleave(torch.tensor(counts, device=device))


def score_head(channels: int) -> nn.Linear:
    """Queries to score logits. Most queries are no instance, so scores start at 0.01."""
    head = nn.Linear(channels, 1)
    nn.init.constant_(head.bias, -math.log(0.99 / 0.01))
    return head


def mask_at_size(padding_mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A padding mask (B, H, W) at a level's size: (B, h, w) bool."""
    return F.interpolate(padding_mask[:, None].float(), size)[:, 0].bool()
