"""Expressions to word and sentence features, by any Hugging Face text encoder."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from sgmg.model.config import SgMgConfig
from sgmg.model.parts import gradient_if_asked
from sgmg.model.positions import word_positions


@dataclass
class TextFeatures:
    """E encoded expressions of at most L tokens.

    Attributes:
        words: (E, L, d) projected word features.
        sentence: (E, d) projected sentence features.
        padding_mask: (E, L) bool, True on padding.
        embedding: (E, C) unit-length sentence embedding in the text encoder's own space.
        noun: (E, C) the same of the words that name the thing, or None where the model does not tell them apart.
        landmark: (E, C) the same of the words that name another thing, by which the sentence tells where the thing is,
            as long as it is sure that there is one; or None where the model does not ask.
    """

    words: Tensor
    sentence: Tensor
    padding_mask: Tensor
    embedding: Tensor
    noun: Tensor | None = None
    landmark: Tensor | None = None

    @property
    def named(self) -> Tensor:
        """(E, C) what says which kind of thing is meant: the noun where it is told apart, else the whole sentence."""
        return self.embedding if self.noun is None else self.noun

    @property
    def keys(self) -> Tensor:
        """(E, L, d) words with their positions: what cells compare themselves with."""
        return self.words + word_positions(self.padding_mask, self.words.shape[-1])

    @property
    def key_mask(self) -> Tensor:
        """(E, L) what attention takes for keys: bool, True on padding, or float, added to what they score."""
        return self.padding_mask

    def agreed(self, shares: Tensor) -> Tensor:
        """What each text's cells make of sentences (B, E, ...): here every sentence is a text, so all of them."""
        return shares


class FeatureResizer(nn.Sequential):
    """Project text features to the network's width: linear, layer norm, dropout."""

    def __init__(self, channels: int, hidden_size: int, dropout: float) -> None:
        super().__init__(nn.Linear(channels, hidden_size), nn.LayerNorm(hidden_size, eps=1e-12), nn.Dropout(dropout))


class HeadNoun(nn.Module):
    """The meaning of the words that name the thing: "dog" in "the black dog behind the chair".

    A sentence's mean lies near everything that it speaks of; its head noun lies near the classes of what is asked for.
    Which words those are is read off each word's own features. Until that is learned, all words count the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.interest: nn.Module = nn.Linear(channels, 1, bias=False)
        nn.init.zeros_(self.interest.weight)

    def weights(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """How much each word (E, L, C) counts: (E, L), sums to 1."""
        interest = self.interest(words)[..., 0].float()
        return interest.masked_fill(~attention_mask.bool(), -torch.inf).softmax(-1)

    def forward(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Words (E, L, C) of the text encoder and their mask (E, L) to unit-length embeddings (E, C)."""
        weights = self.weights(words, attention_mask)
        return torch.nn.functional.normalize((weights[..., None] * words).sum(1), dim=-1)


class Landmark(HeadNoun):
    """The meaning of the words that name another thing than what is meant: "chair" in "the dog behind the chair".

    As long as it is sure that there is one: next to nothing of "the black dog".
    """

    hidden = 32

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        # Whether a noun is the thing or another one depends on more than a direction in the space of words.
        self.interest: nn.Module = nn.Sequential(nn.Linear(channels, self.hidden), nn.GELU(), nn.Linear(self.hidden, 1))

    def weights(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """How much each word (E, L, C) counts: (E, L); what is missing to 1 says that there is no other thing."""
        interest = self.interest(words)[..., 0].float().masked_fill(~attention_mask.bool(), -torch.inf)
        return torch.nn.functional.pad(interest, [0, 1]).softmax(-1)[:, :-1]

    def forward(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Words (E, L, C) of the text encoder and their mask (E, L) to embeddings (E, C) of lengths from 0 to 1."""
        sure = self.weights(words, attention_mask).sum(1, keepdim=True)
        return super().forward(words, attention_mask) * sure


class TextEncoder(nn.Module):
    """A Hugging Face encoder and the two projections of its output."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.pooling = config.sentence_pooling
        text_config = AutoConfig.for_model(**config.text_encoder)
        pooled = {"add_pooling_layer": config.sentence_pooling == "pooler"}
        self.backbone = AutoModel.from_config(text_config, **pooled)
        self.word_projection = FeatureResizer(text_config.hidden_size, config.hidden_size, config.dropout)
        self.sentence_projection = FeatureResizer(text_config.hidden_size, config.hidden_size, config.dropout)
        self.head_noun = HeadNoun(text_config.hidden_size) if config.head_noun else None
        self.landmark = Landmark(text_config.hidden_size) if config.landmark else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        """Token ids and mask, both (E, L), to features."""
        with gradient_if_asked(self.backbone):
            output = self.backbone(input_ids=input_ids, attention_mask=attention_mask)
        words = output.last_hidden_state  # (E, L, C)
        real = attention_mask[..., None].to(words.dtype)
        mean = (words * real).sum(1) / real.sum(1)  # (E, C)
        sentence = output.pooler_output if self.pooling == "pooler" else mean
        return TextFeatures(
            words=self.word_projection(words),
            sentence=self.sentence_projection(sentence),
            padding_mask=~attention_mask.bool(),
            embedding=torch.nn.functional.normalize(mean.float(), dim=-1),
            noun=self.head_noun(words.float(), attention_mask) if self.head_noun is not None else None,
            landmark=self.landmark(words.float(), attention_mask) if self.landmark is not None else None,
        )
