"""Training samples straight from the generator, nothing written to disk."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from sgmg.data.sample import Sample
from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticVideos
from sgmg.errors import InputError


@dataclass(frozen=True)
class Growth:
    """From one clip on, generated clips are longer or larger; at first, short and small ones teach more an hour.

    Attributes:
        after: number of the first such clip, which is steps x clips of a step.
        clip_length: frames; as before where None.
        size: (height, width) in pixels; as before where None.
    """

    after: int
    clip_length: int | None = None
    size: tuple[int, int] | None = None


class SyntheticClips(Dataset[list[Sample]]):
    """Generated clips, each with several sentences.

    An item is a list of samples of one clip that share one ``frames`` tensor; their sentences ask for
    different things where there are as many, so that only language decides.

    Args:
        config: what the videos are like; its ``length`` and ``expressions`` are replaced by the two below.
        seed: of the random numbers; another seed, other clips.
        length: frames of a clip. Motions are fitted to them, so that they can be seen in so few frames.
        expressions_per_clip: sentences, hence samples, of a clip.
        size: number of clips in an epoch.
        growth: how clips grow, in the order of their numbers.
    """

    def __init__(
        self,
        config: SyntheticConfig,
        seed: int,
        length: int,
        expressions_per_clip: int,
        size: int,
        growth: Sequence[Growth] = (),
    ) -> None:
        self.videos = SyntheticVideos(replace(config, length=length, expressions=expressions_per_clip), seed)
        self.expressions_per_clip = expressions_per_clip
        self._size = size
        self._starts = [grown.after for grown in growth]
        if self._starts != sorted(set(self._starts)):
            raise InputError(f"Clips grow after {self._starts}: give these numbers in rising order.")
        self._stages = [self.videos]
        for grown in growth:
            before = self._stages[-1].config
            changes = {"length": grown.clip_length or before.length, "size": grown.size or before.size}
            self._stages.append(self.videos.changed(**changes))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> list[Sample]:
        """The samples of a clip, ``expressions_per_clip`` of them."""
        if not 0 <= index < self._size:
            raise IndexError(index)
        video = self._stages[bisect_right(self._starts, index)].generate(index)
        frames = torch.from_numpy(video.frames).permute(0, 3, 1, 2).contiguous()
        labels = torch.from_numpy(video.masks)  # (T, H, W)
        # A scene that allows too few sentences repeats them, so that batches keep their size.
        chosen = [video.expressions[i % len(video.expressions)] for i in range(self.expressions_per_clip)]
        return [
            Sample(
                frames=frames,
                masks=torch.isin(labels, labels.new_tensor(expression.object_ids)),
                expression=expression.text,
                video=f"{index:06d}",
                expression_id=str(number),
                frame_names=[f"{t:05d}" for t in range(len(frames))],
                kind=expression.kind,
            )
            for number, expression in enumerate(chosen)
        ]  # fmt: skip
