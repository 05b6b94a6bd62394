"""Sentences that are true of exactly one thing in a scene, and sentences about things that are not there.

A sentence is a noun and *clues*. Whether a clue holds for a thing is True, False or None: nobody could say.
A sentence asks for a thing when everything in it is True of that thing and, for every other thing,
something in it is False. Each clue of a sentence is needed: without it another thing might be meant.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from sgmg.data.synthetic import vocabulary
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
    Scene,
    SceneObject,
)  # fmt: skip
from sgmg.data.synthetic.sprites import SHAPES, TEXTURES
from sgmg.data.synthetic.vocabulary import COLORS

KINDS = ("name", "synonym", "clothes", "attribute", "motion", "position", "relation", "combined", "absent")
"""What decides which thing is meant: its name; a synonym that training never uses; clothes and their colours, of
people; other looks; motion; place and order; other things; several of these; or nothing, since it is not there."""


@dataclass
class Expression:
    """A sentence and what it asks for.

    Attributes:
        text: the sentence.
        object_id: the object's number in the label maps; None where the thing is not there.
        kind: one of :data:`KINDS`, or "plural".
        noun: the word that names the thing.
        also: further objects that it asks for, where it is a plural.
    """

    text: str
    object_id: int | None
    kind: str
    noun: str
    also: tuple[int, ...] = ()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """All objects that it asks for: none, one, or several of a plural."""
        return () if self.object_id is None else (self.object_id, *self.also)


@dataclass(frozen=True)
class Clue:
    """Something that may be said of a thing beside its name.

    Attributes:
        kind: "clothes", "attribute", "motion", "position" or "relation".
        key: clues of one key are never put into one sentence.
        before: adjectives, to stand before the noun ("red"), or () where it has none.
        after: phrases to stand after the noun ("moving left").
        holds: whether it is True, False or None of a thing.
        best: set for superlatives ("leftmost"): whether a thing beats all of these others.
    """

    kind: str
    key: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    holds: Callable[[SceneObject], bool | None] | None = None
    best: Callable[[SceneObject, list[SceneObject]], bool] | None = None
    order: int = 2  # Of adjectives: size before texture before colour.
    common: bool = False  # True of very many things, and hence said more rarely.
    both: bool = False  # Its adjective and its phrase belong together ("second ... from the left").


# ------------------------------------------------------------------------------------------ nouns

# What a shape's name may also be said of, among cutouts.
_LIKE_SHAPES = {
    "circle": ("ball", "clock", "food", "wheel", "fruit", "flower", "vessel", "sign", "seat",
               "vegetable", "toy"),
    "ring": ("ball", "clock", "vessel", "wheel", "jewellery"),
    "ellipse": ("ball", "food", "fruit", "balloon", "vegetable", "wheel"),
    "star": ("star", "flower"), "square": ("box", "screen", "sign", "book", "paper", "picture", "toy"),
    "diamond": ("sign", "box"),
    "hexagon": ("sign", "ball"), "pentagon": ("sign", "ball"), "crescent": ("fruit",),
}  # fmt: skip
_ANYTHING = ("thing", "object")
_GENERAL = frozenset(("animal", "vehicle", "bug", "insect", "fruit", "vegetable", "toy", "shape"))


def is_called(word: str, thing: SceneObject, family: str | None = None) -> bool | None:
    """Whether a noun is True, False or None of a thing.

    Args:
        family: the family of what the noun names, where the word alone does not tell ("collie").
    """
    sprite = thing.sprite
    if word in sprite.names or word in _ANYTHING:
        return True
    if word in sprite.kind.words or word == sprite.kind.name:
        return True
    if word in vocabulary.HELD_OUT_SYNONYMS.get(sprite.kind.name, ()):
        return True
    if word in vocabulary.PERSON_WORDS:
        return True if sprite.is_person else _none_if(_like_person(thing))
    if word in vocabulary.PERSON_GUESSES:
        return _none_if(sprite.is_person or _like_person(thing))
    if sprite.source == "shapes":
        asked = next((shape for shape, words in SHAPES.items() if word in words), None)
        if asked is None:
            return _none_if(sprite.kind.name in ("circle", "ring", "ellipse") and word in ("ball", "balloon"))
        return _none_if(_shape_family(asked) == sprite.kind.family)
    asked = next((shape for shape, words in SHAPES.items() if word in words), None)
    if asked is not None:
        return _none_if(sprite.kind.family in _LIKE_SHAPES.get(asked, ()))
    if word in _GENERAL:
        return _none_if(_general_doubt(word, sprite.kind.family))
    family = family_of(word) or family
    if family is None:
        # A name that only some pictures of its kind carry ("collie"): nobody decides among like things.
        return None
    return _none_if(family == sprite.kind.family or _carries(family, thing))


def _like_person(thing: SceneObject) -> bool:
    """Whether a thing's picture may show somebody or somebody's likeness."""
    kind = thing.sprite.kind
    return kind.family in ("figure", "monkey", "clothing") or kind.name == "wheelchair"


def _none_if(doubt: bool) -> bool | None:
    return None if doubt else False


def _shape_family(shape: str) -> str:
    from sgmg.data.synthetic.sprites import _SHAPE_FAMILIES

    return _SHAPE_FAMILIES.get(shape, shape)


_ANIMAL_FAMILIES = frozenset(
    kind.family for kind in vocabulary.KINDS.values() if "animal" in kind.words or kind.family == "dinosaur"
)


def _general_doubt(word: str, family: str) -> bool:
    if word in ("animal", "bug", "insect"):
        return family in _ANIMAL_FAMILIES or family in ("shell", "star", "figure", "fossil", "person", "butterfly")
    if word == "vehicle":
        return family in ("road", "bike", "train", "aircraft", "boat", "balloon", "cart", "seat", "rocket")
    return family in (
        "fruit", "vegetable", "mushroom", "food", "figure", "plant", "flower", "balloon", "ball", "toy", "kite", "gun",
    )  # fmt: skip


def _carries(family: str, thing: SceneObject) -> bool:
    """Whether the picture of a person may show a thing of a family that is worn or carried."""
    if not thing.sprite.is_person:
        return False
    tags = {garment.tag for garment in thing.sprite.garments}
    if family == "bag":
        return bool(tags & {"bag", "purse", "wallet", "accessories"})
    if family == "headwear":
        return "hat" in tags
    return family in ("clothing", "footwear", "glasses")


_FAMILY_OF_WORD: dict[str, str] = {}
for _kind in vocabulary.KINDS.values():
    for _word in (_kind.name, *_kind.words, *vocabulary.HELD_OUT_SYNONYMS.get(_kind.name, ())):
        _FAMILY_OF_WORD.setdefault(_word, _kind.family)
_FAMILY_OF_WORD.update(dict.fromkeys(vocabulary.PERSON_GUESSES + vocabulary.PERSON_WORDS, "person"))


def family_of(word: str) -> str | None:
    """The family of things that a noun names, or None where that is not known."""
    return _FAMILY_OF_WORD.get(word)


# ------------------------------------------------------------------------------------------ clues


class Facts:
    """What can be said about the things of a drawn scene.

    Args:
        scene: drawn, so that where its objects are seen is known.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.unit = scene.size[1] / 512
        # A thing that is never seen is not there for any sentence.
        least = 0.0004 * scene.size[0] * scene.size[1]
        self.things = [thing for thing in scene.objects if thing.seen.max(initial=0) > least]

    def askable(self, thing: SceneObject) -> bool:
        """Whether enough of a thing is seen, often enough, to ask for it."""
        least = 0.0012 * self.scene.size[0] * self.scene.size[1]
        often = float(((thing.seen > least) & (thing.share > 0.2)).mean())
        return often >= 0.5

    # -- attributes

    def color(self, color: str) -> Clue:
        """The thing is of a colour."""
        words = vocabulary.COLOR_SYNONYMS.get(color, (color,))

        def holds(thing: SceneObject) -> bool | None:
            sprite = thing.sprite
            if color in sprite.colors:
                return True
            return None if color in sprite.near or sprite.is_person else False

        after = tuple(f"that is {word}" for word in words) + tuple(f"which is {word}" for word in words)
        return Clue("attribute", "color", words, after, holds)

    def texture(self, texture: str) -> Clue:
        """The thing has a texture."""
        before = {"striped": ("striped",), "dotted": ("dotted", "spotted"), "plain": ("plain",),
                  "checkered": ("checkered",)}[texture]  # fmt: skip
        after = {"striped": ("with stripes",), "dotted": ("with dots",), "plain": ("without a pattern",),
                 "checkered": ("with a checkered pattern",)}[texture]  # fmt: skip

        def holds(thing: SceneObject) -> bool | None:
            known = thing.sprite.texture
            return known == texture if known is not None else None

        return Clue("attribute", "texture", before, after, holds, order=1)

    def garment(self, tag: str, color: str | None) -> Clue:
        """The person wears a garment, of a colour or of any."""
        after: list[str] = []
        for word in vocabulary.GARMENT_WORDS[tag]:
            shades = vocabulary.COLOR_SYNONYMS.get(color, (color,)) if color else ("",)
            for shade in shades:
                named = f"{shade} {word}".strip()
                one = _with_a(named)
                if word in vocabulary.CARRIED_GARMENTS:
                    after += [f"with {one}", f"carrying {one}", f"with the {named}", f"holding {one}"]
                else:
                    after += [f"in {one}", f"wearing {one}", f"in the {named}", f"with the {named}",
                              f"dressed in {one}", f"wearing the {named}"]  # fmt: skip

        def holds(thing: SceneObject) -> bool | None:
            if not thing.sprite.is_person:
                return False
            sure, doubt = False, False
            for worn in thing.sprite.garments:
                if worn.tag == tag and (color is None or worn.color == color):
                    sure = True
                elif worn.tag not in vocabulary.like_garments(tag) or worn.share < 0.01:
                    continue
                elif (
                    color is None
                    or (worn.color is None and worn.tag == tag)
                    or (worn.color is not None and vocabulary.near_colors(worn.color, color))
                ):
                    doubt = True
            return True if sure else _none_if(doubt)

        return Clue(
            "clothes",
            "garment",
            (),
            tuple(after),
            holds,
            common=color == "black" or (color is None and tag in _USUAL),
        )

    def dressed(self, color: str) -> Clue:
        """The person is mostly dressed in a colour."""

        def holds(thing: SceneObject) -> bool | None:
            if not thing.sprite.is_person:
                return False
            worn = thing.sprite.garments
            share = sum(g.share for g in worn if g.color == color)
            like = sum(g.share for g in worn if g.color is None or vocabulary.near_colors(g.color, color))
            if share > 0.4 and share > 0.6 * sum(g.share for g in worn):
                return True
            return _none_if(like > 0.06)

        words = vocabulary.COLOR_SYNONYMS.get(color, (color,))
        after = [f"{how} {word}" for word in words for how in ("in", "dressed in", "wearing", "in all")]
        return Clue("clothes", "garment", (), tuple(after), holds)

    def size(self, big: bool) -> Clue:
        """The thing is clearly bigger, or smaller, than all others that could be meant."""

        def best(thing: SceneObject, others: list[SceneObject]) -> bool:
            mine = _extent(thing)
            return all(mine > 1.4 * _extent(other) if big else mine * 1.4 < _extent(other) for other in others)

        before = ("big", "large", "biggest", "largest", "bigger", "larger") if big else (
            "small", "little", "smallest", "smaller", "tiny")  # fmt: skip
        return Clue("attribute", "size", before, (), best=best, order=0)

    # -- motion

    def _velocity(self, thing: SceneObject, axis: int, screen: bool) -> float:
        """Mean velocity along an axis, in units a frame, in the world or on the screen."""
        if self.scene.length < 2:
            return 0.0
        places = (thing.x, thing.y) if screen else (thing.motion.dx, thing.motion.dy)
        path = places[axis]
        return float(path[-1] - path[0]) / (len(path) - 1) / self.unit

    def _moves(self, thing: SceneObject) -> bool | None:
        motion, camera = thing.motion, self.scene.camera
        speed = motion.speed / self.unit
        sways = float(np.ptp(motion.angle))
        if speed > 0.7 or motion.turn_rate > 2 or abs(motion.growth) > 0.009:
            return True
        steady = speed < 0.12 and abs(motion.growth) < 0.001 and sways < 4
        return False if steady and camera.drift < 0.5 * self.unit and camera.zoom_rate < 0.004 else None

    def still(self) -> Clue:
        """The thing does not move."""

        def holds(thing: SceneObject) -> bool | None:
            moves = self._moves(thing)
            return None if moves is None else not moves

        words = ("that is not moving", "standing still", "that stays still", "that does not move", "staying still",
                 "which stays in place")  # fmt: skip
        return Clue("motion", "motion", ("still", "motionless"), words, holds)

    def moving(self) -> Clue:
        """The thing moves somehow."""
        return Clue("motion", "motion", ("moving",), ("that is moving", "that moves", "in motion"), self._moves)

    def direction(self, name: str) -> Clue:
        """The thing moves left, right, up or down: in the world and on the screen alike."""
        axis = 0 if name in ("left", "right") else 1
        sign = 1.0 if name in ("right", "down") else -1.0

        def holds(thing: SceneObject) -> bool | None:
            if thing.motion.name in (SWINGING, BOUNCING, GROWING, SHRINKING):
                return None
            along = [sign * self._velocity(thing, axis, screen) for screen in (False, True)]
            across = [abs(self._velocity(thing, 1 - axis, screen)) for screen in (False, True)]
            if min(along) > 0.7 and all(a > 1.8 * b for a, b in zip(along, across, strict=True)):
                return True
            return _none_if(max(along) > 0.2)

        verbs = ("moving", "going", "heading")
        ends = {
            "left": ("left", "to the left", "leftwards"), "right": ("right", "to the right", "rightwards"),
            "up": ("up", "upwards"), "down": ("down", "downwards"),
        }[name]  # fmt: skip
        phrases = [f"{verb} {end}" for verb in verbs for end in ends]
        phrases += [f"that moves {end}" for end in ends] + [f"which is moving {end}" for end in ends]
        return Clue("motion", "motion", (), tuple(phrases), holds)

    def speed(self, fast: bool) -> Clue:
        """The thing moves clearly fast or slowly, by fixed speeds; whoever moves somewhat so is not asked about."""

        def holds(thing: SceneObject) -> bool | None:
            speed, drift = thing.motion.speed / self.unit, self.scene.camera.drift / self.unit
            if thing.motion.name in (TURNING, GROWING, SHRINKING) or drift > 0.7:
                return None
            if fast:
                return True if speed > 3.6 else _none_if(speed > 2.0)
            if speed < 0.12:
                return False if thing.motion.name == STILL else None
            return True if 0.6 < speed < 1.7 else _none_if(speed < 3.0)

        words = ("moving fast", "that moves quickly", "moving quickly", "that is fast") if fast else (
            "moving slowly", "that moves slowly", "which is slow")  # fmt: skip
        return Clue("motion", "speed", ("fast", "fast moving") if fast else ("slow", "slowly moving"), words, holds)

    def named_motion(self, name: str) -> Clue:
        """The thing turns, grows, shrinks, bounces, swings, enters or leaves."""
        zooms = self.scene.camera.zoom_rate > 0.002
        short = self.scene.length < 8
        steps = max(self.scene.length - 1, 1)

        def holds(thing: SceneObject) -> bool | None:
            motion = thing.motion
            if name == TURNING:
                return True if motion.turn_rate > 2.5 else _none_if(float(np.ptp(motion.angle)) > 5)
            if name in (GROWING, SHRINKING):
                growth = motion.growth if name == GROWING else -motion.growth
                return True if growth > 0.009 and not zooms else _none_if(growth > 0.001 or zooms)
            if name in (ENTERING, LEAVING):
                share = thing.share if name == ENTERING else thing.share[::-1]
                comes = float(share[-1] - share[0])
                if motion.name == name and share[0] < 0.6 and comes > min(0.5, 0.02 * steps):
                    return True
                return _none_if(share.min() < 0.9)
            # Back and forth, or up and down: a short clip shows no more of it than where it moves just then.
            path = motion.dy if name == BOUNCING else motion.dx
            reach = float(np.ptp(path)) / self.unit
            if motion.name == name:
                return True if reach > (2 if short else 8) else None
            return _none_if(short and reach > 0.3 * steps)

        words = {
            TURNING: ("turning", "spinning", "rotating", "that turns around", "that is rotating"),
            GROWING: ("getting bigger", "growing", "that gets larger", "coming closer", "approaching"),
            SHRINKING: ("getting smaller", "shrinking", "that gets smaller", "moving away"),
            BOUNCING: ("bouncing", "jumping up and down", "that bounces", "bouncing up and down"),
            SWINGING: ("moving back and forth", "going from side to side", "that swings from side to side"),
            ENTERING: ("entering the frame", "coming into view", "that comes in", "that enters the scene"),
            LEAVING: ("leaving the frame", "going out of view", "that goes away", "that leaves the scene"),
        }[name]
        before = {TURNING: ("spinning", "rotating"), BOUNCING: ("bouncing",), GROWING: ("growing",),
                  SHRINKING: ("shrinking",)}.get(name, ())  # fmt: skip
        return Clue("motion", "motion", before, words, holds)

    # -- position

    def extreme(self, side: str) -> Clue:
        """The thing is further to a side than all others that could be meant, whenever both are seen."""
        axis = 0 if side in ("left", "right") else 1
        sign = 1.0 if side in ("right", "bottom") else -1.0
        margin = (0.06 * self.scene.size[1]) if axis == 0 else (0.09 * self.scene.size[0])

        def best(thing: SceneObject, others: list[SceneObject]) -> bool:
            mine = thing.visible_x if axis == 0 else thing.visible_y
            for other in others:
                its = other.visible_x if axis == 0 else other.visible_y
                both = ~np.isnan(mine) & ~np.isnan(its)
                if not both.any() or (sign * (mine - its)[both] > margin).mean() < 0.95:
                    return False
            return True

        before, after = {
            "left": (("leftmost", "left"), ("on the left", "furthest to the left", "on the left side", "at the left")),
            "right": (("rightmost", "right"), ("on the right", "furthest to the right", "on the right side",
                                               "at the right")),
            "top": (("topmost", "top", "highest", "upper"), ("at the top", "at the very top")),
            "bottom": (("bottom", "lowest", "lower"), ("at the bottom", "at the very bottom")),
        }[side]  # fmt: skip
        return Clue("position", "position", before, after, best=best)

    def ordinal(self, number: int, side: str) -> Clue:
        """The thing is the second or third from a side, of all that could be meant."""
        sign = 1.0 if side == "left" else -1.0
        margin = 0.06 * self.scene.size[1]

        def best(thing: SceneObject, others: list[SceneObject]) -> bool:
            before = after = 0
            for other in others:
                gap = sign * (other.visible_x - thing.visible_x)
                gap = gap[~np.isnan(gap)]
                before += bool(len(gap) and (gap < -margin).mean() > 0.95)
                after += bool(len(gap) and (gap > margin).mean() > 0.95)
            return before == number - 1 and 0 < after == len(others) - before

        word = {2: "second", 3: "third"}[number]
        return Clue("position", "position", (word,), (f"from the {side}",), best=best, both=True)

    def middle(self) -> Clue:
        """The thing stands between two others that could be meant."""

        def best(thing: SceneObject, others: list[SceneObject]) -> bool:
            if len(others) < 2 or len(others) % 2:
                return False
            margin = 0.07 * self.scene.size[1]
            left = right = 0
            for other in others:
                gap = other.visible_x - thing.visible_x
                gap = gap[~np.isnan(gap)]
                left += bool(len(gap) and (gap < -margin).mean() > 0.95)
                right += bool(len(gap) and (gap > margin).mean() > 0.95)
            return left == right == len(others) // 2

        return Clue("position", "position", ("middle",), ("in the middle", "in between the others"), best=best)

    # -- relations

    def relation(self, name: str, anchor: SceneObject, called: str) -> Clue:
        """Where the thing is as seen from another one, which ``called`` names alone."""

        def holds(thing: SceneObject) -> bool | None:
            if thing is anchor:
                return False
            return self._related(name, thing, anchor)

        phrases = {
            "left": ("to the left of {}", "left of {}", "on the left of {}"),
            "right": ("to the right of {}", "right of {}", "on the right of {}"),
            "above": ("above {}", "over {}"),
            "below": ("below {}", "under {}"),
            "behind": ("behind {}", "that is behind {}", "partly hidden by {}"),
            "front": ("in front of {}", "that is in front of {}"),
            "beside": ("next to {}", "beside {}", "near {}"),
            "held": ("held by {}", "that {} is holding", "in the hands of {}", "carried by {}"),
            "holds": ("with {}", "holding {}", "that has {}", "carrying {}"),
            "on": ("on {}", "on top of {}", "standing on {}"),
            "carries": ("with {}", "with {} on it", "under {}"),
            "rides": ("in {}", "with {}", "sitting in {}") if anchor.sprite.kind.family == "seat" else (
                "on {}", "riding {}", "with {}"),
            "ridden": ("under {}", "ridden by {}", "with {} on it"),
        }[name]  # fmt: skip
        after = tuple(phrase.format(f"the {called}") for phrase in phrases)
        if name in ("holds", "rides", "on", "carries"):
            after += tuple(phrase.format(_with_a(called)) for phrase in phrases)
        return Clue("relation", "relation", (), after, holds)

    def _related(self, name: str, thing: SceneObject, anchor: SceneObject) -> bool | None:
        both = (thing.seen > 0) & (anchor.seen > 0)
        if not both.any():
            return None
        if name in _TOUCHES:
            touch, of_holder = _TOUCHES[name]
            held, holder = (anchor, thing) if of_holder else (thing, anchor)
            if held.holder == holder.id:
                return True if held.touch == touch else None
            return _none_if(self._touch(thing, anchor, both))
        dx = (thing.x - anchor.x)[both]
        dy = (thing.y - anchor.y)[both]
        half_w = (thing.width + anchor.width)[both] / 2
        half_h = (thing.height + anchor.height)[both] / 2
        if name in ("left", "right"):
            gap = dx if name == "right" else -dx
            clear = (gap > np.maximum(0.6 * half_w, 24 * self.unit)) & (np.abs(dy) < 1.1 * half_h)
            wrong = gap < 0
        elif name in ("above", "below"):
            gap = dy if name == "below" else -dy
            clear = (gap > 0.75 * half_h) & (np.abs(dx) < 0.8 * half_w)
            wrong = gap < 0.1 * half_h
        elif name == "beside":
            distance = np.maximum(np.abs(dx) - half_w, np.abs(dy) - half_h)
            clear = distance < 0.05 * self.scene.size[1]
            wrong = distance > 0.16 * self.scene.size[1]
        else:
            near, far = (anchor, thing) if name == "behind" else (thing, anchor)
            hidden = far.hidden_by[near.id][both] / np.maximum(far.whole[both], 1)
            clear = (hidden > 0.08) & (far.share[both] > 0.15)
            wrong = (hidden == 0) & ~(self._touches(thing, anchor)[both])
            reverse = near.hidden_by[far.id][both] / np.maximum(near.whole[both], 1)
            wrong |= reverse > 0.08
        if clear.mean() >= 0.9:
            return True
        return False if wrong.mean() >= 0.95 else None

    def _touches(self, one: SceneObject, other: SceneObject) -> np.ndarray:
        apart = (np.abs(one.x - other.x) > 0.52 * (one.width + other.width)) | (
            np.abs(one.y - other.y) > 0.52 * (one.height + other.height)
        )
        return ~apart

    def _touch(self, one: SceneObject, other: SceneObject, both: np.ndarray) -> bool:
        return bool(self._touches(one, other)[both].any())


_USUAL = frozenset(("shoes", "bag", "purse", "pants"))
# Relations by touch: how the held thing touches, and whether its holder is the one that is asked for.
_TOUCHES = {"held": ("held", False), "holds": ("held", True), "ridden": ("ridden", False), "rides": ("ridden", True),
            "on": ("on", False), "carries": ("on", True)}  # fmt: skip


def _extent(thing: SceneObject) -> float:
    """The typical length of a thing's visible picture, pixels: the root of its whole area."""
    seen = thing.whole[thing.seen > 0]
    return float(np.sqrt(np.median(seen))) if len(seen) else 0.0


_RIDDEN = ("bicycle", "bike", "motorbike", "horse", "skateboard", "elephant", "camel", "scooter")


def _with_a(noun: str) -> str:
    if vocabulary.is_plural(noun):
        return noun
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


# --------------------------------------------------------------------------------------- sentences


class Sentences:
    """Finds sentences about the things of a drawn scene.

    Args:
        scene: drawn.
        kinds: which kinds of sentences may be made, of :data:`KINDS`.
        names: nouns to draw from for things that are not there, with their families.
        redundant: share of the sentences whose name alone would do that say one true thing more.
        careless: share of the sentences that are said as people type: words left out, something put before.
        emphasis: how many times as often as usual a kind is chosen where several could be.
        held_out: also ask by synonyms that training never uses.
    """

    def __init__(
        self,
        scene: Scene,
        kinds: Iterable[str],
        names: list[tuple[str, str]],
        rng: np.random.Generator,
        redundant: float = 0.0,
        careless: float = 0.0,
        emphasis: Mapping[str, float] | None = None,
        held_out: bool = False,
    ) -> None:
        self.facts = Facts(scene)
        self.kinds = set(kinds)
        self._names = names
        self._rng = rng
        self._redundant = redundant
        self._careless = careless
        self._weights = {kind: weight * (emphasis or {}).get(kind, 1.0) for kind, weight in _KIND_WEIGHTS.items()}
        self._held_out = held_out and "synonym" in self.kinds
        self._people = sum(thing.sprite.is_person for thing in self.facts.things)

    @cached_property
    def _clues(self) -> list[tuple[Clue, dict[int, bool | None]]]:
        """Every clue, and for whom it holds: worked out once, and only where a name does not decide."""
        return [
            (clue, {thing.id: clue.holds(thing) for thing in self.facts.things} if clue.holds else {})
            for clue in self._all_clues()
        ]

    # -- present

    def of(self, thing: SceneObject, count: int = 1) -> list[Expression]:
        """Up to ``count`` different sentences that ask for a thing, of as many kinds as there are."""
        if not self.facts.askable(thing) or thing.sprite.kind.family in self.facts.scene.contents:
            return []
        found: list[tuple[str, str, tuple[Clue, ...]]] = []
        for noun in self._nouns(thing):
            found += self._needed(thing, noun)
        if self._held_out:
            for noun in vocabulary.HELD_OUT_SYNONYMS.get(thing.sprite.kind.name, ()):
                if all(
                    self._is_meant(noun, other, thing) is False for other in self.facts.things if other is not thing
                ):
                    found.append(("synonym", noun, ()))
        expressions: list[Expression] = []
        seen: set[str] = set()
        used: dict[str, int] = {}
        while found and len(expressions) < count:
            weights = np.array([self._weights[kind] / (1 + 4 * used.get(kind, 0)) for kind, _, _ in found])
            weights *= [0.4 if any(clue.common for clue in clues) else 1.0 for _, _, clues in found]
            per_kind = {k: sum(kind == k for kind, _, _ in found) for k in {kind for kind, _, _ in found}}
            weights = weights / np.array([per_kind[kind] for kind, _, _ in found])
            kind, noun, clues = found.pop(int(self._rng.choice(len(found), p=weights / weights.sum())))
            if kind == "name" and self._redundant and self._rng.random() < self._redundant:
                clues = self._one_true_clue(thing)
            text = self._say(noun, clues, thing)
            if text not in seen:
                seen.add(text)
                used[kind] = used.get(kind, 0) + 1
                expressions.append(Expression(text, thing.id, kind, noun))
        return expressions

    def _is_meant(self, noun: str, other: SceneObject, thing: SceneObject) -> bool | None:
        """Whether a noun for one thing is true of another."""
        asked = "person" if noun in vocabulary.PERSON_GUESSES else noun
        return is_called(asked, other, thing.sprite.kind.family)

    def plural(self) -> Expression | None:
        """A sentence that asks for all things of a kind, two or more, or None where there are none."""
        rng, things = self._rng, self.facts.things
        kinds = sorted({thing.sprite.kind.name for thing in things if self.facts.askable(thing)})
        for name in rng.permutation(kinds):
            all_of = [thing for thing in things if thing.sprite.kind.name == name]
            family = all_of[0].sprite.kind.family
            others = [thing for thing in things if thing not in all_of]
            if len(all_of) < 2 or family in self.facts.scene.contents:
                continue
            if any(is_called(str(name), other, family) is not False for other in others):
                continue
            noun = vocabulary.plural(str(name))
            number = {2: ("both {}", "the two {}", "two {}"), 3: ("the three {}", "all three {}")}.get(len(all_of), ())
            text = str(rng.choice(["the {}", "{}", "all the {}", "all {}", "every one of the {}", *number])).format(
                noun
            )
            return Expression(text, all_of[0].id, "plural", noun, tuple(thing.id for thing in all_of[1:]))
        return None

    def _one_true_clue(self, thing: SceneObject) -> tuple[Clue, ...]:
        """Something that is true of a thing and need not be said; half of the time what it is beside, if anything.

        What is said to be beside something is otherwise rare, and mostly said of what is not there.
        """
        true = [clue for clue, truth in self._clues if truth.get(thing.id)]
        relations = [clue for clue in true if clue.kind == "relation"]
        if relations and self._rng.random() < 0.5:
            true = relations
        return (true[int(self._rng.integers(len(true)))],) if true else ()

    def _nouns(self, thing: SceneObject) -> list[str]:
        """A few nouns for a thing: its everyday kind, often another name, sometimes a general word."""
        sprite, rng = thing.sprite, self._rng
        if sprite.is_person:
            nouns = [str(rng.choice(vocabulary.PERSON_WORDS, p=[0.9, 0.05, 0.05]))]
            if self._people == 1:
                nouns.append(str(rng.choice(vocabulary.PERSON_GUESSES)))
            return nouns
        names = list(sprite.names)
        if sprite.source == "shapes":
            nouns = [names[0] if rng.random() < 0.85 else str(rng.choice(names))]
            if rng.random() < 0.15:
                nouns.append(str(rng.choice(["shape", "object", "thing"])))
            return nouns
        nouns = [sprite.kind.name] if rng.random() < 0.7 else []
        if not nouns or rng.random() < 0.4:
            nouns.append(str(rng.choice(names)))
        return list(dict.fromkeys(nouns))

    def _needed(self, thing: SceneObject, noun: str) -> list[tuple[str, str, tuple[Clue, ...]]]:
        """All (kind, noun, clues) that ask for a thing and hold no clue too many."""
        others = [other for other in self.facts.things if other is not thing]
        asked = "person" if noun in vocabulary.PERSON_GUESSES else noun
        family = thing.sprite.kind.family
        rivals = [other for other in others if is_called(asked, other, family) is not False]
        if noun in _ANYTHING or noun in _GENERAL:
            # Photographs are full of things; and general words alone hardly name one.
            hidden = self.facts.scene.contents
            if (noun in _ANYTHING and hidden) or any(_general_doubt(noun, other) for other in hidden):
                return []
        elif any(other.sprite.kind.family != family for other in rivals):
            return []  # Something else might be meant, and no clue is about that.
        if not rivals:
            return [("name", noun, ())] if "name" in self.kinds else []
        if not any(is_called(asked, other, family) for other in rivals):
            return []  # ("the biggest bowl" of one bowl and a cup: a clue for nothing.)
        plain, superlative = [], []
        for clue, truth in self._clues:
            if clue.best is not None:
                superlative.append(clue)
            elif truth[thing.id]:
                left = frozenset(other.id for other in rivals if truth[other.id] is not False)
                if len(left) < len(rivals):
                    plain.append((clue, left))
        # People in many clothes allow very many sentences: a random part of the clues is plenty.
        if len(plain) > _MOST_CLUES:
            plain = [plain[i] for i in sorted(self._rng.choice(len(plain), _MOST_CLUES, replace=False))]
        everyone = frozenset(other.id for other in rivals)
        found: list[tuple[str, str, tuple[Clue, ...]]] = []
        for count in (0, 1, 2, 3):
            for chosen in combinations(plain, count):
                clues = tuple(clue for clue, _ in chosen)
                if len({clue.key for clue in clues}) < count or not _each_needed([s for _, s in chosen], everyone):
                    continue
                left = everyone
                for _, still in chosen:
                    left = left & still
                if count and not left:
                    self._add(found, noun, clues)
                elif left and count < 3 and all(clue.kind != "relation" for clue in clues):
                    # ("the rightmost star left of the ring" could be read in more than one way.)
                    rest = [other for other in rivals if other.id in left]
                    for clue in superlative:
                        if clue.key in {c.key for c in clues} or not clue.best or not clue.best(thing, rest):
                            continue
                        # Every other clue must be needed: the superlative alone must not decide.
                        if self._superlative_needs_all(thing, clue, chosen, rivals):
                            self._add(found, noun, (*clues, clue))
        return found

    def _superlative_needs_all(
        self,
        thing: SceneObject,
        clue: Clue,
        chosen: tuple[tuple[Clue, frozenset[int]], ...],
        rivals: list[SceneObject],
    ) -> bool:
        for i in range(len(chosen)):
            rest = [r for r in rivals if all(r.id in left for j, (_, left) in enumerate(chosen) if j != i)]
            if clue.best is not None and clue.best(thing, rest):
                return False
        return True

    def _add(self, found: list[tuple[str, str, tuple[Clue, ...]]], noun: str, clues: tuple[Clue, ...]) -> None:
        kinds = {clue.kind for clue in clues}
        kind = kinds.pop() if len(kinds) == 1 else "combined"
        if kind in self.kinds:
            found.append((kind, noun, clues))

    def _all_clues(self) -> list[Clue]:
        facts = self.facts
        clues: list[Clue] = []
        if self.kinds & {"attribute", "combined"}:
            clues += [facts.size(True), facts.size(False)]
            clues += [facts.color(color) for color in COLORS if self._any(lambda s, c=color: c in s.colors)]
            clues += [facts.texture(t) for t in TEXTURES if self._any(lambda s, t=t: s.texture == t)]
        if self.kinds & {"clothes", "combined"}:
            worn = sorted({
                (g.tag, color) for thing in facts.things for g in thing.sprite.garments
                if g.tag in vocabulary.GARMENT_WORDS and g.share > 0.02
                for color in ((g.color, None) if g.color else (None,))
            }, key=str)  # fmt: skip
            clues += [facts.garment(tag, color) for tag, color in worn]
            clues += [facts.dressed(color) for color in sorted({c for _, c in worn if c and c != "beige"})]
        if self.kinds & {"motion", "combined"} and facts.scene.length > 1:
            clues += [facts.still(), facts.moving(), facts.speed(True), facts.speed(False)]
            clues += [facts.direction(name) for name in DIRECTIONS]
            clues += [facts.named_motion(name) for name in (TURNING, GROWING, SHRINKING, BOUNCING, SWINGING,
                                                            ENTERING, LEAVING)]  # fmt: skip
        if self.kinds & {"position", "combined"}:
            clues += [facts.extreme(side) for side in ("left", "right", "top", "bottom")] + [facts.middle()]
            clues += [facts.ordinal(number, side) for number in (2, 3) for side in ("left", "right")]
        if self.kinds & {"relation", "combined"}:
            clues += self._relations()
        return clues

    def _any(self, test: Callable[..., bool]) -> bool:
        return any(test(thing.sprite) for thing in self.facts.things)

    def _relations(self) -> list[Clue]:
        clues = []
        for anchor in self.facts.things:
            if not self.facts.askable(anchor):
                continue
            called = self._called_alone(anchor)
            if called is None:
                continue
            names = ["left", "right", "behind", "front", "beside", "above", "below"]
            # Of what touches something else, only that is said.
            touching = {thing.touch for thing in self.facts.things if thing.holder == anchor.id}
            if anchor.holder is not None:
                names = [name for name, (touch, of_holder) in _TOUCHES.items() if of_holder and touch == anchor.touch]
            names += [name for name, (touch, of_holder) in _TOUCHES.items() if not of_holder and touch in touching]
            clues += [self.facts.relation(name, anchor, called) for name in names]
        return clues

    def _called_alone(self, anchor: SceneObject) -> str | None:
        """A noun, perhaps with a colour, that names this thing and no other here."""
        others = [thing for thing in self.facts.things if thing is not anchor]
        sprite = anchor.sprite
        if sprite.kind.family in self.facts.scene.contents:
            return None
        name = sprite.kind.name
        if all(is_called(name, other) is False for other in others):
            if sprite.is_person and self._people == 1 and self._rng.random() < 0.5:
                return str(self._rng.choice(vocabulary.PERSON_GUESSES[:4]))
            return name
        for color in sorted(sprite.colors):
            clue = self.facts.color(color)
            rivals = [other for other in others if is_called(name, other) is not False]
            if clue.holds and all(clue.holds(other) is False for other in rivals):
                return f"{color} {name}"
        return None

    # -- absent

    def absent(self) -> Expression | None:
        """A sentence about something that is not there, or None where none was found.

        Half of them are hard in that they are of the right kind, but with a clue that no such thing here fits, such as
        that it is with something that is not there; and of the others some name what a hasty viewer might take for
        something that is there.
        """
        rng = self._rng
        for _ in range(12):
            if rng.random() < 0.5 and self.facts.things:
                thing = self.facts.things[int(rng.integers(len(self.facts.things)))]
                noun = str(rng.choice(self._nouns(thing)))
                if thing.sprite.kind.family in self.facts.scene.contents:
                    continue
                clue = self._with_absent(thing) if rng.random() < 0.3 else self._impossible(thing, noun)
                if clue is not None:
                    return Expression(self._say(noun, (clue,)), None, "absent", noun)
                continue
            noun, family = self._other_name()
            if family in self.facts.scene.contents:
                continue
            if all(is_called(noun, thing, family) is False for thing in self.facts.things):
                clue = self._random_clue() if rng.random() < 0.4 else None
                return Expression(self._say(noun, (clue,) if clue else ()), None, "absent", noun)
        return None

    def _other_name(self) -> tuple[str, str]:
        """A noun and its family: of anything, or, as often, of what is easily taken for a thing that is here."""
        rng = self._rng
        if self.facts.things and rng.random() < 0.5:
            thing = self.facts.things[int(rng.integers(len(self.facts.things)))]
            alike = vocabulary.confused_with(thing.sprite.kind.name)
            if thing.sprite.source == "cutouts" and alike:
                name = str(rng.choice(alike))
                return name, vocabulary.kind(name).family
        return self._names[int(rng.integers(len(self._names)))]

    def _impossible(self, thing: SceneObject, noun: str) -> Clue | None:
        """A clue that is False of everything the noun could mean."""
        asked = "person" if noun in vocabulary.PERSON_GUESSES else noun
        family = thing.sprite.kind.family
        if noun in _ANYTHING and self.facts.scene.contents:
            return None
        meant = [other for other in self.facts.things if is_called(asked, other, family) is not False]
        candidates: list[Clue] = []
        if thing.sprite.is_person and "clothes" in self.kinds:
            # What somebody wears, in a colour that nobody wears it in; and what nobody wears.
            worn = sorted(
                {g.tag for other in meant for g in other.sprite.garments if g.tag in vocabulary.GARMENT_WORDS}
            )
            if worn:
                for color in self._rng.choice(COLORS[:11], 4, replace=False):
                    candidates.append(self.facts.garment(str(self._rng.choice(worn)), str(color)))
            for _ in range(3):
                tag = str(self._rng.choice(["coat", "jacket", "shirt", "dress", "skirt", "pants", "shorts", "hat"]))
                candidates.append(self.facts.garment(tag, str(self._rng.choice(COLORS[:11]))))
        elif thing.sprite.colors and "attribute" in self.kinds:
            candidates += [self.facts.color(str(color)) for color in self._rng.choice(COLORS, 3, replace=False)]
        if thing.sprite.texture and "attribute" in self.kinds:
            candidates.append(self.facts.texture(str(self._rng.choice(TEXTURES[1:]))))
        if self.facts.scene.length > 1 and "motion" in self.kinds and self._rng.random() < 0.5:
            candidates.append(self.facts.direction(str(self._rng.choice(list(DIRECTIONS)))))
        for i in self._rng.permutation(len(candidates)):
            clue = candidates[i]
            if clue.holds and all(clue.holds(other) is False for other in meant):
                return clue
        return None

    def _with_absent(self, thing: SceneObject) -> Clue | None:
        """Where a thing would be as seen from another one, if that were there."""
        noun, family = self._names[int(self._rng.integers(len(self._names)))]
        missing = all(is_called(noun, other, family) is False for other in self.facts.things)
        if "relation" not in self.kinds or not missing or family in self.facts.scene.contents:
            return None
        phrases = ["next to {}", "near {}", "behind {}", "in front of {}", "with {}"]
        if thing.sprite.is_person and family != "person":
            phrases = ["holding {}", "carrying {}", "on {}", *phrases]
            if noun in _RIDDEN:
                phrases = ["riding {}"] * len(phrases) + phrases
        other = f"the {noun}" if self._rng.random() < 0.4 else _with_a(noun)
        return Clue("relation", "relation", (), (str(self._rng.choice(phrases)).format(other),))

    def _random_clue(self) -> Clue | None:
        """A colour or a direction, where things that are there are told apart by such."""
        if self._rng.random() < 0.6:
            return self.facts.color(str(self._rng.choice(COLORS))) if "attribute" in self.kinds else None
        moves = self.facts.scene.length > 1 and "motion" in self.kinds
        return self.facts.direction(str(self._rng.choice(list(DIRECTIONS)))) if moves else None

    # -- wording

    def _say(self, noun: str, clues: tuple[Clue, ...], thing: SceneObject | None = None) -> str:
        """Words for a noun and clues: one of many phrasings, with verbs that suit the thing where it is known."""
        rng = self._rng
        before: list[tuple[int, str]] = []
        after: list[tuple[int, str]] = []
        for clue in clues:
            if clue.both:
                before.append((-1, clue.before[0]))
                after.append((_PLACES_AFTER[clue.kind], clue.after[0]))
            elif clue.before and (not clue.after or rng.random() < 0.72):
                before.append((-1 if clue.kind == "position" else clue.order, str(rng.choice(clue.before))))
            else:
                text = str(rng.choice(clue.after))
                if clue.key == "motion" and thing is not None and rng.random() < 0.5:
                    text = self._with_verb(text, thing)
                after.append((_PLACES_AFTER[clue.kind], text))
        words = [word for _, word in sorted(before, key=lambda pair: pair[0])]
        if len(words) > 1 and words[0] in ("left", "right"):
            words[0] += "most"  # "the right moving ball" would be something else.
        phrase = " ".join([*words, noun])
        definite = any(word in _DEFINITE for word in words)
        draw = rng.random()
        if draw < 0.62 or (definite and draw < 0.85):
            phrase = f"the {phrase}"
        elif draw < 0.82:
            phrase = _with_a(phrase)
        if family_of(noun) == "person":
            after = [(place, text.replace("which ", "who ")) for place, text in after]
        phrase = " ".join([phrase, *(word for _, word in sorted(after, key=lambda pair: pair[0]))])
        if rng.random() < 0.04:
            phrase += str(rng.choice([" in the video", " in the scene", " in the picture"]))
        return self._carelessly(phrase) if self._careless and rng.random() < self._careless else phrase

    def _with_verb(self, text: str, thing: SceneObject) -> str:
        """A phrase about motion with what things of the kind do: people walk, cars drive, birds fly."""
        verbs = vocabulary.MOVING_VERBS.get(thing.sprite.kind.moves)
        first, _, rest = text.partition(" ")
        if verbs is None or first not in ("moving", "going", "heading") or "up" in rest.split():
            return text
        fast = thing.motion.speed / self.facts.unit > 2.5
        return f"{verbs[-1] if fast else verbs[0]} {rest}"

    def _carelessly(self, phrase: str) -> str:
        """The same as people type it: small words left out, a request before it, a capital letter, a full stop."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.4:
            words = [word for word in phrase.split() if word not in _SMALL_WORDS or rng.random() < 0.4]
            return " ".join(words) or phrase
        if draw < 0.75:
            return str(rng.choice(_REQUESTS)).format(phrase)
        phrase = phrase[0].upper() + phrase[1:]
        return phrase + "." if rng.random() < 0.5 else phrase


_SMALL_WORDS = frozenset(("the", "a", "an", "that", "who", "which", "is", "of", "in", "by"))
_REQUESTS = ("find {}", "segment {}", "please mark {}", "show me {}", "where is {}?", "{}, please", "I mean {}",
             "look for {}", "{} in this clip", "only {}", "track {}", "there is {}")  # fmt: skip
_FIRST_ADJECTIVES = frozenset(("second", "third", "leftmost", "rightmost", "topmost", "left", "right", "top", "bottom",
                               "middle", "lowest", "highest", "upper", "lower"))  # fmt: skip
_DEFINITE = _FIRST_ADJECTIVES | {"biggest", "largest", "smallest", "bigger", "smaller", "larger"}
_KIND_WEIGHTS = {"name": 0.9, "synonym": 0.9, "clothes": 3.0, "attribute": 3.0, "motion": 1.2, "position": 0.6,
                 "relation": 1.6, "combined": 0.8}  # fmt: skip


_MOST_CLUES = 16
# Clothes and colours before motion, before places, before what is told by other things.
_PLACES_AFTER = {"clothes": 0, "attribute": 0, "motion": 1, "position": 2, "relation": 3}


def _each_needed(left: list[frozenset[int]], everyone: frozenset[int]) -> bool:
    """Whether each of some clues rules out somebody whom all the others together do not."""
    for i in range(len(left)):
        rest = everyone
        for j, still in enumerate(left):
            if j != i:
                rest = rest & still
        if rest <= left[i]:
            return False
    return True
