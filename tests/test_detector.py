"""The frozen detector, and what a network makes of what it finds."""

from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from sgmg.model import ModelError, SgMg
from sgmg.model.coco import KINDS
from sgmg.model.detection_evidence import NAMES, DetectionEvidence
from sgmg.model.detector import DETECTIONS, Detector, cover
from sgmg.training.start import grown_start

KINDS_IN_ORDER = list(KINDS)
PARTS = {"visual_encoder": "test_efficientnet", "presence": True, "temporal_layers": 1, "queries": 1}


@pytest.fixture(scope="module")
def detector() -> Detector:
    """The one inside the package."""
    found = SgMg.from_pretrained("sgmg-lite").detector
    assert found is not None
    return found


def network(**changes: object) -> SgMg:
    """A small one with a detector whose hints count."""
    torch.manual_seed(0)
    model = SgMg(tiny_config(**PARTS, detector=True, **changes), tiny_tokenizer()).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    assert model.detection_evidence is not None
    names = model.detection_evidence.names
    names.copy_(torch.nn.functional.normalize(torch.randn_like(names), dim=-1))
    return model


@torch.no_grad()
def test_it_finds_a_person_and_a_cat_in_photographs(detector: Detector) -> None:
    data = pytest.importorskip("skimage.data")
    for photograph, kind, least in ((data.astronaut(), "person", 0.6), (data.chelsea(), "cat", 0.4)):
        image = torch.tensor(photograph).permute(2, 0, 1)[None]
        _, detections = detector(torch.nn.functional.interpolate(image, (288, 448)))
        best = detections[0, :, 4 + KINDS_IN_ORDER.index(kind)].argmax()
        left, top, right, bottom = detections[0, best, :4]
        assert detections[0, best, 4 + KINDS_IN_ORDER.index(kind)] > least
        assert left < 0.5 < right
        assert top < 0.5 < bottom


@torch.no_grad()
def test_it_gives_a_pyramid_and_so_many_detections_best_first(detector: Detector) -> None:
    pyramid, detections = detector(torch.randint(0, 256, (2, 3, 150, 200), dtype=torch.uint8))
    assert [tuple(x.shape[1:]) for x in pyramid] == [(128, 20, 26), (128, 10, 13), (128, 5, 7)]
    assert detections.shape == (2, DETECTIONS, 4 + len(KINDS))
    best = detections[..., 4:].amax(2)
    assert torch.equal(best, best.sort(descending=True).values)
    assert (detections[..., :2] <= detections[..., 2:4]).all()
    assert ((detections >= 0) & (detections <= 1)).all()


sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(sides, sides, st.integers(1, 20), st.integers(1, 20))
def test_cells_are_covered_as_far_as_the_box_reaches(
    across: list[float], down: list[float], rows: int, columns: int
) -> None:
    (left, right), (top, bottom) = across, down
    covered = cover(torch.tensor([[[left, top, right, bottom]]]), (rows, columns))
    assert covered.shape == (1, 1, rows, columns)
    assert ((covered >= 0) & (covered <= 1)).all()
    assert covered.mean().item() == pytest.approx((right - left) * (bottom - top), abs=1e-5)


@torch.no_grad()
def test_what_a_sentence_names_is_drawn_where_it_was_found() -> None:
    model = network()
    evidence = model.detection_evidence
    assert isinstance(evidence, DetectionEvidence)
    text = model.encode_text(*model.tokenize(["the dog", "a cup"]))
    evidence.names[NAMES.index("puppy")], evidence.names[NAMES.index("cup")] = text.embedding
    dog = KINDS_IN_ORDER.index("dog")
    detections = torch.zeros(1, DETECTIONS, 4 + len(KINDS))
    detections[0, 0, :4] = torch.tensor([0.0, 0.0, 0.5, 0.5])
    detections[0, 0, 4 + dog] = 0.9
    drawn = evidence.draw(detections, text.named, 1, (4, 6))
    assert drawn.shape == (1, 2, 1, evidence.thresholds, 4, 6)
    of_dog, of_cup = drawn[0, :, 0, -1]
    assert of_dog[:2, :3].min() > 0.8
    assert of_dog[2:].max() == of_dog[:, 3:].max() == 0
    assert of_cup.max() < of_dog.max()


@torch.no_grad()
def test_presence_hears_of_what_a_sentence_names_and_of_nothing_else() -> None:
    model = network()
    evidence = model.detection_evidence
    assert evidence is not None
    text = model.encode_text(*model.tokenize(["the dog"]))
    evidence.names.copy_(-text.embedding.expand_as(evidence.names))
    evidence.names[NAMES.index("dog")] = text.embedding
    patches = torch.randn(1, 1, 16, 8, 8)

    def notes(kind: str) -> torch.Tensor:
        detections = torch.zeros(1, DETECTIONS, 4 + len(KINDS))
        detections[0, 0, 2:4] = 1.0
        detections[0, 0, 4 + KINDS_IN_ORDER.index(kind)] = 0.9
        return evidence.notes(detections, text, 1, patches)

    found, other = notes("dog"), notes("cup")
    assert found.shape == (1, 1, 32)
    assert not torch.allclose(found, other, atol=1e-3)
    assert torch.allclose(other, notes("bus"), atol=1e-5)


@torch.no_grad()
def test_a_network_without_a_detector_gets_the_packages_own_and_says_at_first_what_it_said(
    tmp_path: Path, detector: Detector
) -> None:
    torch.manual_seed(0)
    SgMg(tiny_config(**PARTS), tiny_tokenizer()).save_pretrained(tmp_path)
    old, new = SgMg.from_pretrained(tmp_path), grown_start(str(tmp_path), detector=True)
    assert new.detector is not None
    assert new.detection_evidence is not None
    for ours, its in zip(new.detector.state_dict().values(), detector.state_dict().values(), strict=True):
        assert torch.equal(ours, its)
    assert torch.allclose(new.detection_evidence.names.norm(dim=-1), torch.ones(()))
    frames, words = torch.randn(1, 3, 3, 144, 160), old.tokenize(["the dog"])
    before, after = (model(frames, None, *words)[0] for model in (old, new))
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.patch_masks, after.patch_masks)


@torch.no_grad()
def test_what_is_noted_of_landmarks_grows_and_shrinks_with_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    without = {**PARTS, "visual_encoder": "tf_efficientnet_lite0", "class_evidence": True, "landmark": True}
    start = SgMg(tiny_config(**without), tiny_tokenizer())
    for name, weights in start.named_parameters():
        if name.startswith(("landmark_evidence.note", "presence")):
            torch.nn.init.normal_(weights, std=0.1)
    start.save_pretrained(tmp_path / "without")
    grown = grown_start(str(tmp_path / "without"), detector=True)
    grown.save_pretrained(tmp_path / "with")
    shrunk = grown_start(str(tmp_path / "with"), detector=False)
    frames, words = torch.randn(1, 3, 3, 144, 160), start.tokenize(["the dog"])
    said = [model.eval()(frames, None, *words)[0].logits for model in (start, grown, shrunk)]
    assert torch.allclose(said[0], said[1], atol=1e-5)
    assert torch.equal(said[0], said[2])


@torch.no_grad()
@pytest.mark.parametrize("multi_object", [False, True])
def test_every_expression_is_compared_with_what_was_found_in_its_own_clip(multi_object: bool) -> None:
    model = network(multi_object=multi_object)
    frames = torch.randn(2, 2, 3, 144, 160)
    tokens, mask = model.tokenize(["the dog", "a cup", "the person"])
    together = model.decode(model.encode_video(frames), model.encode_text(tokens, mask), [2, 1])
    alone = model.decode(model.encode_video(frames[1:]), model.encode_text(tokens[2:], mask[2:]), [1])
    assert torch.allclose(together.logits[2:], alone.logits, atol=1e-4)


def test_a_folder_that_lost_it_says_so_in_few_words(tmp_path: Path) -> None:
    network().write_folder(tmp_path, encoders_apart=True)
    (tmp_path / "detector.safetensors").unlink()
    with pytest.raises(ModelError, match=r"missing: all 68 weights of detector$"):
        SgMg.from_pretrained(tmp_path)


def test_its_weights_are_never_trained() -> None:
    from sgmg.training.module import SgMgTraining

    training = SgMgTraining(network())
    assert training.model.detector is not None
    assert training.model.detection_evidence is not None
    assert not any(weight.requires_grad for weight in training.model.detector.parameters())
    assert all(weight.requires_grad for weight in training.model.detection_evidence.parameters())
    assert not training.model.detector.training
