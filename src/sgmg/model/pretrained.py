"""Model folders: `config.json`, safetensors and the tokenizer's files; complete, offline, nothing executed."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from sgmg.model.config import ModelError, SgMgConfig

if TYPE_CHECKING:
    from sgmg.model.sgmg import SgMg

#: The default model inside the package.
EMBEDDED = Path(__file__).parents[1] / "weights" / "sgmg-lite"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: Files of their own that frozen parts may have, and the names of the weights in them.
FROZEN = {
    "text_encoder.safetensors": "text_encoder.backbone.",
    "visual_encoder.safetensors": "visual_encoder.",
    "detector.safetensors": "detector.",
}
FILES = ["*.json", "*.txt", "*.safetensors", "*.model"]


class PretrainedFolder(PyTorchModelHubMixin, library_name="sgmg", tags=["referring-video-object-segmentation"]):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` of `SgMg`."""

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> "SgMg":
        """A model from a folder, the package ("sgmg-lite") or the Hugging Face Hub, ready to use.

        It is in evaluation mode, in float32, on the CPU.

        Raises:
            ModelError: there is no such folder or id, a file is missing or damaged, or the weights do not
                fit the configuration exactly.
        """
        folder = _folder_of(str(pretrained_model_name_or_path), revision, cache_dir, token, local_files_only)
        config = _read_config(folder / CONFIG)
        weights = _read_weights(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder} holds no usable tokenizer: its tokenizer files are missing or damaged"
            ) from error
        try:
            model: Any = cls(config, tokenizer)  # an SgMg, which this module cannot import
        except ModelError:
            raise
        except (RuntimeError, MemoryError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            # Names and sizes of the two encoders are other libraries' to judge.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ModelError(f"{folder / CONFIG} describes no network that can be made here: {reason[:200]}") from error
        load_exactly(model, weights, str(folder))
        return model.eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        self.write_folder(save_directory)

    def digest(self: Any) -> str:
        """What tells this model from others, whatever they are called: SHA-256 of its configuration and weights.

        The same on every device, and for every folder that gives the same model.
        """
        found = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode())
        for name, value in sorted(self.state_dict().items()):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return found.hexdigest()

    def write_folder(
        self: Any,
        folder: str | Path,
        *,
        dtype: torch.dtype | None = None,
        encoders_apart: bool = False,
    ) -> None:
        """Write the model folder.

        Args:
            folder: made if missing; files of the same names are replaced.
            dtype: of the stored weights, such as ``torch.float16``; as they are by default.
            encoders_apart: put the weights of the text and the visual encoder into files of their own, so that
                later versions with the same frozen encoders share them.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            key: value.detach().to("cpu", dtype or value.dtype).contiguous()
            for key, value in self.state_dict().items()
            if value.is_floating_point()
        }
        if encoders_apart:
            for file, prefix in FROZEN.items():
                encoder = {key: weights.pop(key) for key in list(weights) if key.startswith(prefix)}
                _write_weights(encoder, folder / file)
        _write_weights(weights, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(self.config.to_dict(), indent=2) + "\n", encoding="utf-8")
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)


def read_config(model: str | Path) -> SgMgConfig:
    """The configuration alone of a model that `SgMg.from_pretrained` would read.

    Raises:
        ModelError: there is no such model, or its configuration is missing or damaged.
    """
    return _read_config(_folder_of(str(model)) / CONFIG)


def load_exactly(model: torch.nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load floating-point weights as float32; every key must have its place and its shape.

    Raises:
        ModelError: names missing and unexpected keys, or shapes that differ.
    """
    expected = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
    missing, unexpected = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unexpected:
        parts = [
            f"{name} {', '.join(_by_part(keys, of_all))}"
            for name, keys, of_all in (("missing:", missing, expected), ("unexpected:", unexpected, weights))
            if keys
        ]
        raise ModelError(f"the weights in {source} do not fit the model; " + "; ".join(parts))
    wrong = [
        f"{key} {tuple(value.shape)} instead of {tuple(expected[key].shape)}"
        for key, value in weights.items()
        if value.shape != expected[key].shape
    ]
    if wrong:
        raise ModelError(f"the weights in {source} have wrong shapes: {', '.join(wrong)}")
    model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)


def _by_part(keys: Sequence[str], of_all: Iterable[str]) -> Iterator[str]:
    """Sorted names of weights; of parts that are among them as a whole, and large, just how many they are."""
    sizes = Counter(key.partition(".")[0] for key in of_all)
    for part, group in groupby(keys, lambda key: key.partition(".")[0]):
        names = list(group)
        yield from [f"all {len(names)} weights of {part}"] if len(names) == sizes[part] > 8 else names


def _folder_of(
    name: str,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local: bool = False,
) -> Path:
    folder = Path(os.path.expanduser(name))  # noqa: PTH111 - as it is where it names nobody's home
    if folder.is_dir():
        return folder
    if name == EMBEDDED.name and EMBEDDED.is_dir():
        return EMBEDDED
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local,
                allow_patterns=FILES,
            )
        )
    except HFValidationError as error:
        raise ModelError(f"{name} is neither a model folder nor a Hub id") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} is not a folder here, and the Hugging Face Hub could not deliver it; check name and connection"
        ) from error


def _read_config(path: Path) -> SgMgConfig:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path.parent} is no model folder: {CONFIG} is missing") from error
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or nested without end
        raise ModelError(f"{path} is damaged: it is not JSON") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is damaged: it holds no configuration")
    try:
        return SgMgConfig.from_dict(values)
    except (TypeError, AttributeError) as error:
        raise ModelError(f"{path} holds a value of the wrong type: {error}") from error


def _write_weights(weights: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(weights, path, metadata={"format": "pt"})
    except SafetensorError as error:  # which hides what the system said, such as that the disk is full
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} is incomplete: {WEIGHTS} is missing")
    weights: dict[str, Tensor] = {}
    for path in (folder / file for file in (WEIGHTS, *FROZEN)):
        if path.is_file():
            try:
                weights |= load_file(path)
            except (SafetensorError, OSError) as error:
                raise ModelError(f"{path} is damaged: {error}") from error
    return weights
