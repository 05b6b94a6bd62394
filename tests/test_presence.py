"""What tells whether a thing is there: the head noun apart from its attributes, and presence over a whole clip."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer

from sgmg.model import ModelError, SgMg
from sgmg.model.presence import Presence
from sgmg.model.text import HeadNoun
from sgmg.training import nouns
from sgmg.training.nouns import named_things, teach_head_nouns
from sgmg.training.start import grown_start

EVIDENCE = {"visual_encoder": "tf_efficientnet_lite0", "class_evidence": True, "temporal_layers": 1, "queries": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model without the two parts."""
    monkeypatch.setattr(nouns, "SENTENCES", 20)
    monkeypatch.setattr(nouns, "STEPS", 2)
    torch.manual_seed(0)
    model = SgMg(tiny_config(**EVIDENCE), tiny_tokenizer())
    assert model.evidence is not None
    torch.nn.init.normal_(model.evidence.names)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@torch.no_grad()
def test_a_trained_network_with_new_parts_says_at_first_what_it_said(folder: Path) -> None:
    old, new = SgMg.from_pretrained(folder), grown_start(str(folder), head_noun=True, landmark=True, presence=True)
    assert new.presence is not None
    assert new.text_encoder.head_noun is not None
    assert new.landmark_evidence is not None
    frames = torch.randn(2, 3, 3, 144, 160)
    words = old.tokenize(["the red circle", "a dog", "the dog left", "person"])
    for before, after in zip(*(vars(model(frames, None, *words)[0]).values() for model in (old, new)), strict=True):
        if isinstance(before, torch.Tensor):
            assert torch.equal(before, after)


@torch.no_grad()
def test_parts_stay_in_the_folder(folder: Path, tmp_path: Path) -> None:
    new = grown_start(str(folder), head_noun=True, presence=True, min_score=0.4)
    new.save_pretrained(tmp_path / "new")
    again = grown_start(str(tmp_path / "new"), head_noun=True, presence=True)
    assert again.config == new.config
    assert again.digest() == SgMg.from_pretrained(tmp_path / "new").digest()


@pytest.mark.parametrize("part", ["head_noun", "landmark"])
def test_nouns_need_class_evidence(part: str) -> None:
    with pytest.raises(ModelError, match=f"{part} is compared with class evidence: set class_evidence too"):
        SgMg(tiny_config(**{part: True}))


@torch.no_grad()
def test_the_whole_clip_decides() -> None:
    torch.manual_seed(0)
    presence = Presence(tiny_config(**EVIDENCE))
    torch.nn.init.normal_(presence.decide[-1].weight)  # type: ignore[arg-type]
    notes, logits = torch.randn(2, 5, 1, 32), torch.randn(2, 5, 1, 1)
    changes = presence(notes, logits) - logits
    assert (changes.std(1) < 1e-5).all(), "all frames of a clip change alike"
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(presence(notes[:, order], logits[:, order]) - logits[:, order], changes, atol=1e-5)
    # A frame that scores far lower than another, since the thing is not in it yet, has no say.
    logits[:, 0] = -30.0
    changed = notes.clone()
    changed[:, 0] += 3
    assert torch.allclose(presence(notes, logits), presence(changed, logits), atol=1e-5)


@torch.no_grad()
def test_presence_judges_what_lies_under_the_mask() -> None:
    torch.manual_seed(0)
    config = tiny_config(**EVIDENCE)
    presence = Presence(config)
    text = SgMg(config, tiny_tokenizer()).eval().encode_text(torch.tensor([[2, 4, 3]]), torch.ones(1, 3))
    queries, shares = torch.randn(2, 1, 32), torch.zeros(2, 9, 4, 6)
    shares[..., :3] = 1.0
    left, right = torch.full((2, 1, 16, 16, 24), -9.0), torch.full((2, 1, 16, 16, 24), -9.0)
    left[..., :12], right[..., 12:] = 9.0, 9.0
    seen = []
    presence.note.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for patches in (left, right):
        assert presence.notes(queries, text, patches, shares).shape == (1, 2, 1, 32)
    under = [x[..., 96:105].mean().item() for x in seen]
    assert under == pytest.approx([1.0, 0.0], abs=1e-2)


def test_until_it_is_taught_all_words_count_the_same() -> None:
    words, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    embedding = HeadNoun(8)(words, mask)
    assert torch.allclose(embedding[1], torch.nn.functional.normalize(words[1, :3].mean(0), dim=-1), atol=1e-6)


def test_examples_say_where_the_noun_stands() -> None:
    examples = named_things(200, np.random.default_rng(0))
    nouns = [example.text[slice(*example.noun)] for example in examples]
    assert all(noun.strip() == noun != "" for noun in nouns)
    assert "person" in nouns
    assert any(example.text.startswith("find ") for example in examples)


def test_nouns_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouns, "SENTENCES", 120)
    model = SgMg.from_pretrained("sgmg-lite")
    model.text_encoder.head_noun = HeadNoun(384)
    assert teach_head_nouns(model) > 0.8
    ids, attention = model.tokenize(["the girl in a blue skirt", "a dog chasing the ball"])
    words = model.text_encoder.backbone(input_ids=ids, attention_mask=attention).last_hidden_state
    chosen = model.text_encoder.head_noun.weights(words, attention).argmax(1)
    assert model.tokenizer is not None
    assert [model.tokenizer.convert_ids_to_tokens(int(row[i])) for row, i in zip(ids, chosen, strict=True)] == [
        "girl",
        "dog",
    ]


def test_clips_are_longer_for_the_time_that_neighbours_reach(folder: Path) -> None:
    """A temporal layer gives a clip's first frames the same, whether or not frames beyond its reach follow."""
    layer = SgMg.from_pretrained(folder).temporal[0]
    torch.manual_seed(0)
    x, position = torch.randn(1, 6, 4, 32), torch.randn(1, 4, 32)
    model = SgMg.from_pretrained(folder)
    text = model.encode_text(torch.tensor([[2, 4, 3]]), torch.ones(1, 3))
    mask = torch.zeros(1, 4, dtype=torch.bool)
    with torch.no_grad():
        whole, part = layer(x, position, mask, text), layer(x[:, :4], position, mask, text)
        assert torch.allclose(whole[:, :2], part[:, :2], atol=1e-5)
        for frames in (1, 2, 3):
            assert layer(x[:, :frames], position, mask, text).shape == (1, frames, 4, 32)


@torch.no_grad()
def test_of_several_sentences_in_one_pass_each_has_its_own_noun() -> None:
    torch.manual_seed(0)
    parts = {**EVIDENCE, "multi_object": True, "head_noun": True, "presence": True}
    model = SgMg(tiny_config(**parts), tiny_tokenizer()).eval()
    assert model.evidence is not None
    assert model.evidence.noun_agreement is not None
    torch.nn.init.normal_(model.evidence.names)
    torch.nn.init.normal_(model.evidence.noun_agreement.weight)
    visual = model.encode_video(torch.randn(2, 2, 3, 144, 160))
    text = model.encode_text(*model.tokenize(["the red circle", "a dog", "person"]))
    prediction = model.decode(visual, text, counts=[2, 1])
    assert prediction.logits.shape == (3, 2, 1, 1)
    assert prediction.notes is not None
    assert prediction.notes.shape == (3, 2, 1, 32)


@torch.no_grad()
def test_a_clip_in_parts_is_still_one_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = SgMg(tiny_config(**EVIDENCE, head_noun=True, presence=True), tiny_tokenizer()).eval()
    assert model.presence is not None
    torch.nn.init.normal_(model.presence.decide[-1].weight)  # type: ignore[arg-type]
    frames, words = torch.randn(1, 5, 3, 144, 160), model.tokenize(["the red circle"])
    whole, _ = model(frames, None, *words)
    monkeypatch.setattr("sgmg.model.sgmg.frames_at_once", lambda *_: 2)
    parts, _ = model(frames, None, *words)
    assert torch.allclose(whole.logits, parts.logits, atol=1e-4)
