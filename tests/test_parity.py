"""The network computes what the published implementation computed (recorded in `../shared/parity`)."""

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
    # Tensors and losses agree to about 1e-5. Gradients of the spectral filters' attenuation do not: they are small
    # sums of large terms, where the order of summation alone is worth several 1e-4.
    assert float(error) < (LIMIT if case.endswith(".json") else LIMIT / 10)
