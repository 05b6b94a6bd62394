"""`sgmg export onnx`: the graphs give what the network gives, whatever goes in, and need no PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from conftest import tiny_config, tiny_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from sgmg.clips import resized
from sgmg.engines import onnx as onnx_engine
from sgmg.engines import pytorch as pytorch_engine
from sgmg.engines.onnx import ABOUT, DECODER, ENCODER, OnnxEngine
from sgmg.engines.pytorch import PyTorchEngine
from sgmg.errors import InputError
from sgmg.export import export_onnx
from sgmg.model import SgMg
from sgmg.model.portable import average_to, fourier, inverse_fourier, portable_operators
from sgmg.progress import Cancelled
from sgmg.segmenter import Segmenter

#: Networks of different parts: as published, as the default is, and with what the paper compares it with.
KINDS = {
    "published": {"visual_encoder": "video_swin_t"},
    "default": {
        "visual_encoder": "tf_efficientnet_lite0",
        "class_evidence": True,
        "head_noun": True,
        "landmark": True,
        "detector": True,
        "queries": 1,
        "strides": (16, 32, 64),
        "fusion": "residual",
        "global_attention": True,
        "appearance": True,
        "motion": True,
        "place": True,
        "temporal_layers": 1,
        "sentence_pooling": "mean",
        "presence": True,
    },
    "compared": {"fusion_operation": "spatial", "patch_kernels": False, "mask_optimiser": False},
}


def network(kind: str = "default") -> SgMg:
    torch.manual_seed(0)
    model = SgMg(tiny_config(**KINDS[kind]), tiny_tokenizer()).eval()
    for parameter in model.parameters():  # what is zero at first is to count
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(network(), folder)
    return folder


def found(engine, pixels: list[np.ndarray], sentence: str, query: int) -> tuple[np.ndarray, ...]:
    with engine.computing():
        clip = engine.encode_clip(pixels)
        answer = engine.decode(clip, engine.encode_text(engine.tokenize([sentence])))
        logits = np.asarray(engine.masks(answer, clip, np.array([query])))
        return answer.scores, logits, engine.patches(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_give_what_the_network_gives_for_any_frames_size_and_words(kind: str, tmp_path: Path) -> None:
    model = network(kind)
    export_onnx(model, tmp_path)
    ours, theirs = PyTorchEngine(model, "cpu"), OnnxEngine(tmp_path)
    generator = np.random.default_rng(0)
    for frames, size, sentence in (
        (1, (144, 144), "dog"),
        (9, (160, 176), "the small red circle"),
        (2, (150, 250), "the dog left up down"),
    ):
        pixels = list(generator.integers(0, 256, (frames, 3, *size), np.uint8))
        last = model.config.queries - 1
        scores, logits, patches = found(ours, pixels, sentence, last)
        other_scores, other_logits, other_patches = found(theirs, pixels, sentence, last)
        np.testing.assert_allclose(other_scores, scores, atol=1e-5)
        np.testing.assert_allclose(other_logits, logits, atol=1e-3 * max(1.0, np.abs(logits).max()))
        assert other_patches.shape == patches.shape
        assert (other_patches == patches).mean() > 0.999


@pytest.mark.slow
def test_the_embedded_model_is_exported(tmp_path: Path) -> None:
    assert export_onnx(Segmenter.from_pretrained(device="cpu").model, tmp_path) < 1e-4


def test_every_command_takes_an_exported_model(run, tmp_path: Path) -> None:
    network().save_pretrained(tmp_path / "model")
    code, out, _ = run("export", "onnx", tmp_path / "model", tmp_path / "onnx")
    assert code == 0
    assert "MB; scores and probabilities are the model's to within" in out
    frames = np.random.default_rng(0).integers(0, 256, (5, 144, 200, 3), np.uint8)
    whole = Segmenter.from_pretrained(tmp_path / "model", device="cpu")(frames, ["the dog", "a red cup"], 3)
    graphs = Segmenter.from_pretrained(tmp_path / "onnx")(frames, ["the dog", "a red cup"], 3)
    np.testing.assert_allclose(graphs.frame_scores, whole.frame_scores, atol=1e-5)
    assert (graphs.masks == whole.masks).mean() > 0.999
    with Segmenter.from_onnx(tmp_path / "onnx").encode(frames) as features:
        assert features.segment("the dog").masks.shape == (1, 5, 144, 200)
        assert features.candidates("the dog", 2).masks.shape == (1, 144, 200)
        assert features.probabilities("the dog", 0).dtype == np.float32
    few = ("--frames", 2, "--size", "150x200", "--repeats", 1)
    code, out, _ = run("bench", "--model", tmp_path / "onnx", *few, "--json")
    assert code == 0
    assert json.loads(out)["stages"].keys() == {"visual_encoder", "all_that_depends_on_text", "other"}


def test_queries_are_followed_over_clips(tmp_path: Path) -> None:
    """Clips overlap, and another query than the best may be the object: its masks are drawn, too."""
    model = network("compared")
    export_onnx(model, tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (7, 144, 200, 3), np.uint8)
    whole = Segmenter(model, "cpu")(frames, "the dog", 3, overlap=1, min_score=0)
    graphs = Segmenter.from_onnx(tmp_path)(frames, "the dog", 3, overlap=1, min_score=0)
    np.testing.assert_allclose(graphs.frame_scores, whole.frame_scores, atol=1e-5)
    assert (graphs.masks == whole.masks).mean() > 0.999


def test_pytorch_is_not_needed(exported: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", np.random.default_rng(0).integers(0, 256, (3, 200, 300, 3), np.uint8))
    program = f"""
import sys
for name in ("torch", "torchvision", "timm", "transformers"):
    sys.modules[name] = None  # importing it is an error
import numpy as np
from sgmg import Segmenter
result = Segmenter.from_onnx({str(exported)!r}, threads=1)(np.load({str(tmp_path / "frames.npy")!r}), "the dog")
result.save({str(tmp_path / "out")!r}, format="masks")
print(result.masks.shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.stdout == "(1, 3, 200, 300)\n", done.stderr


def test_long_expressions_are_cut_and_said(exported: Path) -> None:
    engine = OnnxEngine(exported)
    tokens = engine.tokenize(["the dog", "red " * 50])
    assert tokens.ids.shape == (2, 32)
    assert tokens.attention.sum(1).tolist() == [4, 32]
    assert tokens.kept == [None, " ".join(["red"] * 30)]


def test_linear_layers_in_eight_bits(exported: Path, tmp_path: Path) -> None:
    difference = export_onnx(network(), tmp_path, "int8")
    assert 0 < difference < 0.2
    assert OnnxEngine(tmp_path).dtype == "int8"
    assert "MatMulInteger" in {node.op_type for node in onnx.load(tmp_path / DECODER).graph.node}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in exported.iterdir()}


def test_work_can_be_stopped_between_the_graphs(exported: Path) -> None:
    engine, pixels = OnnxEngine(exported), [np.zeros((3, 144, 144), np.uint8)]

    def stop() -> None:
        raise Cancelled

    with engine.watched(stop), pytest.raises(Cancelled):
        engine.encode_clip(pixels)
    engine.encode_clip(pixels)  # nothing of it stays


class TestErrors:
    @pytest.fixture
    def folder(self, exported: Path, tmp_path: Path) -> Path:
        for path in exported.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        return tmp_path

    @pytest.mark.parametrize("name", [ENCODER, DECODER, "config.json", "tokenizer.json", ABOUT])
    @pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other"])
    def test_damaged_folders(self, folder: Path, name: str, damage: str) -> None:
        path = folder / name
        content = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "other": b"[1, 2]"}[damage])
        with pytest.raises(InputError):
            OnnxEngine(folder)

    def test_graphs_of_another_model(self, folder: Path) -> None:
        (folder / ENCODER).write_bytes((folder / DECODER).read_bytes())
        with pytest.raises(InputError, match="do not fit together"):
            OnnxEngine(folder)

    def test_another_version(self, folder: Path) -> None:
        (folder / ABOUT).write_text('{"format": 0}')
        with pytest.raises(InputError, match="export the model again"):
            OnnxEngine(folder)

    def test_on_another_device_or_in_another_type(self, folder: Path) -> None:
        with pytest.raises(InputError, match="runs on the CPU"):
            Segmenter.from_pretrained(folder, dtype="bfloat16")

    def test_the_network_itself_is_not_there(self, folder: Path) -> None:
        with pytest.raises(InputError, match="needs the model folder"):
            _ = Segmenter.from_onnx(folder).model

    def test_what_cannot_be_exported(self, run, tmp_path: Path) -> None:
        SgMg(tiny_config(multi_object=True), tiny_tokenizer()).save_pretrained(tmp_path / "model")
        code, _, error = run("export", "onnx", tmp_path / "model", tmp_path / "onnx")
        assert code == 2
        assert error.startswith("Error: Multi-object models cannot be exported")
        assert not (tmp_path / "onnx").exists()


class TestPortableOperators:
    """The operators for other runtimes are PyTorch's own, up to rounding."""

    @settings(deadline=None, max_examples=30)
    @given(st.integers(1, 40), st.integers(1, 40), st.data())
    def test_averages(self, height: int, width: int, data: st.DataObject) -> None:
        size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
        x = torch.randn(2, 3, height, width)
        with portable_operators():
            torch.testing.assert_close(average_to(x, size), F.adaptive_avg_pool2d(x, size))

    @settings(deadline=None, max_examples=30)
    @given(st.integers(1, 60), st.integers(1, 60))
    def test_fourier_transforms(self, height: int, width: int) -> None:
        x, other = torch.randn(2, 3, height, width), torch.randn(2, 3, height, width)
        with portable_operators():
            real, imaginary = fourier(x)
            back = inverse_fourier(x, other)
        spectrum = torch.fft.fft2(x)
        torch.testing.assert_close(real, spectrum.real, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(imaginary, spectrum.imag, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(back, torch.fft.ifft2(torch.complex(x, other)).real, atol=1e-5, rtol=1e-4)


def test_logits_are_enlarged_in_place() -> None:
    """What is left of a line at the small size is left of it at the large one, to the pixel."""
    ramp = (8.25 - (torch.arange(192) + 0.5)).repeat(2, 144, 1)
    for at_size, logits in ((pytorch_engine._at_size, ramp), (onnx_engine._at_size, ramp.numpy())):
        masks = np.concatenate([np.asarray(part) > 0 for _, part in at_size(logits, (576, 768))])
        assert masks.all(1).sum(1).tolist() == masks.any(1).sum(1).tolist() == [33, 33]


@pytest.mark.parametrize("size", [(31, 90), (80, 20)])
def test_numpy_resizes_as_pytorch_does(size: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 48, 64)).astype(np.float32)
    ours = np.concatenate([part for _, part in onnx_engine._at_size(logits, size)])
    theirs = np.concatenate([part.numpy() for _, part in pytorch_engine._at_size(torch.from_numpy(logits), size)])
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_frames_are_resized_alike_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    by_torchvision = resized(image, (36, 64)).astype(int)
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", None)
    assert np.abs(resized(image, (36, 64)) - by_torchvision).max() <= 1
