"""Multi-object models: all expressions of a clip in one pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from test_model import LITE_PARTS
from torch import Tensor
from videos import square_frame

from sgmg import Segmenter
from sgmg.model import PIXEL_DEVIATION, PIXEL_MEAN, Prediction, SgMg, TextFeatures
from sgmg.model.deformable import DeformableAttention, FewQueriesAttention
from sgmg.model.evidence import ClassEvidence
from sgmg.model.fusion import WordAttention
from sgmg.model.multi_object import JoinedText, join
from sgmg.training.batch import Batch, Targets
from sgmg.training.module import SgMgTraining
from sgmg.training.schedule import OptimiserConfig

EXPRESSIONS = ["the dog", "the large red triangle moving left", "a cup"]
EVIDENCE = {"visual_encoder": "tf_efficientnet_lite0", "class_evidence": True}
PARTS = pytest.mark.parametrize("changes", [{}, LITE_PARTS | EVIDENCE], ids=["published parts", "lite parts"])


def make(**changes: object) -> SgMg:
    """A multi-object model whose decoupling, unlike that of a new one, does something."""
    torch.manual_seed(0)
    model = SgMg(tiny_config(**({"multi_object": True} | changes)), tiny_tokenizer()).eval()
    if model.decoupling is not None:
        torch.nn.init.normal_(model.decoupling.output.weight, std=0.3)
    if model.evidence is not None:
        model.evidence.names.copy_(torch.nn.functional.normalize(torch.randn_like(model.evidence.names), dim=-1))
    return model


def texts(model: SgMg, *expressions: str) -> TextFeatures:
    return model.encode_text(*model.tokenize(list(expressions)))


def assert_same(found: Prediction, expected: Prediction, rows: list[int]) -> None:
    """Predictions of these expressions are the expected ones."""
    for name in ("logits", "boxes", "patch_masks"):
        ours, theirs = getattr(found, name)[rows], getattr(expected, name)
        torch.testing.assert_close(ours, theirs, atol=1e-5 * max(1.0, float(theirs.abs().max())), rtol=1e-5)


@PARTS
@torch.no_grad()
def test_the_order_of_expressions_does_not_count(changes: dict[str, object]) -> None:
    model = make(**changes)
    visual = model.encode_video(torch.randn(1, 2, 3, 150, 201))
    expected = model.decode(visual, texts(model, *EXPRESSIONS))
    found = model.decode(visual, texts(model, *[EXPRESSIONS[i] for i in (2, 0, 1)]))
    assert_same(found, expected, [1, 2, 0])


@PARTS
@torch.no_grad()
def test_padding_expressions_change_nothing(changes: dict[str, object]) -> None:
    """A clip with two expressions beside one with three, of another size: as if it were alone."""
    model = make(**changes)
    frames, padding = torch.randn(2, 2, 3, 160, 192), torch.zeros(2, 160, 192, dtype=torch.bool)
    padding[0, :, 176:] = True
    frames[0, ..., 176:] = 0
    counts, all_texts = [2, 3], ["a person", "the still cup", *EXPRESSIONS]
    visual = model.encode_video(frames, padding)
    both = model.decode(visual, texts(model, *all_texts), counts)
    masks = model.optimise_masks(both, visual.one_each(counts), both.best_query())
    for clip, rows in enumerate(([0, 1], [2, 3, 4])):
        own = model.encode_video(frames[clip, None], padding[clip, None])
        alone = model.decode(own, texts(model, *[all_texts[i] for i in rows]))
        assert_same(both, alone, rows)
        expected = model.optimise_masks(alone, own, alone.best_query())
        torch.testing.assert_close(masks[rows], expected, atol=1e-3, rtol=1e-4)


@PARTS
@torch.no_grad()
def test_for_one_expression_a_new_model_is_the_single_object_network(changes: dict[str, object]) -> None:
    single = make(**changes, multi_object=False)
    multi = make(**changes)
    torch.nn.init.zeros_(multi.decoupling.output.weight)
    added = multi.load_state_dict(single.state_dict(), strict=False)
    assert not added.unexpected_keys
    assert all(key.startswith("decoupling.") for key in added.missing_keys)
    frames = torch.randn(2, 2, 3, 144, 160)
    text = single.tokenize(EXPRESSIONS[:2])
    assert_same(multi(frames, None, *text)[0], single(frames, None, *text)[0], [0, 1])


@torch.no_grad()
def test_expressions_see_each_other_and_have_results_of_their_own() -> None:
    model = make()
    visual = model.encode_video(torch.randn(1, 2, 3, 144, 160))
    together = model.decode(visual, texts(model, *EXPRESSIONS))
    alone = model.decode(visual, texts(model, EXPRESSIONS[0]))
    assert (together.patch_masks[0] - alone.patch_masks[0]).abs().max() > 1e-3
    assert (together.patch_masks[0] - together.patch_masks[1]).abs().max() > 1e-3
    assert model.optimise_masks(together, visual, together.best_query()).shape == (3, 2, 144, 160)


@torch.no_grad()
def test_merging_is_a_mean_of_what_is_read_in_each_sentence() -> None:
    """Weighted by how much each sentence speaks to the cell: the mean of exp(score) over its words."""
    torch.manual_seed(0)
    config = tiny_config(heads=1)
    attention, d = WordAttention(config), config.hidden_size
    lengths = [4, 9]
    mask = torch.arange(9) >= torch.tensor(lengths)[:, None]
    text = TextFeatures(torch.randn(2, 9, d), torch.randn(2, d), mask, torch.randn(2, d))
    cells = torch.randn(1, d, 3, 4)
    merged = attention(cells, join(text, [2]))
    each = attention(cells.expand(2, -1, -1, -1), text)  # fused with either sentence
    weight, bias = attention.attention.in_proj_weight.chunk(3), attention.attention.in_proj_bias.chunk(3)
    query = cells.flatten(2).transpose(1, 2) @ weight[0].T + bias[0]  # (1, 12, d)
    scores = query @ (text.keys @ weight[1].T + bias[1]).transpose(1, 2) / d**0.5  # (2, 12, L)
    speaks = scores.exp().masked_fill(mask[:, None], 0).sum(2) / torch.tensor(lengths)[:, None]
    share = (speaks / speaks.sum(0)).view(2, 1, 3, 4)
    torch.testing.assert_close(merged, (share * each).sum(0, keepdim=True), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_evidence_is_merged_as_the_largest_agreement() -> None:
    evidence = ClassEvidence(tiny_config(), 8)
    evidence.names.copy_(torch.nn.functional.normalize(torch.randn(1000, 8), dim=-1))
    text = TextFeatures(torch.randn(3, 2, 4), torch.randn(3, 4), torch.zeros(3, 2, dtype=torch.bool), torch.randn(3, 8))
    posterior = torch.rand(2, 1000, 2, 3).softmax(1)
    joined = join(text, [2, 1])
    assert joined.absent.tolist() == [False, False, False, True]
    merged = joined.agreed(evidence.shares(posterior, joined.embedding, 2))
    first = evidence.shares(posterior[:1], text.embedding[:2], 1).amax(1, keepdim=True)
    second = evidence.shares(posterior[1:], text.embedding[2:], 1)
    torch.testing.assert_close(merged, torch.cat((first, second)))


def test_joined_sentences_are_padded_to_the_most() -> None:
    text = TextFeatures(torch.randn(3, 2, 4), torch.randn(3, 4), torch.tensor([[False, True]] * 3), torch.randn(3, 5))
    joined = join(text, [1, 2])
    assert isinstance(joined, JoinedText)
    assert (joined.words.shape, joined.sentences) == ((2, 4, 4), 2)
    assert joined.padding_mask.tolist() == [[False, True, True, True], [False, True, False, True]]
    assert joined.key_mask.tolist() == [[0, -np.inf, -np.inf, -np.inf], [0, -np.inf, 0, -np.inf]]


def test_few_queries_read_what_many_would() -> None:
    """Reading before projecting gives the same, and the same gradients, as projecting before reading."""
    torch.manual_seed(0)
    config = tiny_config()
    many, few = DeformableAttention(config), FewQueriesAttention(config)
    for parameter in many.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    few.load_state_dict(many.state_dict())
    shapes = [(12, 20), (6, 10), (3, 5), (2, 3)]
    memory = torch.randn(3, sum(h * w for h, w in shapes), 32, requires_grad=True)
    padding, query = torch.rand(memory.shape[:2]) < 0.3, torch.randn(3, 5, 32)
    for coordinates in (2, 4):
        reference = torch.rand(3, 5, 4, coordinates)
        results = [module(query, reference, memory, shapes, padding) for module in (many, few)]
        gradients: list[Tensor] = [torch.autograd.grad(x.square().sum(), memory)[0] for x in results]
        torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_features_are_given_once() -> None:
    model = make()
    visual = model.encode_video(torch.randn(1, 1, 3, 144, 144))
    with pytest.raises(ValueError, match="do not repeat"):
        model.decode(visual.repeat(2), texts(model, "the dog", "a cup"))


def batch_of(counts: list[int]) -> Batch:
    """Clips of noise in which each expression means another rectangle."""
    torch.manual_seed(1)
    count, frames = sum(counts), 2
    masks = torch.zeros(count, frames, 160, 160, dtype=torch.bool)
    boxes = torch.zeros(count, frames, 4)
    for index in range(count):
        left = 16 + 40 * (index % 3)
        masks[index, :, 40:120, left : left + 40] = True
        boxes[index] = torch.tensor([(left + 20) / 160, 0.5, 0.25, 0.5])
    return Batch(
        frames=torch.randint(0, 256, (len(counts), frames, 3, 160, 160), dtype=torch.uint8),
        padding_mask=None,
        targets=Targets(masks, boxes, torch.ones(count, frames, dtype=torch.bool)),
        counts=counts,
        expressions=[EXPRESSIONS[index % 3] for index in range(count)],
    )


@pytest.mark.parametrize(("counts", "multi_object"), [([3], True), ([2, 2], True), ([1, 3], True), ([1, 3], False)])
def test_training_steps_reduce_the_loss(counts: list[int], multi_object: bool) -> None:
    module = SgMgTraining(make(multi_object=multi_object, dropout=0.0))
    batch = batch_of(counts)
    optimiser = torch.optim.AdamW(module.model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = module.losses(batch)[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_every_weight_of_the_decoupling_learns() -> None:
    module = SgMgTraining(make(**LITE_PARTS, **EVIDENCE), optimiser=OptimiserConfig(train_visual_encoder=False))
    module.losses(batch_of([2]))[1].backward()
    without = [name for name, x in module.model.decoupling.named_parameters() if x.grad is None or not x.grad.any()]
    assert not without


def test_the_visual_encoder_runs_once_for_clips_with_different_numbers_of_expressions() -> None:
    model = make(multi_object=False)
    batch = batch_of([1, 3])
    calls = []
    encode = model.encode_video
    model.encode_video = lambda frames, mask: calls.append(len(frames)) or encode(frames, mask)  # type: ignore
    module = SgMgTraining(model).eval()
    with torch.no_grad():
        prediction, visual = module.predict(batch)
        alone = [
            module.predict(
                replace(
                    batch,
                    frames=batch.frames[clip, None],
                    counts=[len(rows)],
                    expressions=[batch.expressions[i] for i in rows],
                )
            )[0]
            for clip, rows in enumerate(([0], [1, 2, 3]))
        ]
    assert calls == [2, 1, 1]
    assert_same(prediction, alone[0], [0])
    assert_same(prediction, alone[1], [1, 2, 3])
    assert model.optimise_masks(prediction, visual, prediction.best_query()).shape == (4, 2, 160, 160)


class TestSegmenter:
    """`Segmenter` asks a multi-object model for all expressions at once."""

    @pytest.fixture
    def frames(self) -> np.ndarray:
        return np.stack([square_frame(index) for index in range(5)])

    def test_a_saved_model_gives_what_the_network_computes(self, frames: np.ndarray, tmp_path: Path) -> None:
        model = make()
        model.save_pretrained(tmp_path / "model")
        segmenter = Segmenter.from_pretrained(tmp_path / "model", device="cpu")
        assert segmenter.model.config.multi_object
        large = frames.repeat(2, axis=1).repeat(2, axis=2)  # 144 x 192, which needs no resizing
        result = segmenter(large, EXPRESSIONS, clip_length="all", short_side=144)
        mean, deviation = (torch.tensor(x)[:, None, None] for x in (PIXEL_MEAN, PIXEL_DEVIATION))
        pixels = (torch.from_numpy(large).permute(0, 3, 1, 2) / 255 - mean) / deviation
        with torch.inference_mode():
            prediction, visual = model(pixels[None], None, *model.tokenize(EXPRESSIONS))
            masks = model.optimise_masks(prediction, visual, prediction.best_query()) > 0
        assert (result.masks == masks.numpy()).mean() > 0.9999
        best = prediction.logits[torch.arange(3), :, prediction.best_query(), 0].sigmoid()
        assert result.frame_scores == pytest.approx(best.numpy(), abs=1e-5)

    def test_one_pass_a_clip(self, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
        segmenter = Segmenter(make(), device="cpu")
        passes, done = [], []
        encode = segmenter.model.transformer.encode
        monkeypatch.setattr(
            segmenter.model.transformer, "encode", lambda *levels: passes.append(len(levels[0][0])) or encode(*levels)
        )
        segmenter(frames, EXPRESSIONS, clip_length=3, progress=lambda now, _: done.append(now))
        assert sum(passes) == 5  # every frame once, whatever the number of expressions
        assert done == sorted(done)
        assert done[-1] == 5

    def test_order_one_expression_and_cut_ones(self, frames: np.ndarray) -> None:
        segmenter = Segmenter(make(), device="cpu")
        forth, back = segmenter(frames, EXPRESSIONS), segmenter(frames, EXPRESSIONS[::-1])
        assert (forth.masks == back.masks[::-1]).mean() > 0.9999
        assert segmenter(frames, "the dog").masks.shape[0] == 1
        with pytest.warns(match="longer than"):
            cut = segmenter(frames, ["the dog", "the dog " * 40])
        assert len(cut.warnings) == 1

    def test_an_encoded_clip_can_be_asked_for_several_and_for_one(self, frames: np.ndarray) -> None:
        segmenter = Segmenter(make(), device="cpu")
        with segmenter.encode(frames) as features:
            several = features.segment(EXPRESSIONS)
            assert (several.masks == segmenter(frames, EXPRESSIONS, clip_length="all").masks).mean() > 0.9999
            alone = features.segment("a cup").masks[0]
            assert ((features.probabilities("a cup") > 0.5) == alone).mean() > 0.9999
            for masks, found in zip(several.masks, features.each_probability(EXPRESSIONS), strict=True):
                assert ((found > 0.5) == masks).mean() > 0.9999
            assert features.candidates("a cup").masks.shape == (3, 72, 96)

    def test_bfloat16(self, frames: np.ndarray) -> None:
        result = Segmenter(make(), device="cpu", dtype="bfloat16")(frames, EXPRESSIONS)
        exact = Segmenter(make(), device="cpu")(frames, EXPRESSIONS)
        assert result.frame_scores == pytest.approx(exact.frame_scores, rel=0.1)
        assert (result.frame_scores != exact.frame_scores).any()
