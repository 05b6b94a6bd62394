"""Which frames of a video make a clip."""

import torch


def surrounding_frames(anchor: int, clip_length: int, video_length: int) -> list[int]:
    """Frames of a window around the anchor, as benchmarks with one annotated frame are evaluated.

    Args:
        anchor: index of a frame.
        clip_length: frames wanted, at least 1; ``clip_length // 2`` of them come before the anchor.
        video_length: frames there are.

    Returns:
        `clip_length` indices in rising order; beyond the ends of the video its first or last frame is repeated.
    """
    first = anchor - clip_length // 2
    return [min(max(index, 0), video_length - 1) for index in range(first, first + clip_length)]


def training_clip(
    anchor: int, clip_length: int, video_length: int, generator: torch.Generator | None = None
) -> list[int]:
    """Frames of a training clip, as published.

    The anchor, one neighbour 1-3 frames before it, one 1-3 after it (at the ends of the video: the first or
    last frame), the rest drawn from outside that span. Where there are too few frames outside, they are drawn
    from the whole video, and where the video is shorter than that, frames repeat.

    Args:
        anchor: index of a frame.
        clip_length: frames wanted, at least 1.
        video_length: frames there are.
        generator: of the random choices; by default torch's global one.

    Returns:
        `clip_length` indices in rising order.
    """
    before, after = (1 + torch.randint(3, (2,), generator=generator)).tolist()
    span = [anchor, max(0, anchor - before), min(video_length - 1, anchor + after)][:clip_length]
    wanted = clip_length - len(span)
    outside = [*range(min(span)), *range(max(span) + 1, video_length)]
    if len(outside) < wanted:
        outside = list(range(video_length)) * -(-wanted // video_length)
    chosen = torch.randperm(len(outside), generator=generator)[:wanted].tolist()
    return sorted(span + [outside[i] for i in chosen])
