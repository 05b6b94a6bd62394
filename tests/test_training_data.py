"""In what order training sees its data: a function of the seed, whatever was done before and by whom."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from ref_youtube_vos_layout import write_dataset

from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.sample import Sample
from sgmg.data.synthetic import SyntheticClips, SyntheticConfig
from sgmg.data.synthetic.clips import Growth
from sgmg.data.transforms import Augmentation, AugmentationConfig
from sgmg.errors import InputError
from sgmg.training.clips import DrawnClips, DrawSampler, FixedClips, Source, VideoClips
from sgmg.training.datamodule import ClipData, DataConfig, SourceConfig, ValidationConfig, open_source

NOTHING = AugmentationConfig(flip=0, photometric=False, resize=False)


class Numbered:
    """Clips whose sentence is their number."""

    def __init__(self, length: int, name: str = "") -> None:
        self.length, self.name = length, name

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[Sample]:
        masks = torch.zeros(1, 8, 8, dtype=torch.bool)
        return [Sample(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), masks, f"{self.name}{index}")]


def sentences(clips: DrawnClips, draws: list[int]) -> list[str]:
    """What some draws are."""
    return [clips[draw][0].expression for draw in draws]


def numbered(length: int, seed: int = 0) -> DrawnClips:
    """One source of numbered clips."""
    return DrawnClips([Source(Numbered(length), Augmentation(NOTHING), length)], seed)


def test_an_epoch_sees_every_clip_once_in_an_order_of_its_own() -> None:
    clips = numbered(10)
    first, second = sentences(clips, list(range(10))), sentences(clips, list(range(10, 20)))
    assert sorted(first) == sorted(second) == [str(i) for i in range(10)]
    assert first != second
    assert first != sentences(numbered(10, seed=1), list(range(10)))


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    forwards = sentences(numbered(10), list(range(20)))
    torch.manual_seed(123)
    backwards = sentences(numbered(10), list(range(19, -1, -1)))
    assert forwards == backwards[::-1]


def test_augmentation_is_the_same_whenever_a_clip_is_drawn() -> None:
    root = Source(Numbered(4), Augmentation(AugmentationConfig(flip=0.5, short_sides=(32, 48, 64))), 4)
    clips = DrawnClips([root], 0)
    state = torch.get_rng_state()
    sizes = [clips[draw][0].frames.shape for draw in range(8)]
    assert torch.equal(torch.get_rng_state(), state)  # and nobody else's random numbers are touched
    assert [clips[draw][0].frames.shape for draw in reversed(range(8))] == sizes[::-1]
    assert len(set(sizes)) > 1


def test_sources_are_mixed_by_their_weights() -> None:
    augmentation = Augmentation(NOTHING)
    often = Source(Numbered(5, "often "), augmentation, 5, weight=3)
    endless = Source(Numbered(5, "new "), augmentation, 5, weight=1, endless=True)
    drawn = sentences(DrawnClips([often, endless], 0), list(range(200)))
    assert 125 < sum(sentence.startswith("often") for sentence in drawn) < 175
    new = [sentence for sentence in drawn if sentence.startswith("new")]
    assert len(set(new)) == len(new)


def test_a_clip_without_its_object_is_drawn_again(tmp_path: Path) -> None:
    # "pair" has a sentence about a thing that is not there, and an object that is missing from the last frame.
    write_dataset(tmp_path, "train")
    settings = {"kind": "ref-youtube-vos", "root": tmp_path, "clip_length": 1, "augmentation": NOTHING}
    drawn = DrawnClips([open_source(SourceConfig(**settings), 0)], 0)
    kept = DrawnClips([open_source(SourceConfig(**settings, keep_absent=True), 0)], 0)
    draws = range(2 * len(drawn))
    samples, as_drawn = ([clips[draw][0] for draw in draws] for clips in (drawn, kept))
    assert all(sample.present.any() for sample in samples)
    assert {sample.expression for sample in as_drawn if not sample.present.any()} == {
        "the blue circle",
        "the square on the right",
    }
    for sample, before in zip(samples, as_drawn, strict=True):  # all other clips stay where they were
        assert not before.present.any() or torch.equal(sample.frames, before.frames)
    # And each draw is the same after an interruption, in whichever process.
    again = DrawnClips([open_source(SourceConfig(**settings), 0)], 0)
    for draw in reversed(draws):
        assert (again[draw][0].expression, again[draw][0].frame_names) == (
            samples[draw].expression,
            samples[draw].frame_names,
        )


def test_one_object_of_a_clip_with_several_sentences_is_enough(tmp_path: Path) -> None:
    write_dataset(tmp_path, "train")
    config = SourceConfig(
        kind="ref-youtube-vos", root=tmp_path, clip_length=3, expressions_per_clip=4, augmentation=NOTHING
    )
    drawn = DrawnClips([open_source(config, 0)], 0)
    assert {tuple(bool(sample.present.any()) for sample in drawn[draw]) for draw in range(4)} == {
        (True, True, True, False),
        (True,),
    }


def test_data_without_any_object_is_told_of() -> None:
    absent = Source(Numbered(3), Augmentation(NOTHING), 3, keep_absent=False)
    with pytest.raises(InputError, match="None of 1000 training clips shows the object of its sentence"):
        DrawnClips([absent], 0)[0]


def test_validation_looks_at_the_same_clips_from_all_over_its_source() -> None:
    varied = Augmentation(AugmentationConfig(flip=0.5, photometric=False, short_sides=(32, 48, 64)))
    clips = FixedClips(Source(Numbered(100), varied, 100), 4, seed=0)
    first, second = ([clips[place][0] for place in range(len(clips))] for _ in range(2))
    assert clips.indices == [0, 25, 50, 75]
    assert [sample.expression for sample in first] == [sample.expression for sample in second]
    assert all(torch.equal(one.frames, other.frames) for one, other in zip(first, second, strict=True))
    assert {min(sample.frames.shape[-2:]) for sample in first} <= {32, 48, 64}  # augmentation is applied
    assert len(FixedClips(Source(Numbered(3), varied, 3), 64, seed=0)) == 3


def test_batches_go_on_where_training_stands_and_whole_epochs_follow() -> None:
    seen = 0
    sampler = DrawSampler(7, 2, lambda: seen)
    assert len(sampler) == 4
    assert list(sampler) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    seen = 3
    assert list(sampler) == [[6, 7]]
    seen = 4
    assert next(iter(sampler)) == [8, 9]


def test_processes_share_the_draws_between_them() -> None:
    batches = [list(DrawSampler(12, 2, lambda: 0, rank, 3)) for rank in range(3)]
    assert sorted(draw for process in batches for batch in process for draw in batch) == list(range(12))


def test_clips_of_ref_youtube_vos_share_frames_between_expressions(tmp_path: Path) -> None:
    write_dataset(tmp_path, "train")
    clips = VideoClips(RefYouTubeVOS(tmp_path, "train"), clip_length=2, expressions_per_clip=3)
    # "pair" has four expressions, "single" one; each three frames, hence anchors 0 and 2.
    assert [len(clips[i]) for i in range(len(clips))] == [3, 3, 1, 1, 1, 1]
    samples = clips[0]
    assert samples[0].frames is samples[1].frames
    assert [sample.expression_id for sample in samples] == ["0", "1", "2"]
    published = VideoClips(RefYouTubeVOS(tmp_path, "train"), clip_length=3)
    assert [len(published[i]) for i in range(len(published))] == [1] * 5


def test_generated_clips_are_never_seen_twice() -> None:
    config = SourceConfig(
        synthetic=SyntheticConfig(size=(64, 96)), length=2, clip_length=2, expressions_per_clip=2, augmentation=NOTHING
    )
    clips = DrawnClips([open_source(config, 0)], 0)
    assert len(clips) == 2
    drawn = [clips[draw] for draw in (0, 1, 2, 3)]
    assert all(len(samples) == 2 and samples[0].frames.shape == (2, 3, 64, 96) for samples in drawn)
    assert len({samples[0].frames.sum().item() for samples in drawn}) == 4


def test_data_without_a_folder_says_what_to_give() -> None:
    with pytest.raises(InputError, match=r"give data\.root="):
        open_source(DataConfig(kind="ref-youtube-vos"), 0)


def test_generated_clips_grow_at_whole_batches() -> None:
    growth = [Growth(after=4, clip_length=3)]
    small = SyntheticConfig(size=(48, 64))
    data = ClipData(DataConfig(synthetic=small, clip_length=2, growth=growth, batch_size=2))
    assert [len(data.clips[draw][0].frames) for draw in (0, 3, 4, 5)] == [2, 2, 3, 3]
    with pytest.raises(InputError, match="multiples of batch_size=3"):
        ClipData(DataConfig(synthetic=small, growth=growth, batch_size=3))
    with pytest.raises(InputError, match="Only generated clips grow"):
        ClipData(DataConfig(kind="ref-youtube-vos", root=Path("nowhere"), growth=growth, batch_size=1))


def test_validation_is_made_of_training_s_material(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "places" / f"view{chr(97 + number)}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (20 * number, 99, 99)).save(path)
    made = SyntheticConfig(size=(48, 64), backgrounds=tmp_path / "places", procedural_share=0.0)
    scored = ValidationConfig(synthetic=SyntheticConfig(size=(48, 64), source="cutouts", split="valid"), clip_length=2)
    data = ClipData(DataConfig(synthetic=made, validation=scored, validation_clips=2))
    assert data.validation is not None
    clips = data.validation.source.clips
    assert isinstance(clips, SyntheticClips)
    assert clips.videos.config.backgrounds == tmp_path / "places"
    assert clips.videos.config.source == "shapes"
    assert len(data.validation[0][0].frames) == 2
