"""The other thing of a sentence: which words name it, and what a network makes of where it is."""

import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer

from sgmg.model import SgMg
from sgmg.model.coco import KINDS
from sgmg.model.detection_evidence import NAMES
from sgmg.model.detector import DETECTIONS
from sgmg.model.landmark import LandmarkEvidence
from sgmg.model.text import Landmark
from sgmg.training.nouns import named_things, teach_landmarks

PARTS = {
    "visual_encoder": "tf_efficientnet_lite0",
    "class_evidence": True,
    "detector": True,
    "landmark": True,
    "presence": True,
    "queries": 1,
}


def network(**changes: object) -> SgMg:
    """A small one in which what is zero at first counts."""
    torch.manual_seed(0)
    model = SgMg(tiny_config(**PARTS, **changes), tiny_tokenizer()).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    for part in (model.evidence, model.detection_evidence):
        assert part is not None
        part.names.copy_(torch.nn.functional.normalize(torch.randn_like(part.names), dim=-1))
    return model


def test_an_embedding_is_as_long_as_it_is_sure_that_there_is_another_thing() -> None:
    torch.manual_seed(0)
    part, words, mask = Landmark(8), torch.randn(3, 5, 8), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1] * 5])
    sure = part.weights(words, mask).sum(1)
    assert ((sure > 0) & (sure < 1)).all()
    assert torch.allclose(part(words, mask).norm(dim=-1), sure, atol=1e-6)
    assert torch.allclose(part(words, mask)[1], part(words[1:2, :3], mask[1:2, :3])[0], atol=1e-6)


def test_examples_say_where_other_things_stand() -> None:
    examples = named_things(60, np.random.default_rng(0))
    others = [{example.text[slice(*span)] for span in example.landmarks} for example in examples]
    assert any(others)
    assert not all(others)
    assert all(len(words) <= 1 for words in others)
    assert all(example.noun not in example.landmarks for example in examples)


def test_they_are_learned() -> None:
    model = SgMg.from_pretrained("sgmg-lite")
    torch.manual_seed(0)
    part = model.text_encoder.landmark = Landmark(384)
    assert teach_landmarks(model) > 0.8
    ids, attention = model.tokenize(
        ["a man riding a bicycle", "the cup next to the laptop", "the dog that chases the ball", "the leftmost person"]
    )
    words = model.text_encoder.backbone(input_ids=ids, attention_mask=attention).last_hidden_state
    weights = part.weights(words, attention)
    assert model.tokenizer is not None
    chosen = [model.tokenizer.convert_ids_to_tokens(int(row[i])) for row, i in zip(ids, weights.argmax(1), strict=True)]
    assert chosen[:3] == ["bicycle", "laptop", "ball"]
    assert weights[3].sum() < 0.2 < weights[:3].sum(1).min()


@torch.no_grad()
def test_where_the_other_thing_was_found_changes_the_levels_and_what_presence_hears() -> None:
    model = network()
    evidence, detected = model.landmark_evidence, model.detection_evidence
    assert isinstance(evidence, LandmarkEvidence)
    assert detected is not None
    text = model.encode_text(*model.tokenize(["the dog"]))
    text.landmark = torch.nn.functional.normalize(torch.randn(1, detected.names.shape[1]), dim=-1)
    detected.names.copy_(-text.landmark.expand_as(detected.names))
    detected.names[NAMES.index("chair")] = text.landmark
    visual = model.encode_video(torch.randn(1, 1, 3, 144, 160))

    def seen(kind: str) -> list[torch.Tensor]:
        assert visual.detections is not None
        visual.detections = torch.zeros(1, DETECTIONS, 4 + len(KINDS))
        visual.detections[0, 0, :5] = torch.tensor([0.0, 0.0, 0.5, 1.0, 0.0])
        visual.detections[0, 0, 4 + list(KINDS).index(kind)] = 0.9
        return [x.flatten(0, 2) for x in model._landmarks(visual, text, 1, (4, 6))]

    sizes = [(4, 6), (2, 3), (1, 2)]
    chair, bus = (evidence.compare(seen(kind), sizes) for kind in ("chair", "bus"))
    assert [tuple(x.shape) for x in chair] == [(1, 32, *size) for size in sizes]
    changed = (chair[0] - bus[0]).abs().amax(1)[0]
    assert changed[:, :3].min() > 1e-3 > changed[:, 3:].max()
    assert not torch.allclose(evidence.notes(seen("chair")), evidence.notes(seen("bus")), atol=1e-4)
    assert evidence.notes(seen("chair")).shape == (1, 1, 32)


@torch.no_grad()
@pytest.mark.parametrize("multi_object", [False, True])
def test_every_expression_has_its_own(multi_object: bool) -> None:
    model = network(multi_object=multi_object)
    frames = torch.randn(2, 2, 3, 144, 160)
    tokens, mask = model.tokenize(["the dog", "a cup", "the person"])
    together = model.decode(model.encode_video(frames), model.encode_text(tokens, mask), [2, 1])
    alone = model.decode(model.encode_video(frames[1:]), model.encode_text(tokens[2:], mask[2:]), [1])
    assert torch.allclose(together.logits[2:], alone.logits, atol=1e-4)
