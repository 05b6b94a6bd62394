"""A video segmented clip by clip: the same as at once, with what is done at hand while the rest is worked on."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from videos import square_frame

from sgmg import Segmenter
from sgmg.clips import Cut, Window, windows
from sgmg.errors import InputError
from sgmg.model import Prediction, SgMg, VisualFeatures
from sgmg.video import Frame


@pytest.fixture
def segmenter(tiny_model: SgMg) -> Segmenter:
    return Segmenter(tiny_model, device="cpu", name="tiny")


@pytest.fixture
def frames() -> np.ndarray:
    return np.stack([square_frame(index) for index in range(7)])


def numbered(count: int) -> Iterator[Frame]:
    """Frames whose pixels say which they are."""
    for index in range(count):
        yield Frame(np.full((1, 1, 3), index, np.uint8), Fraction(index), Fraction(1), f"{index:05d}")


def cut_up(count: int, cut: Cut) -> list[Window]:
    return list(windows(numbered(count), cut, lambda image: torch.from_numpy(image).permute(2, 0, 1), True))


def seen_by_the_network(window: Window) -> list[int]:
    return [int(pixels[0, 0, 0]) for pixels in window.pixels]


def test_clips_overlap() -> None:
    first, second, third = cut_up(9, Cut(length=4, overlap=1))
    assert [seen_by_the_network(window) for window in (first, second, third)] == [
        [0, 1, 2, 3],
        [3, 4, 5, 6],
        [6, 7, 8],
    ]
    assert [window.known for window in (first, second, third)] == [0, 1, 1]
    assert [frame.name for frame in second.frames] == ["00004", "00005", "00006"]


def test_a_clip_comes_as_soon_as_its_last_frame_is_there() -> None:
    arrived: list[str] = []

    def source() -> Iterator[Frame]:
        for frame in numbered(9):
            arrived.append(frame.name)
            yield frame

    cut = Cut(length=4, overlap=1)
    for window in windows(source(), cut, lambda image: torch.from_numpy(image), False):
        assert arrived[-1] == window.frames[-1].name
        assert len(window.frames) <= cut.delay + 1


def test_frames_between_are_not_seen() -> None:
    first, second = cut_up(8, Cut(length=2, overlap=1, every=3))
    assert seen_by_the_network(first) == [0, 3]
    assert first.seen == [0, 0, 0, 1, 1, 1]
    assert seen_by_the_network(second) == [3, 6]
    assert (second.known, second.seen) == (1, [0, 0])


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        ({"length": 0}, "A clip of 0 frames"),
        ({"length": 4, "overlap": 4}, "cannot share 4 of them"),
        ({"overlap": -1}, "cannot share -1"),
        ({"every": 0}, "Every 0-th frame"),
    ],
)
def test_cuts_that_are_not_possible(cut: dict[str, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Cut(**cut)  # type: ignore[arg-type]


def test_clip_by_clip_is_the_same_as_at_once(segmenter: Segmenter, frames: np.ndarray) -> None:
    options = {"clip_length": 4, "overlap": 2}
    whole = segmenter(frames, ["the dog", "a cup"], **options)
    run = segmenter.clips(frames, ["the dog", "a cup"], keep_images=True, **options)
    clips = list(run)
    assert [clip.start for clip in clips] == [0, 4, 6]
    assert (np.concatenate([clip.masks for clip in clips], axis=1) == whole.masks).all()
    assert (np.concatenate([clip.scores for clip in clips], axis=1) == whole.frame_scores).all()
    assert (np.stack([frame.image for clip in clips for frame in clip.frames]) == frames).all()
    result = run.result()
    assert (result.masks == whole.masks).all()
    assert (result.times, result.settings) == (pytest.approx(whole.times), whole.settings)


def test_what_is_done_so_far_is_a_result(segmenter: Segmenter, frames: np.ndarray) -> None:
    run = segmenter.clips(frames, "the dog", clip_length=3)
    first = next(run)
    part = run.result()
    assert len(part) == len(first) == 3
    assert (part.masks == first.masks).all()
    assert not first.frames[0].image.size, "images were not asked for"
    next(run)
    assert len(part) == 3
    assert len(run.result()) == 6


def test_with_one_clip_an_overlap_changes_nothing(segmenter: Segmenter, frames: np.ndarray) -> None:
    alone, overlapping = segmenter(frames, "the dog", overlap=0), segmenter(frames, "the dog", overlap=3)
    assert (alone.masks == overlapping.masks).all()
    assert (alone.frame_scores == overlapping.frame_scores).all()


def test_models_with_one_query_do_not_overlap_unless_told(segmenter: Segmenter, frames: np.ndarray) -> None:
    assert segmenter(frames[:1], "the dog").settings["overlap"] == 6
    assert segmenter(frames[:1], "the dog", clip_length="all").settings["overlap"] == 0
    segmenter.model.config.queries = 1
    assert segmenter(frames[:1], "the dog").settings["overlap"] == 0


def let_queries_be(
    monkeypatch: pytest.MonkeyPatch, segmenter: Segmenter, on_the_left: Callable[[int, int, int], bool]
) -> None:
    """Three queries of fixed scores, each a third of the picture, left or right; the clips are numbered from 0.

    Args:
        on_the_left: of the number of a clip, a frame in it and a query.
    """
    find, clips = segmenter.model.find, itertools.count()

    def as_told(*arguments: object) -> object:
        visual, (prediction,) = find(*arguments)
        prediction.logits[..., 0] = torch.tensor([0.5, 0.3, -2.0])
        grid, clip = prediction.patch_masks.shape[-1], next(clips)
        prediction.patch_masks[:] = -1.0
        for frame, query in itertools.product(range(visual.frames), range(3)):
            side = slice(0, grid // 3) if on_the_left(clip, frame, query) else slice(grid - grid // 3, grid)
            prediction.patch_masks[:, frame, query, ..., side] = 1.0
        return visual, iter([prediction])

    monkeypatch.setattr(segmenter.model, "find", as_told)
    monkeypatch.setattr(segmenter.model, "optimise_masks", patch_masks_as_they_are)


def test_the_query_that_agrees_is_chosen(
    segmenter: Segmenter, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network's queries change places between clips; the object does not."""
    still = np.repeat(frames[:1], 8, axis=0)
    let_queries_be(monkeypatch, segmenter, lambda clip, frame, query: (query + clip) % 2 == 0)
    independent = segmenter(still, "the dog", clip_length=4, overlap=0)
    tracked = segmenter(still, "the dog", clip_length=5, overlap=2)
    assert (independent.masks[0, 0] != independent.masks[0, 4]).any()
    assert (tracked.masks[0, 0] == tracked.masks[0, 5]).all()


def test_a_later_clip_gives_its_new_frames_what_it_found_in_them(frames: np.ndarray) -> None:
    torch.manual_seed(0)
    segmenter = Segmenter(SgMg(tiny_config(queries=1), tiny_tokenizer()).eval(), "cpu")
    found = segmenter(frames, "the dog", clip_length=4, overlap=2)
    second = segmenter(frames[2:6], "the dog", clip_length="all")
    assert len(set(second.frame_scores[0].tolist())) == 4, "otherwise the comparison would say nothing"
    assert (found.frame_scores[0, 4:6] == second.frame_scores[0, 2:]).all()
    assert (found.masks[0, 4:6] == second.masks[0, 2:]).all()


def test_shared_frames_help_to_decide_whether_the_object_is_there(
    segmenter: Segmenter, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = segmenter.model.find

    def sure_at_first(*arguments: object) -> object:
        visual, (prediction,) = find(*arguments)
        prediction.logits[0, :, :, 0] = torch.tensor([4.0, 4.0, -1.0, -1.0])[: visual.frames, None]
        prediction.patch_masks[:] = 1.0
        return visual, iter([prediction])

    monkeypatch.setattr(segmenter.model, "find", sure_at_first)
    monkeypatch.setattr(segmenter.model, "optimise_masks", patch_masks_as_they_are)
    found = segmenter(frames[:6], "the dog", clip_length=4, overlap=2, min_score=0.5)
    assert found.masks[0, 4:].all(), "they score 0.27: less than 0.5, more than half of it"


def test_it_is_the_shared_frames_that_are_compared(
    segmenter: Segmenter, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects change sides within each clip, queries change places between clips."""

    def on_the_left(clip: int, frame: int, query: int) -> bool:
        crossed = frame >= 3 if clip == 0 else frame < 2
        return crossed != ((query + clip) % 2 == 0)

    let_queries_be(monkeypatch, segmenter, on_the_left)
    tracked = segmenter(np.repeat(frames[:1], 8, axis=0), "the dog", clip_length=5, overlap=2)
    assert (tracked.masks[0, 0] == tracked.masks[0, 5]).all()


def patch_masks_as_they_are(prediction: Prediction, visual: VisualFeatures, query: torch.Tensor) -> torch.Tensor:
    return prediction.patch_masks_at_stride_2[torch.arange(len(query)), :, query]


def test_every_second_frame_is_segmented_and_repeated(segmenter: Segmenter, frames: np.ndarray) -> None:
    result = segmenter(frames, "the dog", every=2)
    seen = segmenter(frames[::2], "the dog")
    assert (result.masks == seen.masks.repeat(2, axis=1)[:, :7]).all()
    assert result.settings["every"] == 2
    assert "One frame in 2 was segmented" in result.warnings[0]
    clip = next(segmenter.clips(frames, "the dog", every=2))
    assert clip.repeated.tolist() == [False, True] * 3 + [False]
