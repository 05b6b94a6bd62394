"""Exported graphs, run by ONNX Runtime on the CPU; nothing here needs PyTorch.

`sgmg export onnx` (`sgmg.export`) writes the folder: two graphs, the configuration, the tokenizer. The first graph
encodes a clip, for any number of expressions; the second does all that depends on one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sgmg.engines import FRAMES_AT_ONCE, TOO_LARGE, Found, Tokens
from sgmg.errors import InputError
from sgmg.model.config import PIXEL_DEVIATION, PIXEL_MEAN, ModelError, SgMgConfig, padded_size
from sgmg.model.steps import told
from sgmg.paths import user_path

ENCODER, DECODER, CONFIG, TOKENIZER, ABOUT = (
    "encoder.onnx",
    "decoder.onnx",
    "config.json",
    "tokenizer.json",
    "export.json",
)
#: Of the graphs' inputs and outputs; what is written and read must agree.
FORMAT = 2
#: What the encoder takes; the decoder takes what it gives, by the same names, and the padding mask.
FRAMES, PADDING = "frames", "padding_mask"
#: The query whose masks the decoder is to draw; the best one if negative.
QUERY, BEST = "query", -1


def is_exported(folder: Path) -> bool:
    """Whether a folder is what `sgmg export onnx` writes."""
    return (folder / ABOUT).is_file()


@dataclass(frozen=True)
class OnnxClip:
    """An encoded clip of T frames.

    Attributes:
        features: by name, what the encoder gave; frames are the first axis of each.
        padding_mask: (H, W) bool, True on padding, at the size the network saw.
        size: (h, w) of the frames without padding.
    """

    features: dict[str, np.ndarray]
    padding_mask: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class OnnxState:
    """What the decoder found, and what it was asked.

    Attributes:
        text: the expressions.
        patches: (E, T, N, 16, h, w) patch mask logits.
        drawn: (E,) the queries whose masks are drawn.
        masks: (E, T, H, W) their mask logits, at the padded size.
    """

    text: Tokens
    patches: np.ndarray
    drawn: np.ndarray
    masks: np.ndarray


class OnnxEngine:
    """Runs the two graphs of a folder.

    Args:
        folder: what `sgmg export onnx` wrote.
        threads: of the CPU; by default as many as there are cores, or as `OMP_NUM_THREADS` says.

    Raises:
        InputError: there is no such folder, a file is missing or damaged, or ONNX Runtime is not installed.
    """

    device = "cpu"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InputError('Exported models run by ONNX Runtime: pip install "sgmg[onnx]".') from error
        self.folder = user_path(folder)
        about = _read_json(self.folder / ABOUT)
        if about.get("format") != FORMAT:
            raise InputError(f"'{folder}' was exported by another version of sgmg; export the model again.")
        try:
            self.config = SgMgConfig.from_dict(_read_json(self.folder / CONFIG))
            self.dtype, self._max_tokens = str(about["dtype"]), int(about["max_tokens"])
            self._padding_id = int(about["padding_id"])
            if self._max_tokens < 1:
                raise ValueError(f"max_tokens is {self._max_tokens}")
        except (ModelError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"'{folder}' is damaged: {error}.") from error
        try:
            self._tokenizer = Tokenizer.from_file(str(_existing(self.folder / TOKENIZER)))
        except InputError:
            raise
        except Exception as error:  # of a library in Rust, which knows no other kind
            raise InputError(f"'{self.folder / TOKENIZER}' is damaged: it is no tokenizer.") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        options = onnxruntime.SessionOptions()
        self.threads = threads or _threads()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4  # what goes wrong is raised, too

        def session(name: str) -> Any:
            path = _existing(self.folder / name)
            try:
                return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # ONNX Runtime's own have no common kind
                raise InputError(f"'{path}' is damaged: ONNX Runtime cannot read it.") from error

        self._check: Callable[[], None] = _nothing
        self._encoder, self._decoder = session(ENCODER), session(DECODER)
        # What a network makes no use of is no input of its graphs.
        self._seen, self._wanted = (
            {one.name for one in graph.get_inputs()} for graph in (self._encoder, self._decoder)
        )
        self._given = [one.name for one in self._encoder.get_outputs()]
        known = {"input_ids", "attention_mask", QUERY, PADDING, *self._given}
        if not {FRAMES} <= self._seen <= {FRAMES, PADDING} or not {QUERY} <= self._wanted <= known:
            raise InputError(f"'{folder}' is damaged: its graphs do not fit together.")

    def digest(self) -> str:
        """Of all files."""
        found = hashlib.sha256()
        for name in (ENCODER, DECODER, CONFIG, TOKENIZER, ABOUT):
            with (self.folder / name).open("rb") as file:
                while part := file.read(1 << 20):
                    found.update(part)
        return found.hexdigest()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Running out of memory in a sentence."""
        try:
            yield
        except MemoryError as error:
            raise InputError(TOO_LARGE) from error

    def _run(self, graph: Any, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Outputs of a graph."""
        self._check()
        try:
            found: list[np.ndarray] = graph.run(names, given)
        except Exception as error:  # ONNX Runtime's own have no common kind
            if "alloc" in str(error):
                raise InputError(TOO_LARGE) from error
            reason = str(error).partition("\n")[0]
            raise InputError(f"'{self.folder}' is damaged: its graphs cannot be run ({reason}).") from error
        return found

    @contextmanager
    def watched(self, check: Callable[[], None]) -> Iterator[None]:
        """Check before every graph, each of which runs as a whole."""
        self._check = check
        try:
            yield
        finally:
            self._check = _nothing

    def tokenize(self, sentences: Sequence[str]) -> Tokens:
        """By the exported tokenizer."""
        rows, kept = [], []
        for sentence in sentences:
            row = self._tokenizer.encode(sentence).ids
            cut = len(row) > self._max_tokens
            if cut:
                self._tokenizer.enable_truncation(self._max_tokens)
                row = self._tokenizer.encode(sentence).ids
                self._tokenizer.no_truncation()
            rows.append(row)
            kept.append(self._tokenizer.decode(row, skip_special_tokens=True).strip() if cut else None)
        ids = np.full((len(rows), max(map(len, rows))), self._padding_id, np.int64)
        attention = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)], attention[index, : len(row)] = row, 1
        return Tokens(ids, attention, kept)

    def encode_text(self, tokens: Tokens) -> Tokens:
        """The text encoder is part of the decoder's graph."""
        return tokens

    def encode_clip(self, pixels: Sequence[np.ndarray]) -> OnnxClip:
        """T frames (3, h, w) uint8 to the features of a clip."""
        frames = np.stack(pixels).astype(np.float32) / 255
        frames -= np.array(PIXEL_MEAN, np.float32)[:, None, None]
        frames /= np.array(PIXEL_DEVIATION, np.float32)[:, None, None]
        h, w = size = (frames.shape[2], frames.shape[3])
        height, width = padded_size(size)
        frames = np.pad(frames, ((0, 0), (0, 0), (0, height - h), (0, width - w)))
        padding_mask = np.ones((height, width), bool)
        padding_mask[:h, :w] = False
        taken = {FRAMES: frames, PADDING: padding_mask}
        given = self._run(self._encoder, self._given, {name: taken[name] for name in self._seen})
        return OnnxClip(dict(zip(self._given, given, strict=True)), padding_mask, size)

    def select(self, clip: OnnxClip, frames: Sequence[int]) -> OnnxClip:
        """Some frames of an encoded clip."""
        return replace(clip, features={name: value[list(frames)] for name, value in clip.features.items()})

    def find(
        self,
        pixels: Sequence[np.ndarray],
        texts: Sequence[Tokens],
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[OnnxClip, Iterator[Found[OnnxState]]]:
        """What some expressions mean in a clip."""
        clip = self.encode_clip(pixels)
        return clip, (self.decode(clip, text) for text in told(texts, progress))

    def decode(self, clip: OnnxClip, text: Tokens) -> Found[OnnxState]:
        """What a clip's expressions mean, with the masks of the best query."""
        return self._decoded(clip, text, np.full(len(text.ids), BEST, np.int64))

    def _decoded(self, clip: OnnxClip, text: Tokens, query: np.ndarray) -> Found[OnnxState]:
        given = {
            "input_ids": text.ids,
            "attention_mask": text.attention,
            QUERY: query,
            PADDING: clip.padding_mask,
            **clip.features,
        }
        names = ["logits", "patch_masks", "drawn", "masks"]
        wanted = {name: value for name, value in given.items() if name in self._wanted}
        logits, patches, drawn, masks = self._run(self._decoder, names, wanted)
        scores = 1 / (1 + np.exp(-logits[..., 0]))
        return Found(scores, drawn, OnnxState(text, patches, drawn, masks))

    def patches(self, found: Found[OnnxState]) -> np.ndarray:
        """(E, N, T, h, w) bool, all queries' patch masks at stride 2."""
        cells = found.state.patches.transpose(0, 2, 1, 3, 4, 5) > 0
        *batch, _, h, w = cells.shape
        pictures = cells.reshape(*batch, 4, 4, h, w)
        return np.moveaxis(pictures, (-4, -3), (-3, -1)).reshape(*batch, 4 * h, 4 * w)

    def masks(self, found: Found[OnnxState], clip: OnnxClip, query: np.ndarray) -> np.ndarray:
        """Mask logits (E, T, h, w) of one query (E,) for each expression, at the network's size.

        Those of the best queries are there; for others the decoder runs again.
        """
        state = found.state
        if not np.array_equal(query, state.drawn):
            state = self._decoded(clip, state.text, query.astype(np.int64)).state
        return state.masks[..., : clip.size[0], : clip.size[1]]

    def every_mask(self, found: Found[OnnxState], clip: OnnxClip) -> np.ndarray:
        """Mask logits (N, h, w) of all queries, of one expression and one frame."""
        each = range(found.scores.shape[2])
        return np.stack([self.masks(found, clip, np.array([query]))[0, 0] for query in each])

    def cut_at_size(self, logits: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Logits (n, h, w) as masks (n, H, W) bool, a few at a time."""
        for index, part in _at_size(logits, size):
            yield index, part > 0

    def probable_at_size(self, logits: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Logits (n, h, w) as probabilities (n, H, W) float32, a few at a time."""
        for index, part in _at_size(logits, size):
            yield index, 1 / (1 + np.exp(-part))


def _at_size(logits: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
    """Bilinear, as `torch.nn.functional.interpolate` without aligned corners."""
    for start in range(0, len(logits), FRAMES_AT_ONCE):
        index = slice(start, start + FRAMES_AT_ONCE)
        yield index, _resized(_resized(logits[index], size[0], 1), size[1], 2)


def _resized(x: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear along one axis."""
    given = x.shape[axis]
    place = np.clip((np.arange(size) + 0.5) * (given / size) - 0.5, 0, given - 1)
    low = np.floor(place).astype(int)
    share = (place - low).astype(np.float32).reshape(-1, *[1] * (2 - axis))
    first, second = x.take(low, axis), x.take(np.minimum(low + 1, given - 1), axis)
    found: np.ndarray = first + (second - first) * share
    return found


def _nothing() -> None:
    """What is called where nobody watches."""


def _threads() -> int:
    """As many as PyTorch would take."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else os.cpu_count() or 1


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"'{path.parent}' is no exported model, or an incomplete one: {path.name} is missing.")
    return path


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_existing(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or nested without end
        raise InputError(f"'{path}' is damaged: it is not JSON.") from error
    if not isinstance(values, dict):
        raise InputError(f"'{path}' is damaged: it holds no settings.")
    return values
