"""The network computes what the published implementation computed (recorded in `../shared/parity`)."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from check_parity import LIMIT, main

CASES = ["eval_plain.npz", "eval_padded_batch.npz", "eval_long_clip.npz", "train_losses.json"]


@pytest.mark.parametrize("case", CASES)
def test_recorded_outputs(
    case: str, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_parity.py", str(shared / "parity/golden" / case)])
    assert main() == 0
    word, _, error = capsys.readouterr().out.strip().splitlines()[-1].split()
    assert word == "worst"
    # Tensors agree to about 1e-6; gradients of the spectral filters' attenuation do not, see check_training.
    assert float(error) < (LIMIT if case.endswith(".json") else LIMIT / 10)


@pytest.mark.slow
def test_a_wrong_gradient_is_not_taken_for_rounding(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("fill.py", "state_dict_video_swin_t.json"):
        shutil.copy(shared / "parity" / name, tmp_path)
    case = json.loads((shared / "parity/golden/train_losses.json").read_text())
    case["grad_norms"]["input_fft.0.fc.2.weight"] *= 1.05  # of the attenuation, the one that rounding moves most
    (tmp_path / "damaged.json").write_text(json.dumps(case))
    monkeypatch.setattr(sys, "argv", ["check_parity.py", str(tmp_path / "damaged.json")])
    assert main() == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("worst gradient.input_fft.0.fc.2.weight")
