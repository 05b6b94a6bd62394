"""`sgmg bench`, and that what makes the network fast leaves its results as they are."""

import copy
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import tiny_config, tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from sgmg.data.synthetic import SyntheticConfig, SyntheticVideos
from sgmg.model import SgMg
from sgmg.model.attention import MultiheadAttention
from sgmg.model.deformable import DeformableAttention, sample_levels
from sgmg.model.fusion import SpectralFilter
from sgmg.model.onednn import Linear, linear, speed_up_convolutions
from sgmg.model.parts import CELLS_AT_ONCE, FrameQueue, whole_clips
from sgmg.model.windows import WindowAttention, WindowBlock
from sgmg.segmenter import Segmenter
from sgmg.speed import STAGES, stage_times

JSON_KEYS = {
    "seconds_per_frame",
    "peak_memory_gb",
    "gflop_per_frame",
    "matmul_gflops",
    "normalized_gflop",
    "stages",
}


def test_bench_measures_a_model(run, model) -> None:
    words = ("bench", "--model", model, "--frames", 2, "--size", "150x200", "--expressions", 2, "--repeats", 1)
    code, out, _ = run(*words, "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result) >= JSON_KEYS
    assert (result["frames"], result["size"], result["expressions"]) == (2, [150, 200], 2)
    assert result["dtype"] == "bfloat16"
    assert result["normalized_gflop"] == pytest.approx(result["seconds_per_frame"] * result["matmul_gflops"])
    assert sum(result["stages"].values()) == pytest.approx(result["seconds_per_frame"], rel=0.01)
    assert 0 < result["gflop_per_frame"] < 10
    assert 0.1 < result["peak_memory_gb"] < 100


def test_bench_says_what_it_cannot_do(run) -> None:
    assert run("bench", "--size", "huge")[::2] == (
        2,
        "Error: --size 'huge' is not understood: write it like 360x640.\n",
    )
    assert run("bench", "--size", "2x3")[0] == 2
    assert run("bench", "--model", "no/such", "--size", "160x160")[0] == 2
    code, _, error = run("bench", "--dtype", "int3")
    assert (code, error) == (2, "Error: 'int3' is no type to compute with; choose float32 or bfloat16.\n")


def test_stages_are_watched_only_while_asked(tiny_model: SgMg) -> None:
    frames, ids = torch.randn(1, 2, 3, 144, 144), torch.tensor([[2, 5, 3]])
    with torch.no_grad(), stage_times(tiny_model, STAGES) as times:
        tiny_model(frames, None, ids, torch.ones_like(ids))
    assert set(times) == set(STAGES)
    unused = {"masks", "hints"}  # nobody asked for masks, and the network has no parts that give hints
    assert {name for name, seconds in times.items() if seconds == 0} == unused
    before = dict(times)
    with torch.no_grad():
        tiny_model(frames, None, ids, torch.ones_like(ids))
    assert times == before


@pytest.mark.parametrize("activation", ["none", "relu", "leaky_relu", "gelu"])
def test_a_linear_layer_is_that_of_pytorch(activation: str) -> None:
    torch.manual_seed(0)
    layer, x = Linear(6, 5), torch.randn(2, 3, 6)
    plain = F.linear(x, layer.weight, layer.bias)
    leaky = F.leaky_relu(plain, 0.1)
    expected = {"none": plain, "relu": plain.relu(), "leaky_relu": leaky, "gelu": F.gelu(plain)}[activation]
    with torch.no_grad():
        torch.testing.assert_close(layer(x, activation), expected)
        torch.testing.assert_close(linear(x, layer.weight, None), F.linear(x, layer.weight))
    torch.testing.assert_close(layer(x, activation), expected)  # with a gradient


def test_a_linear_layer_in_bfloat16_follows_its_weights() -> None:
    layer, x = Linear(4, 4), torch.randn(3, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    torch.nn.init.zeros_(layer.weight)  # weights that were cast before are not used again
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert not layer(x).any()


@pytest.mark.parametrize(
    ("layer", "sides"),
    [
        (nn.Conv2d(6, 4, 1), (9, 16)),
        (nn.Conv2d(6, 6, 5, padding=2, groups=6, bias=False), (9, 16)),
        (nn.Conv2d(6, 4, 3, padding="same"), (9, 16)),
        (nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"), (9, 16)),
        (Conv2dSame(6, 4, 3, stride=2), (10, 16)),
        (Conv2dSame(6, 6, 5, stride=2, groups=6), (10, 16)),
        (Conv2dSame(6, 4, 3, stride=2), (9, 16)),
        (Conv2dSame(6, 4, 3, stride=1), (10, 16)),
    ],
    ids=["1x1", "depthwise", "padding in a word", "mirrored", "same", "same, depthwise", "same, odd", "same, stride 1"],
)
def test_a_convolution_and_its_activation_are_those_of_pytorch(layer: nn.Conv2d, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(layer, nn.ReLU6())
    ours = copy.deepcopy(theirs)
    speed_up_convolutions(ours)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for size in (sides, (2 * sides[0], sides[1])):  # weights are kept for a size
        x = 4 * torch.randn(2, 6, *size)
        expected = theirs(x)
        torch.testing.assert_close(ours(x), expected)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), expected)
            torch.testing.assert_close(copy.deepcopy(ours)(x), expected)
    with torch.no_grad():
        ours[0].weight.zero_()
        assert ours(x).flatten(2).std(2).max() == 0, "weights that were put in order before are not used again"


class TorchvisionBlock(SwinTransformerBlock):
    def __init__(self, *sizes: object) -> None:
        super().__init__(*sizes, attn_layer=ShiftedWindowAttention3d)


@pytest.mark.parametrize("shift", [[0, 0, 0], [4, 3, 3]], ids=["unshifted", "shifted"])
@pytest.mark.parametrize("size", [(3, 14, 14), (9, 10, 15), (17, 5, 8)], ids=str)
def test_window_blocks_are_those_of_torchvision(shift: list[int], size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    theirs = TorchvisionBlock(16, 2, [8, 7, 7], shift).eval()
    ours = WindowBlock(16, 2, [8, 7, 7], shift).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, *size, 16)
    expected = theirs(x)
    torch.testing.assert_close(ours(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(ours(x.clone()), expected)
        for at_once in (1, 3, 20):
            streamed = torch.cat(list(ours.stream(x[0].clone().split(at_once), size[0])))
            torch.testing.assert_close(streamed, expected[0])


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "products"])
@torch.inference_mode()
def test_windows_in_bfloat16_read_about_what_they_read_in_float32(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr("sgmg.model.windows.FUSED_BFLOAT16", fused)
    attention = WindowAttention(64, [8, 7, 7], [0, 0, 0], 2)
    projected, bias = torch.randn(3, 256, 3 * 64), torch.randn(3, 2, 245, 256)
    bias[..., 245:] = -torch.inf
    for added in (bias, bias[:1]):
        exact, rough = attention.read(projected, added), attention.read(projected.bfloat16(), added)
        assert rough.dtype == torch.bfloat16
        assert (exact - rough.float()).abs().mean() < 0.01 * exact.abs().mean()


@given(st.integers(1, 60), st.sampled_from([0, 4]))
def test_runs_of_windows_hold_every_frame_once_and_see_what_their_windows_hold(length: int, shift: int) -> None:
    layout = WindowAttention(16, [8, 7, 7], [shift, 3, 3], 2).layout((length, 9, 16))
    end = layout.counts[0] * layout.window[0]
    place = torch.arange(end).roll(-layout.shift[0])  # frames in the order of windows, a frame's place in its own
    seen: list[int] = []
    for run, tokens in layout.runs():
        start = len(seen)
        seen += range(start, start + run.size[0])
        where = [(place == frame).nonzero().item() % layout.window[0] for frame in range(start, start + run.size[0])]
        rows = range(tokens.start // 49, tokens.stop // 49)
        assert where == list(rows)[: len(where)]
        assert run.window[0] == len(rows)
        assert run.shift[0] == 0
    assert seen == list(range(length))


@pytest.mark.parametrize("length", [1, 5, 21])
@pytest.mark.parametrize(
    "parts",
    [{"visual_encoder": "video_swin_t"}, {"presence": True}, {"multi_object": True}, {"temporal_layers": 1}],
    ids=str,
)
@torch.inference_mode()
def test_a_clip_that_is_never_there_as_a_whole_gives_the_same(parts: dict[str, object], length: int) -> None:
    torch.manual_seed(0)
    model = SgMg(tiny_config(**parts), tiny_tokenizer()).eval()
    frames = torch.randint(0, 256, (length, 3, 100, 130), dtype=torch.uint8)
    texts = [model.encode_text(*model.tokenize(said)) for said in (["the dog", "a cup"], ["a red circle", "person"])]
    if "multi_object" not in parts:
        texts = [model.encode_text(*model.tokenize([said])) for said in ("the dog", "a red circle")]
    told: list[float] = []
    visual, found = model.find(list(frames), texts, told.append)
    whole = model.encode_video(frames[None])
    for text, ours in zip(texts, found, strict=True):
        theirs = model.decode(whole, text)
        query = theirs.best_query()
        for x, y in zip(ours.tensors, theirs.tensors, strict=True):
            torch.testing.assert_close(x, y, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            model.optimise_masks(ours, visual, query), model.optimise_masks(theirs, whole, query), atol=1e-4, rtol=1e-4
        )
    assert told == sorted(told)
    assert 0 < told[-1] <= 1


@given(st.lists(st.integers(1, 6), max_size=8), st.data())
def test_frames_leave_a_queue_in_the_order_in_which_they_came(parts: list[int], data: st.DataObject) -> None:
    queue, whole, left = FrameQueue(), torch.arange(sum(parts)), []
    for part in whole.split(parts):
        queue.put(part)
        left.append(queue.take(data.draw(st.integers(1, len(queue)))))
    if len(queue):
        left.append(queue.take(len(queue)))
    assert torch.equal(torch.cat([whole[:0], *left]), whole)


def test_reading_rows_of_a_table_is_sampling() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(tiny_config())
    nn.init.normal_(attention.sampling_offsets.weight, std=2)  # far out of the maps, too
    nn.init.normal_(attention.attention_weights.weight)
    shapes = [(9, 7), (5, 4), (3, 2), (2, 1)]
    cells = sum(h * w for h, w in shapes)
    query, memory = torch.randn(2, cells, 32), torch.randn(2, cells, 32)
    reference, mask = torch.rand(2, cells, 4, 2) * 1.4 - 0.2, torch.rand(2, cells) < 0.1

    def straightforward() -> Tensor:
        value = attention.value_proj(memory).masked_fill(mask[..., None], 0).unflatten(2, (4, -1))
        return attention.output_proj(sample_levels(value, shapes, *attention.samples(query, reference, shapes)))

    with torch.no_grad():
        fast = attention(query, reference, memory, shapes, mask)
    torch.testing.assert_close(fast, straightforward(), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["no mask", "left out", "added"])
def test_attention_is_that_of_pytorch(kind: str) -> None:
    torch.manual_seed(0)
    attention = MultiheadAttention(32, 4)
    query, key, value = torch.randn(3, 5, 32), torch.randn(3, 7, 32), torch.randn(3, 7, 32)
    mask = {"no mask": None, "left out": torch.rand(3, 7) < 0.3, "added": torch.randn(3, 7)}[kind]
    expected, weights = nn.MultiheadAttention.forward(attention, query, key, value, mask)
    torch.testing.assert_close(attention(query, key, value, mask), expected)
    with torch.no_grad():
        torch.testing.assert_close(attention(query, key, value, mask), expected)
        torch.testing.assert_close(attention.weights(query, key, mask), weights)


def test_frames_one_after_another_are_encoded_as_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Segmenter.from_pretrained(device="cpu").model
    frames = torch.randn(2, 3, 3, 144, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with whole_clips():
            whole = model.encode_video(frames)
        monkeypatch.setitem(CELLS_AT_ONCE, "cpu", 1)
        parts = model.encode_video(frames)
    assert whole.posterior is not None
    for ours, theirs in zip(
        [*parts.details, *parts.levels, parts.posterior], [*whole.details, *whole.levels, whole.posterior], strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_gate_of_a_spectral_filter_needs_no_convolution() -> None:
    torch.manual_seed(0)
    spectral, x = SpectralFilter(32), torch.randn(2, 32, 5, 9)
    with torch.no_grad():
        quick = spectral.amount(x)
    torch.testing.assert_close(quick, spectral.amount(x))  # with a gradient, by the convolution


def test_bfloat16_masks_of_the_default_model_agree_with_float32_ones() -> None:
    videos = SyntheticVideos(SyntheticConfig(length=4, objects=(2, 3)), seed=5)
    exact, rough = (Segmenter.from_pretrained(device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    agreement = []
    for index in range(2):
        video = videos[index]
        # Without a threshold, which turns a score's last digit into a whole mask.
        sentences = [expression.text for expression in video.expressions[:3]]
        ours, theirs = (s(video.frames, sentences, min_score=0).masks for s in (exact, rough))
        both, either = (ours & theirs).sum((2, 3)), (ours | theirs).sum((2, 3))
        agreement.append(np.where(either == 0, 1.0, both / np.maximum(either, 1)))
    assert np.mean(agreement) >= 0.99
