"""Where the things of a scene stand, how large they are, and how they move."""

import numpy as np

from sgmg.data.synthetic.scene import (
    BOUNCING,
    DIRECTIONS,
    ENTERING,
    GROWING,
    LEAVING,
    SHRINKING,
    STILL,
    SWINGING,
    TURNING,
    Motion,
    Scene,
    SceneObject,
    Wobble,
    make_motion,
)  # fmt: skip
from sgmg.data.synthetic.sprites import Sprite

# Share of the frame's height that things of a size class usually take.
_HEIGHTS = {"person": (0.5, 0.98), "large": (0.32, 0.72), "medium": (0.26, 0.65), "small": (0.18, 0.5),
            "shape": (0.16, 0.52)}  # fmt: skip
# What things measure beside a person who stands as near, by size class: shares of the person's height.
_BESIDE_A_PERSON = {"large": (0.7, 1.5), "medium": (0.28, 0.75), "small": (0.07, 0.3)}


def _motions_of(sprite: Sprite) -> list[str]:
    """Motions that suit a thing; a name that stands twice is twice as likely."""
    if {"left", "right"} & sprite.cut:
        return [STILL]
    if "bottom" in sprite.cut:
        return [STILL, "left", "right", "left", "right", SWINGING]
    moves = sprite.kind.moves
    if moves == "shape":
        turning = [TURNING, TURNING] if sprite.turns else []
        return [*DIRECTIONS, *DIRECTIONS, *turning, GROWING, SHRINKING, BOUNCING, SWINGING, ENTERING, LEAVING]
    if moves == "walk":
        return ["left", "right", "left", "right", GROWING, SHRINKING, BOUNCING, SWINGING, ENTERING, LEAVING]
    if moves == "drive":
        return ["left", "right", "left", "right", GROWING, SHRINKING, ENTERING, LEAVING]
    if moves in ("fly", "swim"):
        return [*DIRECTIONS, "left", "right", GROWING, SHRINKING, SWINGING, ENTERING, LEAVING]
    if moves == "roll":
        return [*DIRECTIONS, "left", "right", BOUNCING, TURNING, ENTERING, LEAVING, GROWING]
    return [*DIRECTIONS, TURNING, GROWING, SHRINKING, SWINGING, ENTERING, LEAVING]


def _choose_motion(
    rng: np.random.Generator,
    sprite: Sprite,
    plan: str,
    taken: list[str],
    length: int,
    tall: float,
    unit: float,
    step: float,
) -> Motion:
    options = _motions_of(sprite)
    still = 0.3 if plan == "motion" else 0.45
    name = STILL if rng.random() < still else str(rng.choice(options))
    if plan == "motion":  # Things of one kind move each in another way.
        fresh = [option for option in (*options, STILL) if option not in taken]
        if fresh and name in taken:
            name = str(rng.choice(fresh))
    low, high = ((0.9, 1.6), (1.9, 3.4), (4.0, 6.5))[int(rng.choice(3, p=[0.25, 0.45, 0.3]))]
    speed = float(rng.uniform(low, high)) * unit * step
    # Nothing crosses more than most of the frame.
    speed = min(speed, 420 * unit / length)
    turn = 0.0
    if sprite.kind.moves == "roll" and name in ("left", "right"):
        turn = (1 if name == "left" else -1) * np.degrees(2 * speed / max(tall, 1))
    elif sprite.turns and name in DIRECTIONS and rng.random() < 0.12:
        turn = float(rng.uniform(-8, 8))
    motion = make_motion(rng, name, speed, length, tall, step, turn)
    if sprite.kind.moves == "walk" and motion.speed > 0.5 and name in ("left", "right", SWINGING, ENTERING, LEAVING):
        _stride(rng, motion, tall)
    return motion


def _stride(rng: np.random.Generator, motion: Motion, tall: float) -> None:
    """Walking: a slight bob and sway at the pace of the steps."""
    t = np.arange(len(motion.dx))
    period = float(rng.uniform(6, 12))
    motion.dy = motion.dy - 0.012 * tall * np.abs(np.sin(np.pi * t / period))
    motion.angle = motion.angle + np.round(1.6 * np.sin(2 * np.pi * t / (2 * period)))


def place_all(
    rng: np.random.Generator, scene: Scene, sprites: list[Sprite], plan: str, unit: float, step: float
) -> None:
    """Put sprites into a scene, each with a size, a motion and a place.

    Args:
        plan: what the scene is about, as the generator's plans are called.
        unit: pixels that count as one at a frame 512 pixels wide.
        step: frames of time that pass from one frame to the next.
    """
    height, width = scene.size
    people = sum(sprite.is_person for sprite in sprites)
    real = sprites[0].source == "cutouts"
    natural = real and 0 < people < len(sprites) and plan in ("names", "free", "looks", "layers") and rng.random() < 0.5
    if natural:  # People first: the others are measured by them.
        sprites = sorted(sprites, key=lambda sprite: not sprite.is_person)
    fills = real and plan in ("names", "free", "looks") and not sprites[0].cut and rng.random() < 0.1
    zoomed = rng.uniform(0.9, 1.15) if len(sprites) <= 3 else rng.uniform(0.75, 1.0)
    taken: dict[str, list[str]] = {}
    for i, sprite in enumerate(sprites):
        low, high = _HEIGHTS[sprite.kind.size]
        if people and not sprite.is_person:
            high = low + 0.55 * (high - low)
        tall = float(rng.uniform(low, high)) * height * zoomed
        if plan == "size":
            tall *= 1.0 if i % 2 == 0 else float(rng.uniform(0.42, 0.58))
        elif plan in ("motion", "place") and i:
            tall = scene.objects[0].tall * float(rng.uniform(0.85, 1.15)) if sprite.kind == sprites[0].kind else tall
        elif natural and not sprite.is_person:
            tall = scene.objects[0].tall * float(rng.uniform(*_BESIDE_A_PERSON[sprite.kind.size]))
        close = plan not in ("size", "place", "layers") and rng.random() < (0.18 if sprite.is_person else 0.1)
        if close and i < 2 and not sprite.cut:  # Seen from near: people are then cut off by the frame.
            tall = height * float(rng.uniform(1.05, 2.2) if sprite.is_person else rng.uniform(0.5, 0.85))
        aspect = sprite.size[0] / sprite.size[1]
        tall = min(tall, 0.6 * width / aspect)
        if not sprite.cut and sprite.kind.size != "person":  # Long thin things are not to become slivers.
            tall = max(tall, 0.075 * height)
        if fills and not i:
            tall = min(height * float(rng.uniform(0.9, 1.6)), 1.3 * width / aspect)
        before = taken.setdefault(sprite.kind.name, [])
        motion = _choose_motion(rng, sprite, plan, before, scene.length, tall, unit, step)
        thing = SceneObject(i + 1, sprite, motion, (0.0, 0.0), tall, 0.0)
        taken[sprite.kind.name].append(thing.motion.name)
        thing.flip = bool(rng.random() < 0.5) if real else False
        if real:
            _bend(rng, thing, step)
        if fills and not i:
            _fill(rng, scene, thing, tall * aspect)
        else:
            _place(rng, scene, thing, plan, tall * aspect)
        scene.objects.append(thing)


def _bend(rng: np.random.Generator, thing: SceneObject, step: float) -> None:
    """Living things are not rigid: most walk on legs that spread and close, or lean a little where they stand."""
    if thing.sprite.kind.moves not in ("walk", "fly", "swim") or thing.sprite.cut or rng.random() < 0.35:
        return
    walks = thing.sprite.kind.moves == "walk" and thing.motion.speed > 0.5
    thing.wobble = Wobble(
        legs=float(rng.uniform(0.08, 0.3)) if walks else float(rng.uniform(0, 0.06)),
        sway=float(rng.uniform(0.0, 0.02) if walks else rng.uniform(0.0, 0.03)),
        period=float(rng.uniform(8, 20) if walks else rng.uniform(14, 50)) / step,
        start=float(rng.random()),
    )


def _fill(rng: np.random.Generator, scene: Scene, thing: SceneObject, wide: float) -> None:
    """Seen from so near that it fills the frame; whatever else there is stands before it, or peeps out behind."""
    height, width = scene.size
    if thing.motion.name in (ENTERING, LEAVING):
        thing.motion = make_motion(rng, STILL, 0.0, scene.length, thing.tall)
    x = width / 2 + float(rng.uniform(-0.25, 0.25)) * min(wide, width)
    y = height / 2 + float(rng.uniform(-0.05, 0.35)) * (thing.tall - 0.6 * height)
    thing.place = (x, y)
    thing.rank = float(rng.uniform(0.0, 0.3) if rng.random() < 0.75 else rng.uniform(0.8, 1.2)) * height


def _place(rng: np.random.Generator, scene: Scene, thing: SceneObject, plan: str, wide: float) -> None:
    """Find a place: things on the ground stand lower the larger they are; overlaps are few but do occur."""
    height, width = scene.size
    kind, sprite, tall = thing.sprite.kind, thing.sprite, thing.tall
    floats = sprite.source == "shapes" or kind.moves == "fly" or (kind.size == "small" and rng.random() < 0.4)
    thing.grounded = not floats and "bottom" not in sprite.cut
    reach_x = float(np.ptp(thing.motion.dx)) / 2
    reach_y = float(np.ptp(thing.motion.dy)) / 2
    shift_x = float(np.abs(scene.camera.x).max()) + 2
    shift_y = float(np.abs(scene.camera.y).max()) + 2
    cut = {{"left": "right", "right": "left"}.get(s, s) for s in sprite.cut} if thing.flip else sprite.cut
    meet = plan == "layers" or rng.random() < 0.2
    best: tuple[float, float, float] | None = None
    for _ in range(1 if meet and not scene.objects else 9):
        margin = min(0.45 * wide + reach_x, 0.5 * width)
        x = float(rng.uniform(margin, width - margin)) if margin < width / 2 else width / 2
        if thing.grounded:
            depth = np.clip(tall / (0.7 * height), 0, 1) if sprite.is_person else rng.random()
            bottom = height * float(0.66 + 0.36 * depth + rng.uniform(-0.06, 0.06))
            y = min(bottom, 1.06 * height) - tall / 2
            if tall > height:
                y = float(rng.uniform(0.02, 0.3)) * height + tall / 2
        else:
            low = min(0.48 * tall + reach_y, 0.5 * height)
            top = height - low
            y = float(rng.uniform(low, 0.6 * top + 0.4 * low if kind.moves == "fly" else top))
        if "bottom" in cut:
            y = height - tall / 2 + shift_y
        if "left" in cut:
            x = wide / 2 - shift_x
        elif "right" in cut:
            x = width - wide / 2 + shift_x
        if meet and scene.objects and plan == "layers" and not cut:
            other = scene.objects[int(rng.integers(len(scene.objects)))]
            gap = 0.5 * (wide + other.tall * other.sprite.size[0] / other.sprite.size[1])
            x = other.place[0] + float(rng.choice([-1, 1])) * gap * float(rng.uniform(0.45, 0.8))
            x = float(np.clip(x, 0.3 * wide, width - 0.3 * wide))
            if not thing.grounded:
                y = float(np.clip(other.place[1] + rng.uniform(-0.2, 0.2) * tall, tall * 0.4, height - tall * 0.4))
        crowd = _crowding(scene, x, y, wide, tall)
        if best is None or crowd < best[0]:
            best = crowd, x, y
        if crowd < 0.05 or (meet and crowd < 0.5):
            break
    assert best is not None
    _, x, y = best
    if thing.motion.name in (ENTERING, LEAVING):
        x = _at_border(rng, thing, wide, width)
    thing.place = (x, y)
    thing.rank = y + tall / 2 if not floats else float(rng.uniform(0.2, 1.1)) * height
    if "bottom" in cut:
        thing.rank = 1.2 * height


def _at_border(rng: np.random.Generator, thing: SceneObject, wide: float, width: int) -> float:
    """A place from where the motion leads into, or out of, the frame."""
    steps = thing.motion.dx
    outside = float(steps[0] if thing.motion.name == ENTERING else steps[-1])
    travel = abs(float(steps[-1] - steps[0]))
    # What it shows where it is furthest out: little, but in a short clip enough to be seen at all.
    shown = 0.05 if travel > 0.5 * wide else float(rng.uniform(0.2, 0.55))
    return (shown - 0.5) * wide - outside if outside < 0 else width + (0.5 - shown) * wide - outside


def _crowding(scene: Scene, x: float, y: float, wide: float, tall: float) -> float:
    """The largest share of a box that another thing's box covers, or of the other that it covers."""
    worst = 0.0
    for other in scene.objects:
        other_wide = other.tall * other.sprite.size[0] / other.sprite.size[1]
        across = min(x + wide / 2, other.place[0] + other_wide / 2) - max(x - wide / 2, other.place[0] - other_wide / 2)
        along = min(y + tall / 2, other.place[1] + other.tall / 2) - max(y - tall / 2, other.place[1] - other.tall / 2)
        if across > 0 and along > 0:
            worst = max(worst, across * along / min(wide * tall, other_wide * other.tall))
    return worst
