"""Things that touch as they do in life: in hands and arms, under riders, on tables, half behind each other."""

from dataclasses import dataclass, replace

import numpy as np

from sgmg.data.synthetic import vocabulary
from sgmg.data.synthetic.scene import GROWING, SHRINKING, Scene, SceneObject
from sgmg.data.synthetic.sprites import CutoutSource, Sprite

# What people hold in a hand, by its height over theirs.
_IN_HANDS = {"ball": (0.1, 0.19), "cup": (0.07, 0.13), "camera": (0.08, 0.13), "laptop": (0.13, 0.2),
             "bottle": (0.11, 0.17), "guitar": (0.2, 0.34), "mandolin": (0.15, 0.25), "phone": (0.06, 0.1),
             "umbrella": (0.25, 0.4), "pizza": (0.1, 0.17), "teddy bear": (0.13, 0.25), "saxophone": (0.2, 0.3),
             "accordion": (0.15, 0.24), "box": (0.12, 0.25), "bag": (0.12, 0.22), "flower": (0.08, 0.16),
             "basket": (0.13, 0.2), "watch": (0.06, 0.09), "binoculars": (0.06, 0.1), "gun": (0.06, 0.12),
             "stop sign": (0.2, 0.4), "jug": (0.1, 0.17), "strawberry": (0.05, 0.09), "lamp": (0.12, 0.22),
             "scissors": (0.07, 0.12), "bowl": (0.06, 0.11), "banana": (0.07, 0.12), "bucket": (0.13, 0.2),
             "headphones": (0.08, 0.13), "wrench": (0.08, 0.15), "teapot": (0.08, 0.14)}  # fmt: skip
# And in their arms or on their laps: larger, before the body.
_IN_ARMS = {"dog": (0.18, 0.3), "cat": (0.15, 0.24), "rooster": (0.14, 0.2), "rabbit": (0.12, 0.18),
            "teddy bear": (0.15, 0.28), "laptop": (0.13, 0.2), "accordion": (0.17, 0.26), "guitar": (0.24, 0.36),
            "box": (0.15, 0.28), "duck": (0.12, 0.2), "bag": (0.15, 0.25), "koala": (0.18, 0.26),
            "monkey": (0.15, 0.25), "turtle": (0.1, 0.18), "penguin": (0.16, 0.25)}  # fmt: skip
# What is ridden, by its width over the rider's height.
_RIDDEN = {"motorbike": (0.7, 1.0), "wheelchair": (0.4, 0.6), "chair": (0.3, 0.45), "horse": (0.8, 1.1),
           "elephant": (1.2, 1.8)}  # fmt: skip
# What stands, sits or lies on other things, by its height over that of what carries it.
_CARRIES = ("table", "chair", "sofa", "bench", "bed", "piano", "box", "barrel", "car", "crate", "boat", "stove", "lamp",
            "turtle", "laptop")  # fmt: skip
_ON_TOP = {"cat": (0.35, 0.6), "cup": (0.14, 0.26), "bottle": (0.2, 0.36), "lamp": (0.3, 0.5), "bowl": (0.12, 0.2),
           "teapot": (0.16, 0.28), "laptop": (0.25, 0.4), "camera": (0.15, 0.25), "flower": (0.2, 0.4),
           "pigeon": (0.2, 0.32), "rooster": (0.25, 0.4), "dog": (0.4, 0.65), "ball": (0.16, 0.3),
           "pizza": (0.14, 0.24), "phone": (0.14, 0.25), "teddy bear": (0.25, 0.45), "box": (0.2, 0.4),
           "jug": (0.18, 0.3), "clock": (0.16, 0.28), "hat": (0.14, 0.24), "monkey": (0.35, 0.55),
           "owl": (0.25, 0.4)}  # fmt: skip


@dataclass(frozen=True)
class _Grip:
    """How one thing touches another.

    Attributes:
        touch: "held", "ridden" or "on", as in `SceneObject`. What is ridden is measured by its width, and stands where
            the other stands; what is on top has its foot there, and ``below`` counts from the other's top.
        table: kinds, and their sizes as shares.
        across: choices of its middle, from that of the other, as a share of the other's width.
        below: range of its middle, from that of the other, as a share of the other's height.
        behind: how often it is drawn behind the other.
    """

    touch: str
    table: dict[str, tuple[float, float]]
    across: tuple[float, ...]
    below: tuple[float, float]
    behind: float = 0.0


_HAND = _Grip("held", _IN_HANDS, (-0.42, -0.36, -0.15, 0.0, 0.15, 0.36, 0.42), (-0.16, 0.1), behind=0.25)
_ARMS = _Grip("held", _IN_ARMS, (-0.12, 0.0, 0.12), (-0.18, 0.04))
_SADDLE = _Grip("ridden", _RIDDEN, (-0.05, 0.0, 0.05), (0.0, 0.06), behind=0.3)
_TOP = _Grip("on", _ON_TOP, (-0.3, -0.15, 0.0, 0.15, 0.3), (0.05, 0.3), behind=0.2)


def add_touching(rng: np.random.Generator, scene: Scene, cutouts: CutoutSource, most: int) -> None:
    """Give things into hands and arms, under people, and onto other things.

    Args:
        most: things that the scene may have in all.
    """
    for thing in list(scene.objects):
        if len(scene.objects) >= max(most, 2):
            return
        # What grows does so about its own foot, and would leave what it holds.
        if thing.motion.name in (GROWING, SHRINKING) or not thing.grounded:
            continue
        grip = _grip_for(rng, thing)
        if grip is not None:
            _add(rng, scene, cutouts, thing, grip)


def _grip_for(rng: np.random.Generator, thing: SceneObject) -> _Grip | None:
    draw = rng.random()
    if thing.sprite.is_person:
        return _HAND if draw < 0.25 else _SADDLE if draw < 0.4 else _ARMS if draw < 0.52 else None
    if thing.sprite.kind.name in _CARRIES and thing.motion.turn_rate < 0.5:
        return _TOP if draw < 0.45 else None
    return None


def _add(rng: np.random.Generator, scene: Scene, cutouts: CutoutSource, holder: SceneObject, grip: _Grip) -> None:
    hidden = scene.contents | {holder.sprite.kind.family}
    kinds = [name for name in grip.table if vocabulary.kind(name).family not in hidden]
    sprite = cutouts.draw_family(rng, kinds) if kinds else None
    if sprite is None or sprite.cut:
        return
    tall, (x, y) = _measure(rng, scene, holder, sprite, grip)
    number = len(scene.objects) + 1
    rank = holder.rank + (-0.01 if rng.random() < grip.behind else 0.01)
    # It moves as its holder does, and a little in the hand.
    motion = replace(holder.motion, angle=np.zeros(scene.length))
    held = SceneObject(number, sprite, motion, (x, y), tall, rank, holder=holder.id, touch=grip.touch)
    if grip is _HAND and rng.random() < 0.5:
        t = np.arange(scene.length)
        reach, period = 0.03 * holder.tall * float(rng.random()), float(rng.uniform(8, 24))
        held.motion = replace(motion, dy=motion.dy + reach * np.sin(2 * np.pi * (t / period + rng.random())))
    held.flip = bool(rng.random() < 0.5)
    scene.objects.append(held)


def _measure(
    rng: np.random.Generator, scene: Scene, holder: SceneObject, sprite: Sprite, grip: _Grip
) -> tuple[float, tuple[float, float]]:
    """Height in pixels, and place, of a thing that touches its holder."""
    wide = holder.tall * holder.sprite.size[0] / holder.sprite.size[1]
    share = float(rng.uniform(*grip.table[sprite.kind.name])) * holder.tall
    below = float(rng.uniform(*grip.below)) * holder.tall
    x = holder.place[0] + float(rng.choice(grip.across)) * wide
    if grip.touch == "ridden":
        tall = min(share * sprite.size[1] / sprite.size[0], 0.8 * holder.tall)
        return tall, (x, holder.place[1] + holder.tall / 2 - tall / 2 + below)
    tall = max(share, 0.055 * scene.size[0])
    if grip.touch == "on":
        return tall, (x, holder.place[1] - holder.tall / 2 + below - tall / 2)
    if sprite.kind.name == "umbrella":
        return tall, (x, holder.place[1] - 0.4 * holder.tall)
    return tall, (x, holder.place[1] + below)
