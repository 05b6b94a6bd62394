"""A new network's visual encoder takes pretrained weights, wherever they come from."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from published_checkpoint import save_kinetics
from torchvision.models import get_model_weights
from torchvision.models.video import swin3d_t

from sgmg.model import ModelError, SgMg
from sgmg.model.visual_weights import load_visual_weights

CONFIG = tiny_config(visual_encoder="video_swin_t", encoder_layers=4, decoder_layers=4)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def swin() -> SgMg:
    """A small network with the real Video-Swin-T."""
    torch.manual_seed(0)
    return SgMg(CONFIG, tiny_tokenizer())


def fresh() -> SgMg:
    torch.manual_seed(1)
    return SgMg(CONFIG, tiny_tokenizer())


def assert_same_encoder(one: SgMg, other: SgMg) -> None:
    for key, value in one.visual_encoder.state_dict().items():
        torch.testing.assert_close(other.visual_encoder.state_dict()[key], value)


def test_a_kinetics_checkpoint(swin: SgMg, tmp_path: Path) -> None:
    model = fresh()
    load_visual_weights(model, str(save_kinetics(swin, tmp_path / "kinetics.pth")))
    assert_same_encoder(swin, model)


def test_another_model_folder(swin: SgMg, tmp_path: Path) -> None:
    swin.save_pretrained(tmp_path / "model")
    model = fresh()
    load_visual_weights(model, str(tmp_path / "model"))
    assert_same_encoder(swin, model)


def test_torchvisions_weights_sum_their_patches_of_two_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs = swin3d_t()
    file = get_model_weights("swin3d_t")["KINETICS400_V1"].url.rpartition("/")[2]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / file)  # as downloaded before
    model = fresh()
    load_visual_weights(model, "KINETICS400_V1")
    encoder = model.visual_encoder.eval()
    torch.testing.assert_close(encoder.patch_embed.proj.weight, theirs.patch_embed.proj.weight.sum(2, keepdim=True))
    # A clip in which each frame stands twice shows theirs what ours sees once.
    frames = torch.rand(1, 2, 3, 64, 64)
    embedded = theirs.eval().patch_embed(frames.repeat_interleave(2, 1).transpose(1, 2))
    torch.testing.assert_close(encoder.patch_embed(frames.transpose(1, 2)), embedded)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("KINETICS_9000", "there are no weights KINETICS_9000 .* KINETICS400_V1"),
        ("missing.pth", "there is no checkpoint missing.pth"),
        ("KINETICS400_V1", "could not be downloaded .*no network.* https://"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ModelError, match=message):
        load_visual_weights(fresh(), source)


def test_weights_of_another_encoder_are_refused(swin: SgMg, tiny_model: SgMg, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=r"has the visual encoder .*, not video_swin_t"):
        load_visual_weights(fresh(), str(tmp_path / "model"))
    with pytest.raises(ModelError, match="give one, or 'timm'"):
        load_visual_weights(tiny_model, "KINETICS400_V1")


def test_recomputed_activations_give_the_same_gradients(swin: SgMg) -> None:
    frames, gradients = torch.rand(1, 2, 3, 64, 64), []
    encoder = swin.visual_encoder
    for recompute in (False, True):
        if recompute:
            encoder.recompute_activations()
        torch.manual_seed(0)  # of the drop path
        encoder.zero_grad()
        stages: list[torch.Tensor] = []
        encoder.train()(frames, stages.append)
        sum(stage.square().mean() for stage in stages).backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
