"""Generated videos: what is put into a scene, where, and which sentences are asked about it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from sgmg.data.synthetic import vocabulary
from sgmg.data.synthetic.backgrounds import Backgrounds
from sgmg.data.synthetic.expressions import KINDS, Expression, Sentences
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
    canvas_size,
    make_camera,
    make_motion,
    render,
)  # fmt: skip
from sgmg.data.synthetic.sprites import SHAPES, CutoutSource, ShapeSource, Sprite, SpriteSource
from sgmg.errors import InputError

SPLITS = ("train", "valid")
SOURCES = ("shapes", "cutouts", "both")


@dataclass(frozen=True)
class SyntheticConfig:
    """What generated videos are like.

    Attributes:
        size: (height, width) of the frames in pixels.
        length: frames of a video.
        objects: the least and the most things in a video.
        source: "shapes", "cutouts", or "both" (then ``cutout_share`` of the videos show cutouts).
        cutouts: folder of cutouts with a ``labels.json``; videos cannot be made without unless ``source`` is "shapes".
        backgrounds: folder of photographs, or None for procedural backgrounds only.
        procedural_share: share of procedural backgrounds where there are photographs.
        split: "train" or "valid": about one cutout and one photograph in five are kept for "valid", and its
            random numbers are others, so that nothing of it is met in training.
        kinds: kinds of sentences to make: "name", "attribute", "motion", "position", "relation", "combined",
            "absent".
        expressions: sentences of a video.
        absent_share: share of sentences about things that are not there.
        redundant_share: share of the sentences whose name alone would do that say one true thing more, as people
            do ("the girl in the blue skirt" of the only girl). Where it is 0, every word is needed.
        max_step: a video is seen at every 1st to ``max_step``-th frame: motions are that much faster.

    Raises:
        InputError: on values that make no video.
    """

    size: tuple[int, int] = (288, 512)
    length: int = 24
    objects: tuple[int, int] = (2, 5)
    source: str = "shapes"
    cutout_share: float = 0.75
    cutouts: Path | None = None
    backgrounds: Path | None = None
    procedural_share: float = 0.15
    split: str = "train"
    kinds: tuple[str, ...] = KINDS
    expressions: int = 6
    absent_share: float = 0.12
    redundant_share: float = 0.0
    max_step: int = 1

    def __post_init__(self) -> None:
        height, width = self.size
        if min(height, width) < 48 or max(height, width) > 4096:
            raise InputError(f"Frames of {height}x{width} cannot be made: give sides from 48 to 4096 pixels.")
        if self.length < 1:
            raise InputError(f"A video of {self.length} frames cannot be made: give a length of at least 1.")
        if not 1 <= self.objects[0] <= self.objects[1] <= 12:
            raise InputError(f"{self.objects} objects cannot be placed: give a range within 1 to 12, like 2-5.")
        if self.source not in SOURCES:
            raise InputError(f"Unknown source '{self.source}': use one of {', '.join(SOURCES)}.")
        if self.split not in SPLITS:
            raise InputError(f"Unknown split '{self.split}': use train or valid.")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise InputError(f"Unknown kind of expression '{unknown[0] if unknown else ''}': use {', '.join(KINDS)}.")
        if self.expressions < 1:
            raise InputError("A video needs at least one expression.")
        if self.max_step < 1:
            raise InputError(f"A video cannot be seen at every {self.max_step}th frame: give 1 or more.")
        for name in ("cutout_share", "procedural_share", "absent_share", "redundant_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share and lies between 0 and 1, unlike {getattr(self, name)}.")


@dataclass
class SyntheticObject:
    """What is known of a thing in a video.

    Attributes:
        id: its number in the label maps.
        kind: its everyday kind, "dog"; names: all words that are true of it.
        source: "shapes" or "cutouts".
        motion: "still", "left", "right", "up", "down", "turning", "growing", "shrinking", "bouncing", "swinging",
            "entering" or "leaving".
        colors: colours that are clearly true of it as a whole.
        texture: of shapes: "plain", "striped", "dotted" or "checkered".
        garments: of people: (garment, colour or None), largest first.
    """

    id: int
    kind: str
    names: tuple[str, ...]
    source: str
    motion: str
    colors: tuple[str, ...] = ()
    texture: str | None = None
    garments: tuple[tuple[str, str | None], ...] = ()


@dataclass
class SyntheticVideo:
    """A generated video.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        masks: (T, H, W) uint8 label maps: the id of the visible object, 0 for the background.
        expressions: the sentences.
        objects: the things in it, hidden or not.
        background: file name of the background, or "procedural".
    """

    frames: np.ndarray
    masks: np.ndarray
    expressions: list[Expression]
    objects: list[SyntheticObject] = field(default_factory=list)
    background: str = ""


# Share of the frame's height that things of a size class usually take.
_HEIGHTS = {"person": (0.5, 0.98), "large": (0.32, 0.72), "medium": (0.26, 0.65), "small": (0.18, 0.5),
            "shape": (0.16, 0.52)}  # fmt: skip
# What is held, by its height over the holder's; and what is ridden, by its width over the rider's height.
_HELD = {"ball": (0.1, 0.19), "cup": (0.07, 0.13), "camera": (0.08, 0.13), "laptop": (0.13, 0.2),
         "bottle": (0.11, 0.17), "guitar": (0.2, 0.34), "mandolin": (0.15, 0.25), "phone": (0.06, 0.1),
         "umbrella": (0.25, 0.4), "pizza": (0.1, 0.17), "teddy bear": (0.13, 0.25), "saxophone": (0.2, 0.3),
         "accordion": (0.15, 0.24), "box": (0.12, 0.25), "bag": (0.12, 0.22), "flower": (0.08, 0.16),
         "basket": (0.13, 0.2), "watch": (0.06, 0.09), "binoculars": (0.06, 0.1), "gun": (0.06, 0.12),
         "stop sign": (0.2, 0.4), "jug": (0.1, 0.17), "strawberry": (0.05, 0.09), "lamp": (0.12, 0.22),
         "scissors": (0.07, 0.12), "rooster": (0.14, 0.2), "cat": (0.14, 0.22)}  # fmt: skip
_RIDDEN = {"motorbike": (0.7, 1.0), "wheelchair": (0.4, 0.6), "chair": (0.3, 0.45)}
_ATTEMPTS = 40
_PLANS = ("names", "looks", "motion", "size", "place", "layers", "free")


class SyntheticVideos:
    """Generated videos by index: the same seed, split, configuration and index give the same video.

    >>> videos = SyntheticVideos(SyntheticConfig(length=4), seed=0)
    >>> videos.generate(3).frames.shape
    (4, 288, 512, 3)

    Raises:
        InputError: cutouts are asked for and there is no folder of them, or it cannot be used.
    """

    def __init__(self, config: SyntheticConfig, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self._shapes: ShapeSource | None = ShapeSource() if config.source != "cutouts" else None
        self._cutouts: CutoutSource | None = None
        if config.source != "shapes":
            if config.cutouts is None:
                raise InputError(
                    f"The source '{config.source}' needs a folder of cutouts: give --cutouts DIR, or in a recipe "
                    "data.synthetic.cutouts=DIR."
                )
            self._cutouts = CutoutSource(config.cutouts, config.split)
        self._backgrounds = Backgrounds(config.backgrounds, config.split, config.procedural_share)
        self._absent_names = {
            "shapes": [(word, shape) for shape, words in SHAPES.items() for word in words[:1]],
            "cutouts": _askable_names(self._cutouts) if self._cutouts else [],
        }

    def __getitem__(self, index: int) -> SyntheticVideo:
        """The video of an index, at the configured length."""
        return self.generate(index)

    def generate(self, index: int, length: int | None = None) -> SyntheticVideo:
        """Make the video of an index.

        Args:
            index: any number from 0.
            length: frames, if another number than configured.

        Raises:
            InputError: a picture cannot be read, or nothing can be said of the kinds that were asked for.
        """
        config = self.config
        best: tuple[Scene, list[Expression], np.ndarray, np.ndarray, str] | None = None
        most = 0
        for attempt in range(_ATTEMPTS):
            if attempt >= 6 and best is not None and best[1]:
                break
            rng = np.random.default_rng([self.seed, SPLITS.index(config.split), index, attempt])
            scene, images, background, source = self._plan(rng, length or config.length)
            frames, labels = render(scene, images, rng)
            expressions = self._expressions(rng, scene, source)
            # Scenes that say little are planned anew: two things to ask for, where there are two.
            present = sum(expression.object_id is not None for expression in expressions)
            if best is None or not best[1] or present > most:
                best, most = (scene, expressions, frames, labels, background), present
            if present >= min(2, config.expressions, len(scene.objects)) or set(config.kinds) == {"absent"}:
                break
        if best is None or not best[1]:
            raise InputError(
                f"No expression of the kinds {', '.join(config.kinds)} can be made for video {index}: allow more "
                "kinds or more objects."
            )
        scene, expressions, frames, labels, background = best
        objects = [_described(thing) for thing in scene.objects]
        return SyntheticVideo(frames, labels, expressions, objects, background)

    # -- sentences

    def _expressions(self, rng: np.random.Generator, scene: Scene, source: str) -> list[Expression]:
        config = self.config
        sentences = Sentences(scene, config.kinds, self._absent_names[source], rng, config.redundant_share)
        things = [sentences.facts.things[i] for i in rng.permutation(len(sentences.facts.things))]
        per_thing = -(-config.expressions // max(1, len(things) - 1))
        asked = [found for thing in things if (found := sentences.of(thing, max(1, per_thing)))]
        # One of each thing in turn, so that neighbours in the list ask for different things.
        turns = [found[i] for i in range(per_thing) for found in asked if i < len(found)]
        expressions: list[Expression] = []
        texts: set[str] = set()
        share = config.absent_share if "absent" in config.kinds else 0.0
        if set(config.kinds) == {"absent"}:
            share = 1.0
        for absent in rng.random(config.expressions) < share:
            expression = sentences.absent() if absent else None
            while expression is None and turns:
                expression = turns.pop(0)
                if expression.text in texts:
                    expression = None
            if expression is not None and expression.text not in texts:
                texts.add(expression.text)
                expressions.append(expression)
        return expressions

    # -- what is in a scene

    def _plan(self, rng: np.random.Generator, length: int) -> tuple[Scene, dict[int, Image.Image], str, str]:
        config = self.config
        unit = config.size[1] / 512
        source: SpriteSource
        cutouts = self._cutouts
        if cutouts is not None and (self._shapes is None or rng.random() < config.cutout_share):
            source = cutouts
        else:
            assert self._shapes is not None
            source = self._shapes
        plan = self._choose_plan(rng, source.name)
        step = float(rng.integers(1, config.max_step + 1))
        styles, odds = ["still", "pan", "shake", "zoom"], [0.42, 0.26, 0.18, 0.14]
        style = "still" if plan == "motion" and rng.random() < 0.7 else str(rng.choice(styles, p=odds))
        camera = make_camera(rng, style, length, unit, step)
        canvas, contents, background = self._backgrounds.draw(rng, canvas_size(config.size, camera))
        count = int(rng.integers(config.objects[0], config.objects[1] + 1))
        sprites = self._choose_sprites(rng, source, plan, count, frozenset(contents))
        scene = Scene(config.size, length, [], camera, canvas, contents)
        scene.shadows = source.name == "cutouts" and bool(rng.random() < 0.6)
        scene.grain = float(rng.uniform(1.5, 6)) if rng.random() < 0.3 else 0.0
        _place_all(rng, scene, sprites, plan, unit, step)
        if cutouts is not None and source is cutouts:
            _add_touching(rng, scene, cutouts, most=config.objects[1])
        images = {thing.id: self._picture(source, thing) for thing in scene.objects}
        _light(rng, scene, images)
        return scene, images, background, source.name

    def _choose_plan(self, rng: np.random.Generator, source: str) -> str:
        odds = np.array([0.15, 0.4, 0.15, 0.05, 0.06, 0.1, 0.09] if source == "cutouts" else
                        [0.1, 0.26, 0.2, 0.14, 0.1, 0.08, 0.12])  # fmt: skip
        wanted = set(self.config.kinds) - {"absent", "combined"}
        if wanted and "combined" not in self.config.kinds:
            serves = {"names": {"name"}, "looks": {"attribute"}, "motion": {"motion"}, "size": {"attribute"},
                      "place": {"position"}, "layers": {"relation"}, "free": wanted}  # fmt: skip
            odds = odds * np.array([1.0 if serves[plan] & wanted else 0.15 for plan in _PLANS])
        return str(rng.choice(_PLANS, p=odds / odds.sum()))

    def _choose_sprites(
        self, rng: np.random.Generator, source: SpriteSource, plan: str, count: int, contents: frozenset[str]
    ) -> list[Sprite]:
        """A set in which things are easily confused, in the respects that the plan is about."""
        first = _drawn(rng, source, contents)
        if plan == "looks" and isinstance(source, CutoutSource):
            # What differs in looks alone: people by their clothes, things that come in many colours.
            families = [["person"], _COLORFUL][int(rng.random() < 0.3)]
            first = source.draw_family(rng, [k for k in families if k not in contents]) or first
        sprites = [first]
        while len(sprites) < count:
            like = sprites[int(rng.integers(len(sprites)))] if rng.random() < 0.4 else first
            differ: str | None = None
            if plan == "names":
                avoid = contents | {sprite.kind.family for sprite in sprites}
                sprites.append(_drawn(rng, source, frozenset(avoid)))
                continue
            if plan == "looks":
                differ = "color" if rng.random() < 0.7 else str(rng.choice(["texture", "kind"]))
            elif plan in ("motion", "size", "place"):
                differ = str(rng.choice(["nothing", "color", "kind"], p=[0.62, 0.23, 0.15]))
            elif plan == "layers":
                differ = str(rng.choice(["nothing", "kind", "color"], p=[0.4, 0.4, 0.2]))
            else:
                differ = str(rng.choice(["color", "kind", "texture", "new"], p=[0.35, 0.2, 0.1, 0.35]))
            made = source.variant(rng, like, differ) if differ != "new" else None
            if made is None or not _placeable(made) or (made.kind.family in contents and differ == "kind"):
                made = _drawn(rng, source, contents)
            sprites.append(made)
        return sprites

    def _picture(self, source: SpriteSource, thing: SceneObject) -> Image.Image:
        image = source.image(thing.sprite)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if thing.flip else image


def _described(thing: SceneObject) -> SyntheticObject:
    sprite = thing.sprite
    garments = tuple((garment.tag, garment.color) for garment in sprite.garments)
    return SyntheticObject(
        thing.id, sprite.kind.name, sprite.names, sprite.source, thing.motion.name,
        tuple(sorted(sprite.colors)), sprite.texture, garments,
    )  # fmt: skip


def _askable_names(cutouts: CutoutSource) -> list[tuple[str, str]]:
    """Nouns for things that may be absent: every kind there is, and what else a person may be called."""
    kinds = {kind.name: kind.family for kind in cutouts.kinds() if kind.name in vocabulary.KINDS}
    names = sorted((kinds | {kind.name: kind.family for kind in vocabulary.KINDS.values()}).items())
    people = [(word, "person") for word in (*vocabulary.PERSON_WORDS[:1] * 6, *vocabulary.PERSON_GUESSES[:6])]
    common = [(word, vocabulary.kind(word).family) for word in _COMMON for _ in range(4)]
    return names + people + common


_COMMON = ("dog", "cat", "bird", "horse", "cow", "car", "bus", "truck", "motorbike", "boat", "airplane", "chair",
           "ball", "cup", "bottle", "umbrella", "bag", "laptop", "phone", "train", "sheep", "elephant")  # fmt: skip


_COLORFUL = [kind.name for kind in vocabulary.KINDS.values() if kind.tintable]


def _placeable(sprite: Sprite) -> bool:
    """Whether its cut sides can be hidden at the frame's border: at most the bottom and one side."""
    return "top" not in sprite.cut and not {"left", "right"} <= sprite.cut


def _drawn(rng: np.random.Generator, source: SpriteSource, avoid: frozenset[str]) -> Sprite:
    sprite = source.draw(rng, avoid)
    for _ in range(12):
        # What is cut off must stand at a border; most of the time a whole thing is better.
        if _placeable(sprite) and (not sprite.cut or rng.random() < 0.35):
            break
        sprite = source.draw(rng, avoid)
    return sprite


# ------------------------------------------------------------------------------------ placing things


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


def _place_all(
    rng: np.random.Generator, scene: Scene, sprites: list[Sprite], plan: str, unit: float, step: float
) -> None:
    height, width = scene.size
    people = sum(sprite.is_person for sprite in sprites)
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
        close = plan not in ("size", "place", "layers") and rng.random() < (0.14 if sprite.is_person else 0.1)
        if close and i < 2 and not sprite.cut:  # Seen from near: people are then cut off by the frame.
            tall = height * float(rng.uniform(1.05, 1.9) if sprite.is_person else rng.uniform(0.5, 0.85))
        aspect = sprite.size[0] / sprite.size[1]
        tall = min(tall, 0.6 * width / aspect)
        if not sprite.cut and sprite.kind.size != "person":  # Long thin things are not to become slivers.
            tall = max(tall, 0.075 * height)
        before = taken.setdefault(sprite.kind.name, [])
        motion = _choose_motion(rng, sprite, plan, before, scene.length, tall, unit, step)
        thing = SceneObject(i + 1, sprite, motion, (0.0, 0.0), tall, 0.0)
        taken[sprite.kind.name].append(thing.motion.name)
        thing.flip = bool(rng.random() < 0.5) if sprite.source == "cutouts" else False
        _place(rng, scene, thing, plan, tall * aspect)
        scene.objects.append(thing)


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


def _add_touching(rng: np.random.Generator, scene: Scene, cutouts: CutoutSource, most: int) -> None:
    """Give things into people's hands, under them, or to their feet: real things touch."""
    height = scene.size[0]
    for person in list(scene.objects):
        if not person.sprite.is_person or rng.random() > 0.42 or len(scene.objects) >= max(most, 2):
            continue
        ridden = rng.random() < 0.3
        table = _RIDDEN if ridden else _HELD
        families = [name for name in table if vocabulary.kind(name).family not in scene.contents]
        sprite = cutouts.draw_family(rng, families) if families else None
        if sprite is None or sprite.cut:
            continue
        aspect = sprite.size[0] / sprite.size[1]
        low, high = table[sprite.kind.name]
        wide_person = person.tall * person.sprite.size[0] / person.sprite.size[1]
        if ridden:
            tall = min(float(rng.uniform(low, high)) * person.tall / aspect, 0.7 * person.tall)
            x = person.place[0] + float(rng.uniform(-0.1, 0.1)) * tall * aspect
            y = person.place[1] + person.tall / 2 - tall / 2 + float(rng.uniform(0.0, 0.06)) * person.tall
        else:
            tall = float(rng.uniform(low, high)) * person.tall
            tall = max(tall, 0.055 * height)
            x = person.place[0] + float(rng.choice([-0.36, -0.15, 0.0, 0.15, 0.36])) * wide_person
            y = person.place[1] + float(rng.uniform(-0.14, 0.08)) * person.tall
            if sprite.kind.name == "umbrella":
                y = person.place[1] - 0.5 * person.tall + 0.1 * tall
        held = SceneObject(len(scene.objects) + 1, sprite, person.motion, (x, y), tall, person.rank + 0.01)
        # It moves as its holder does; what grows does so about the holder's foot, hence not held things.
        if person.motion.name in (GROWING, SHRINKING):
            continue
        held.motion = replace(person.motion, angle=np.zeros(scene.length))
        held.flip = bool(rng.random() < 0.5)
        held.holder = person.id
        held.grounded = False
        scene.objects.append(held)


# ---------------------------------------------------------------------------------- light and focus


def _light(rng: np.random.Generator, scene: Scene, images: dict[int, Image.Image]) -> None:
    """Vary exposure and focus: of the whole clip, of the background, and a little of every thing."""
    gamma = float(np.exp(rng.normal(0, 0.16)))
    gain = float(rng.uniform(0.85, 1.1))
    tone = np.array([1 + rng.normal(0, 0.025) for _ in range(3)])
    if rng.random() < 0.35:
        # Out of focus: scaled down and up again.
        size, blur = scene.canvas.size, float(rng.uniform(1.5, 6))
        small = (max(8, round(size[0] / blur)), max(8, round(size[1] / blur)))
        small_canvas = scene.canvas.resize(small, Image.Resampling.BILINEAR, reducing_gap=1.5)
        scene.canvas = small_canvas.resize(size, Image.Resampling.BICUBIC)
    scene.canvas = scene.canvas.point(_curve(gamma, gain * tone))
    ambient = np.asarray(scene.canvas.resize((1, 1), Image.Resampling.BOX)).reshape(3) / 255.0
    if rng.random() < 0.25:
        scene.softness = float(rng.uniform(1.2, 2.2))
    for thing in scene.objects:
        image = images[thing.id]
        real = thing.sprite.source == "cutouts"
        own = float(rng.uniform(0.82, 1.15)) if real else float(rng.uniform(0.92, 1.06))
        # A little of the scene's own light falls on things.
        cast = 1 + (0.25 if real else 0.1) * (ambient / max(float(ambient.mean()), 0.05) - 1)
        curve = _curve(gamma, gain * own * tone * np.clip(cast, 0.85, 1.15))
        image = image.point([*curve, *range(256)])
        images[thing.id] = image


def _curve(gamma: float, gain: np.ndarray) -> list[int]:
    """A lookup table for three channels."""
    level = (np.arange(256) / 255.0) ** gamma
    return [int(v) for channel in gain for v in np.clip(level * channel * 255, 0, 255)]
