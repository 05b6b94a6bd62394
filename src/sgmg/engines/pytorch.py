"""An `SgMg` network, run by PyTorch on a CPU, CUDA or MPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sgmg.engines import FRAMES_AT_ONCE, TOO_LARGE, Found, Tokens
from sgmg.errors import InputError
from sgmg.model import Prediction, SgMg, TextFeatures, VisualFeatures
from sgmg.model.config import SgMgConfig

Dtype = Literal["float32", "bfloat16"]


class PyTorchEngine:
    """Runs an `SgMg`.

    Args:
        model: the network; it is moved to `device` and put into evaluation mode.
        device: "auto" (CUDA, else MPS, else CPU), or a device as PyTorch names it.
        dtype: "float32", or "bfloat16" for matrix products.
        threads: of the CPU, for all of PyTorch in this process; by default as it is.

    Raises:
        InputError: there is no such device or type.
    """

    def __init__(self, model: SgMg, device: str = "auto", dtype: Dtype = "float32", threads: int | None = None) -> None:
        if dtype not in ("float32", "bfloat16"):
            raise InputError(f"'{dtype}' is no type to compute with; choose float32 or bfloat16.")
        if threads is not None:
            torch.set_num_threads(threads)
        self._device, self.dtype = find_device(device), dtype
        self.model = model.to(self._device).eval()

    @property
    def config(self) -> SgMgConfig:
        """What the network is made of."""
        return self.model.config

    @property
    def device(self) -> str:
        """As PyTorch names it."""
        return str(self._device)

    @property
    def threads(self) -> int:
        """Of the CPU, as PyTorch has them now."""
        return torch.get_num_threads()

    def digest(self) -> str:
        """Of configuration and weights."""
        return self.model.digest()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """No gradients, fixed algorithms, the chosen precision; running out of memory in a sentence."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self._device.type == "cuda":
                stack.enter_context(_fixed_algorithms())
            if self.dtype == "bfloat16":
                stack.enter_context(torch.autocast(self._device.type, torch.bfloat16))
            try:
                yield
            except (RuntimeError, MemoryError) as error:
                if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "alloc" in str(error):
                    raise InputError(TOO_LARGE) from error
                raise

    @contextmanager
    def watched(self, check: Callable[[], None]) -> Iterator[None]:
        """Check before every layer: a clip takes seconds on a CPU, a layer a fraction of one."""
        handles = [module.register_forward_pre_hook(lambda *_: check()) for module in self.model.modules()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def tokenize(self, sentences: Sequence[str]) -> Tokens:
        """By the model's tokenizer; a `sgmg.model.ModelError` without one."""
        ids, attention = (x.cpu().numpy() for x in self.model.tokenize(list(sentences)))
        rows = zip(sentences, ids, attention.astype(bool), strict=True)
        return Tokens(ids, attention, [self._kept_of(sentence, row[real].tolist()) for sentence, row, real in rows])

    def _kept_of(self, sentence: str, ids: list[int]) -> str | None:
        """What truncation left of a sentence; None if all of it."""
        tokenizer = self.model.tokenizer
        if tokenizer is None or len(tokenizer(sentence, verbose=False)["input_ids"]) <= len(ids):
            return None
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def encode_text(self, tokens: Tokens) -> TextFeatures:
        """Features of expressions that go through the network together."""
        return self.model.encode_text(*(torch.from_numpy(x).to(self._device) for x in (tokens.ids, tokens.attention)))

    def encode_clip(self, pixels: Sequence[np.ndarray]) -> VisualFeatures:
        """T frames (3, h, w) uint8 to the features of a clip."""
        return self.model.encode_video(torch.from_numpy(np.stack(pixels)).to(self._device)[None])

    def find(
        self,
        pixels: Sequence[np.ndarray],
        texts: Sequence[TextFeatures],
        progress: Callable[[float], None] = lambda share: None,
    ) -> tuple[VisualFeatures, Iterator[Found[Prediction]]]:
        """What some expressions mean in a clip of which nothing else is asked."""
        clip, predictions = self.model.find([torch.from_numpy(frame) for frame in pixels], texts, progress)
        return clip, map(self._found, predictions)

    def select(self, clip: VisualFeatures, frames: Sequence[int]) -> VisualFeatures:
        """Some frames of an encoded clip."""
        return clip.select(frames)

    def decode(self, clip: VisualFeatures, text: TextFeatures) -> Found[Prediction]:
        """What a clip's expressions mean."""
        return self._found(self.model.decode(clip, text))

    @staticmethod
    def _found(prediction: Prediction) -> Found[Prediction]:
        scores = prediction.logits[..., 0].float().sigmoid().cpu().numpy()
        return Found(scores, prediction.best_query().cpu().numpy(), prediction)

    def patches(self, found: Found[Prediction]) -> np.ndarray:
        """(E, N, T, h, w) bool, all queries' patch masks at stride 2."""
        masks: np.ndarray = (found.state.patch_masks_at_stride_2.transpose(1, 2) > 0).cpu().numpy()
        return masks

    def masks(self, found: Found[Prediction], clip: VisualFeatures, query: np.ndarray) -> Tensor:
        """Mask logits (E, T, h, w) of one query (E,) for each expression, at the network's size."""
        chosen = torch.from_numpy(query).to(self._device)
        return self.model.optimise_masks(found.state, clip, chosen)

    def every_mask(self, found: Found[Prediction], clip: VisualFeatures) -> Tensor:
        """Mask logits (N, h, w) of all queries, of one expression and one frame."""
        queries = torch.arange(found.scores.shape[2], device=self._device)[None]
        return self.model.optimise_masks(found.state, clip, queries)[0, :, 0]

    def cut_at_size(self, logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Logits (n, h, w) as masks (n, H, W) bool, a few at a time."""
        for index, part in _at_size(logits, size):
            yield index, (part > 0).cpu().numpy()

    def probable_at_size(self, logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Logits (n, h, w) as probabilities (n, H, W) float32, a few at a time."""
        for index, part in _at_size(logits, size):
            yield index, part.sigmoid().cpu().numpy()


def _at_size(logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(logits), FRAMES_AT_ONCE):
        index = slice(start, start + FRAMES_AT_ONCE)
        yield index, F.interpolate(logits[index, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def _fixed_algorithms() -> AbstractContextManager[None]:
    """Of cuDNN's algorithms, only those that always give the same result; its other settings stay."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)


def find_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA, else MPS, else the CPU.

    Raises:
        InputError: it is not available here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"The device '{name}' is not available here; choose auto or cpu.") from error
    return device
