"""Clips that are segmented apart give what one run over the video gives."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from videos import write_video

from sgmg import Segmenter
from sgmg.formats import choose_formats
from sgmg.model import SgMg
from sgmg.scattered import JoinedRun, SeenClip, cut_apart
from sgmg.segmenter import ClipLooker
from sgmg.to_folder import segment_to_folder
from sgmg.video import open_video

EXPRESSIONS = ["the red square", "the large circle"]


@pytest.mark.parametrize("asked", [{}, {"overlap": 0}, {"overlap": 3, "every": 2}])
@pytest.mark.parametrize("multi_object", [False, True])
def test_the_folder_is_that_of_one_run(tmp_path: Path, asked: dict, multi_object: bool) -> None:
    torch.manual_seed(0)
    network = SgMg(tiny_config(multi_object=multi_object), tiny_tokenizer()).eval()
    segmenter, source = Segmenter(network, device="cpu"), write_video(tmp_path / "v.mp4", frames=29)
    asked = {"clip_length": 6, "min_score": 0.0, **asked}
    segmenter.to_folder(source, EXPRESSIONS, tmp_path / "one", ["overlay", "masks"], **asked)

    video, plan = open_video(source), segmenter.plan(**asked)
    look = ClipLooker(segmenter, plan)
    clips = list(enumerate(cut_apart(video, plan)))
    random.Random(0).shuffle(clips)
    apart = {}
    for index, window in clips:
        sightings, notes = look(window, EXPRESSIONS, video.size)
        # As it goes from machine to machine.
        apart[index] = json.dumps(SeenClip(window.frames, window.seen, sightings).as_json())
    joined = (SeenClip.from_json(json.loads(apart[index]), video.size) for index in sorted(apart))
    run = JoinedRun(video, EXPRESSIONS, joined, **look.about, warnings=notes)
    segment_to_folder(run, tmp_path / "joined", choose_formats(["overlay", "masks"]))

    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "joined") for path in (tmp_path / "joined").rglob("*.*")}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "joined" / file).read_bytes(), file
    masks = [file for file in files if file.suffix == ".png"]
    assert len(masks) == 2 * 29
    scores = [np.array(track.scores) for track in look(clips[0][1], EXPRESSIONS, video.size)[0]]
    assert {score.shape[0] for score in scores} == {1 if asked.get("overlap") == 0 else 3}
