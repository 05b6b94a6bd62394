"""Augmentation keeps frames, masks, boxes and sentences together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgmg.data.sample import Sample
from sgmg.data.sampling import training_clip
from sgmg.data.transforms import Augmentation, AugmentationConfig, RandomSizeCrop, swap_sides
from sgmg.training.batch import collate


def rectangle(height: int, width: int, box: tuple[int, int, int, int], expression: str = "the left box") -> Sample:
    """Two frames with a white rectangle (x1, y1, x2, y2; ends included) on black, and its masks."""
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    x1, y1, x2, y2 = box
    masks[:, y1 : y2 + 1, x1 : x2 + 1] = True
    return Sample(masks[:, None].expand(-1, 3, -1, -1).to(torch.uint8) * 255, masks, expression, "v", "0", ["0", "1"])


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Rectangles in frames of any size from 32 to 200 pixels."""
    height, width = draw(st.integers(32, 200)), draw(st.integers(32, 200))
    x1, y1 = draw(st.integers(0, width - 17)), draw(st.integers(0, height - 17))
    x2, y2 = draw(st.integers(x1 + 15, width - 1)), draw(st.integers(y1 + 15, height - 1))
    return rectangle(height, width, (x1, y1, x2, y2))


@settings(max_examples=20, deadline=None)
@given(samples(), st.integers(0, 2**31))
def test_frames_and_masks_move_together(sample: Sample, seed: int) -> None:
    torch.manual_seed(seed)
    config = AugmentationConfig(photometric=False, short_sides=(64, 96, 128), long_side=160)
    (augmented,) = Augmentation(config)([sample])
    assert augmented.frames.shape[-2:] == augmented.masks.shape[-2:]
    assert min(augmented.frames.shape[-2:]) <= 128
    assert max(augmented.frames.shape[-2:]) <= 160
    # Only edges may differ, where the frame is interpolated and the mask is not.
    bright = augmented.frames[:, 0] > 127
    differ = (bright != augmented.masks).sum()
    edge = 2 * sum(augmented.frames.shape[-2:]) * len(bright)
    assert differ <= edge


@settings(max_examples=20, deadline=None)
@given(samples())
def test_mirroring_mirrors_box_mask_and_sentence(sample: Sample) -> None:
    width = sample.frames.shape[-1]
    config = AugmentationConfig(flip=1.0, photometric=False, resize=False)
    (mirrored,) = Augmentation(config)([sample])
    assert torch.equal(mirrored.masks, sample.masks.flip(-1))
    assert torch.equal(mirrored.frames, sample.frames.flip(-1))
    x1, y1, x2, y2 = sample.boxes[0].tolist()
    assert mirrored.boxes[0].tolist() == [width - 1 - x2, y1, width - 1 - x1, y2]
    assert mirrored.expression == "the right box"
    assert sample.expression == "the left box"


@settings(max_examples=20, deadline=None)
@given(samples(), samples())
def test_padding_keeps_pixels_boxes_and_says_where_it_is(first: Sample, second: Sample) -> None:
    batch = collate([[first], [second]])
    height, width = batch.frames.shape[-2:]
    assert height % 32 == width % 32 == 0
    padding_mask = batch.padding_mask
    if padding_mask is None:  # nothing is padded
        padding_mask = torch.zeros(2, height, width, dtype=torch.bool)
    for i, sample in enumerate((first, second)):
        h, w = sample.frames.shape[-2:]
        assert torch.equal(batch.frames[i, ..., :h, :w], sample.frames)
        assert torch.equal(batch.targets.masks[i, ..., :h, :w], sample.masks)
        assert (~padding_mask[i]).sum() == h * w
        assert not batch.frames[i].any(0).any(0)[padding_mask[i]].any()
        assert not batch.targets.masks[i].any(0)[padding_mask[i]].any()
        cx, cy, bw, bh = batch.targets.boxes[i, 0].tolist()  # shares of the unpadded frame
        pixels = [(cx - bw / 2) * w, (cy - bh / 2) * h, (cx + bw / 2) * w, (cy + bh / 2) * h]
        assert pixels == pytest.approx(sample.boxes[0].tolist(), abs=1e-3)


def test_expressions_of_a_clip_go_on_sharing_their_frames() -> None:
    left = rectangle(64, 64, (0, 0, 20, 20))
    right = rectangle(64, 64, (40, 40, 60, 60), "the right box")
    right.frames = left.frames
    augmented = Augmentation()([left, right])
    assert augmented[0].frames is augmented[1].frames
    batch = collate([augmented])
    assert batch.counts == [2]
    assert len(batch.frames) == 1
    assert batch.targets.masks.shape[:2] == (2, 2)


def test_a_thing_that_is_cropped_away_is_absent() -> None:
    config, gone = AugmentationConfig(flip=0.0, photometric=False), 0
    for seed in range(30):
        torch.manual_seed(seed)
        (augmented,) = Augmentation(config)([rectangle(600, 600, (0, 0, 20, 20))])
        if not augmented.present.any():
            gone += 1
            assert not (augmented.frames > 200).any()
            assert not augmented.boxes.any()
    assert 0 < gone < 30


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**31))
def test_crops_are_of_the_size_asked_for_or_the_frames_own(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    cropped = RandomSizeCrop(384, 600)(torch.zeros(1, height, width))
    for side, own in zip(cropped.shape[-2:], (height, width), strict=True):
        assert min(384, own) <= side <= min(600, own)


@pytest.mark.parametrize(
    ("expression", "mirrored"),
    [
        ("the dog on the left", "the dog on the right"),
        ("Left dog, RIGHT cat", "Right dog, LEFT cat"),
        ("the leftmost cup moving right", "the rightmost cup moving left"),
        ("the right-hand player moving leftwards", "the left-hand player moving rightwards"),
        ("a bright light, brought and copyrighted by Wright", "a bright light, brought and copyrighted by Wright"),
        ("what is left of the cleft", "what is right of the cleft"),
    ],
)
def test_left_and_right_change_places_as_whole_words(expression: str, mirrored: str) -> None:
    assert swap_sides(expression) == mirrored
    assert swap_sides(mirrored) == expression


@given(st.data(), st.integers(1, 12), st.integers(1, 60), st.integers(0, 2**31))
def test_training_clips_hold_the_anchor_and_its_neighbours(
    data: st.DataObject, clip_length: int, video_length: int, seed: int
) -> None:
    anchor = data.draw(st.integers(0, video_length - 1))
    clip = training_clip(anchor, clip_length, video_length, torch.Generator().manual_seed(seed))
    assert len(clip) == clip_length
    assert clip == sorted(clip)
    assert 0 <= clip[0] <= clip[-1] < video_length
    assert anchor in clip
    if clip_length >= 3:
        assert any(anchor - 3 <= frame < anchor for frame in clip) or anchor == 0
        assert any(anchor < frame <= anchor + 3 for frame in clip) or anchor == video_length - 1
    if video_length >= 2 * clip_length + 7 and 3 <= anchor < video_length - 3:
        assert len(set(clip)) == clip_length


@settings(max_examples=20, deadline=None)
@given(samples(), st.integers(2, 6), st.integers(0, 2**31))
def test_an_image_becomes_a_clip_whose_masks_move_with_the_frames(sample: Sample, length: int, seed: int) -> None:
    torch.manual_seed(seed)
    image = Sample(sample.frames[:1], sample.masks[:1], sample.expression, frame_names=["0.jpg"])
    config = AugmentationConfig(flip=0, photometric=False, resize=False, image_motion=True)
    (clip,) = Augmentation(config, length)([image])
    assert clip.frames.shape == (length, *image.frames.shape[1:])
    assert clip.masks.shape == (length, *image.masks.shape[1:])
    assert clip.masks.dtype == torch.bool
    assert clip.frame_names == ["0.jpg"] * length
    # Only edges may differ, where the frame is interpolated and the mask is not.
    bright = clip.frames[:, 0] > 190  # what comes from outside of the image is grey
    assert (bright != clip.masks).sum() <= 2 * length * sum(image.frames.shape[-2:])


def test_an_image_moves_at_a_steady_pace() -> None:
    image = rectangle(120, 160, (60, 40, 99, 79))
    image = Sample(image.frames[:1], image.masks[:1], image.expression)
    config = AugmentationConfig(flip=0, photometric=False, resize=False, image_motion=True)
    distances = []
    for seed in range(8):
        torch.manual_seed(seed)
        boxes = Augmentation(config, 5)([image])[0].boxes
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        steps = centres.diff(dim=0).norm(dim=1)
        assert steps.max() - steps.min() < 3
        # The middle frame is the image itself.
        assert boxes[2].tolist() == image.boxes[0].tolist()
        distances.append(float((centres[-1] - centres[0]).norm()))
    assert len(set(distances)) == 8
    assert max(distances) > 10


def test_videos_keep_their_own_motion() -> None:
    video = rectangle(64, 64, (0, 0, 20, 20))
    config = AugmentationConfig(flip=0, photometric=False, resize=False, image_motion=True)
    (kept,) = Augmentation(config, 5)([video])
    assert torch.equal(kept.frames, video.frames)


def test_moving_images_keep_sharing_their_frames() -> None:
    left, right = rectangle(64, 64, (0, 0, 20, 20)), rectangle(64, 64, (40, 40, 60, 60))
    left.frames, left.masks, right.masks = left.frames[:1], left.masks[:1], right.masks[:1]
    right.frames = left.frames
    first, second = Augmentation(AugmentationConfig(image_motion=True), 3)([left, right])
    assert first.frames is second.frames
    assert len(first.frames) == len(second.masks) == 3
