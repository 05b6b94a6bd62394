"""Generated videos: what is put into a scene, where, and which sentences are asked about it."""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sgmg.data.synthetic import vocabulary
from sgmg.data.synthetic.backgrounds import Backgrounds
from sgmg.data.synthetic.expressions import KINDS, Expression, Sentences
from sgmg.data.synthetic.light import film
from sgmg.data.synthetic.placing import place_all
from sgmg.data.synthetic.scene import Scene, SceneObject, canvas_size, make_camera, render
from sgmg.data.synthetic.sprites import SHAPES, CutoutSource, ShapeSource, Sprite, SpriteSource
from sgmg.data.synthetic.touching import add_touching
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
        kinds: kinds of sentences to make, of :data:`~sgmg.data.synthetic.KINDS`; "synonym" only in the split "valid".
        expressions: sentences of a video.
        absent_share: share of sentences about things that are not there.
        redundant_share: share of the sentences whose name alone would do that say one true thing more, as people
            do ("the girl in the blue skirt" of the only girl). Where it is 0, every word is needed.
        careless_share: share of the sentences that are said as people type: small words left out, "find" or "please"
            around them.
        plural_share: share of the sentences that ask for all things of a kind ("the people"); in clips for training
            only, since most benchmarks ask for one object a sentence.
        named_share: share of the videos in which names alone decide that are kept; others are made anew, for one in
            which clothes, colours, motion, place or relations are asked for.
        emphasis: how many times as often as usual a kind of sentence is chosen where several kinds could be, by kind;
            once where it is not named.
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
    careless_share: float = 0.0
    plural_share: float = 0.0
    named_share: float = 1.0
    emphasis: Mapping[str, float] = field(default_factory=dict)
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
        for kind, times in self.emphasis.items():
            if kind not in (chosen := [one for one in KINDS if one != "absent"]):
                raise InputError(f"No kind of expression '{kind}' is chosen among others: use {', '.join(chosen)}.")
            if not 0 < times < math.inf:
                raise InputError(f"emphasis of '{kind}' is a number of times, more than 0, unlike {times}.")
        if self.expressions < 1:
            raise InputError("A video needs at least one expression.")
        if self.max_step < 1:
            raise InputError(f"A video cannot be seen at every {self.max_step}th frame: give 1 or more.")
        for name in (
            "cutout_share",
            "procedural_share",
            "absent_share",
            "redundant_share",
            "careless_share",
            "plural_share",
            "named_share",
        ):
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
        most = (False, 0)
        for attempt in range(_ATTEMPTS):
            if attempt >= 6 and best is not None and best[1]:
                break
            rng = np.random.default_rng([self.seed, SPLITS.index(config.split), index, attempt])
            scene, images, background, source = self._plan(rng, length or config.length)
            frames, labels = render(scene, images, rng)
            expressions = self._expressions(rng, scene, source)
            # Scenes that say little are planned anew: two things to ask for, where there are two.
            present = sum(expression.object_id is not None for expression in expressions)
            named = all(expression.kind in ("name", "absent", "plural") for expression in expressions)
            kept = not named or config.named_share == 1 or rng.random() < config.named_share
            if best is None or not best[1] or (kept, present) > most:
                best, most = (scene, expressions, frames, labels, background), (kept, present)
            enough = present >= min(2, config.expressions, len(scene.objects)) or set(config.kinds) == {"absent"}
            if kept and enough:
                break
        if best is None or not best[1]:
            raise InputError(
                f"No expression of the kinds {', '.join(config.kinds)} can be made for video {index}: allow more "
                "kinds or more objects."
            )
        scene, expressions, frames, labels, background = best
        objects = [_described(thing) for thing in scene.objects]
        return SyntheticVideo(frames, labels, expressions, objects, background)

    def changed(self, **changes: Any) -> "SyntheticVideos":
        """The same but for some of the configuration; pictures that were read are shared.

        Args:
            changes: fields of the configuration other than ``source``, ``cutouts``, ``backgrounds`` and ``split``.
        """
        other = copy(self)
        other.config = replace(self.config, **changes)
        return other

    # -- sentences

    def _expressions(self, rng: np.random.Generator, scene: Scene, source: str) -> list[Expression]:
        config = self.config
        sentences = Sentences(
            scene,
            config.kinds,
            self._absent_names[source],
            rng,
            config.redundant_share,
            config.careless_share,
            config.emphasis,
            held_out=config.split == "valid",
        )
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
            if expression is None and config.plural_share and rng.random() < config.plural_share:
                expression = sentences.plural()
                if expression is not None and expression.text in texts:
                    expression = None
            while expression is None and turns:
                expression = turns.pop(0)
                if expression.text in texts:
                    expression = None
            if expression is not None and expression.text not in texts:
                texts.add(expression.text)
                expressions.append(expression)
        if share and 0 < len(expressions) < config.expressions:  # Few things, about which little can be said.
            expression = sentences.absent()
            if expression is not None and expression.text not in texts:
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
        styles, odds = ["still", "pan", "shake", "zoom", "hand"], [0.36, 0.2, 0.12, 0.12, 0.2]
        style = "still" if plan == "motion" and rng.random() < 0.7 else str(rng.choice(styles, p=odds))
        camera = make_camera(rng, style, length, unit, step)
        canvas, contents, background = self._backgrounds.draw(rng, canvas_size(config.size, camera))
        count = int(rng.integers(config.objects[0], config.objects[1] + 1))
        if source is cutouts and count > config.objects[0] and rng.random() < 0.5:
            count -= 1  # Room for something that touches another thing.
        sprites = self._choose_sprites(rng, source, plan, count, frozenset(contents))
        scene = Scene(config.size, length, [], camera, canvas, contents)
        scene.shadows = source.name == "cutouts" and bool(rng.random() < 0.6)
        scene.grain = float(rng.uniform(1.5, 6)) if rng.random() < 0.3 else 0.0
        place_all(rng, scene, sprites, plan, unit, step)
        if cutouts is not None and source is cutouts:
            add_touching(rng, scene, cutouts, most=config.objects[1])
        images = {thing.id: self._picture(source, thing) for thing in scene.objects}
        film(rng, scene, images, step)
        return scene, images, background, source.name

    def _choose_plan(self, rng: np.random.Generator, source: str) -> str:
        odds = np.array([0.15, 0.4, 0.15, 0.05, 0.06, 0.1, 0.09] if source == "cutouts" else
                        [0.1, 0.26, 0.2, 0.14, 0.1, 0.08, 0.12])  # fmt: skip
        wanted = set(self.config.kinds) - {"absent", "combined"}
        if wanted and "combined" not in self.config.kinds:
            serves = {"names": {"name", "synonym"}, "looks": {"attribute", "clothes"}, "motion": {"motion"},
                      "size": {"attribute"}, "place": {"position"}, "layers": {"relation"}, "free": wanted}  # fmt: skip
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
    """Nouns for things that may be absent: of 20, 7 of any kind there is, 5 for people, 8 of common kinds.

    People are in most videos: did sentences not ask for them as often where nobody is, the word alone would say that
    somebody is there.
    """
    kinds = {kind.name: kind.family for kind in cutouts.kinds() if kind.name in vocabulary.KINDS}
    names = sorted((kinds | {kind.name: kind.family for kind in vocabulary.KINDS.values()}).items())
    people = [(word, "person") for word in (*vocabulary.PERSON_WORDS[:1] * 6, *vocabulary.PERSON_GUESSES[:6])]
    common = [(word, vocabulary.kind(word).family) for word in _COMMON]
    every = len(names) / 7  # names stand in the list as often as they are drawn
    return names + people * round(5 * every / len(people)) + common * round(8 * every / len(common))


_COMMON = ("dog", "cat", "bird", "horse", "cow", "car", "bus", "truck", "motorbike", "boat", "airplane", "chair",
           "ball", "cup", "bottle", "umbrella", "bag", "laptop", "phone", "train", "sheep", "elephant", "bicycle",
           "table", "guitar", "skateboard", "hat", "book", "clock", "backpack")  # fmt: skip


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
