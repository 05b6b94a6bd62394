"""Generated videos: what they promise of masks, sentences, repeatability and files."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sgmg import cli
from sgmg.data.ref_youtube_vos import RefYouTubeVOS
from sgmg.data.synthetic import KINDS, SyntheticClips, SyntheticConfig, SyntheticVideo, SyntheticVideos
from sgmg.data.synthetic.backgrounds import Backgrounds
from sgmg.data.synthetic.clips import Growth
from sgmg.data.synthetic.expressions import Facts, is_called
from sgmg.data.synthetic.scene import Occluder, Scene, SceneObject, Wobble, make_camera, make_motion, render
from sgmg.data.synthetic.sprites import SHAPES, TEXTURES, CutoutSource, ShapeSource, Sprite, color_shares, held_out
from sgmg.data.synthetic.vocabulary import COLORS, HELD_OUT_SYNONYMS, PERSON_GUESSES, is_plural, kind, plural
from sgmg.data.synthetic.writer import write_videos
from sgmg.errors import InputError

SMALL = {"size": (96, 160), "length": 6}
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn cutouts: cups and balls in colours, dogs, and people in plain clothes."""
    folder = tmp_path_factory.mktemp("cutouts")
    things, people = [], []
    paints = {"red": (210, 30, 30), "green": (40, 150, 60), "blue": (30, 70, 210), "yellow": (240, 210, 40)}
    for number in range(40):
        name = ["cup", "ball", "dog", "person"][number % 4]
        color = list(paints)[number // 4 % 4]
        size = (30, 80) if name == "person" else (60, 44)
        image = Image.new("RGBA", size)
        draw = ImageDraw.Draw(image)
        draw.ellipse((1, 1, size[0] - 2, size[1] - 2), fill=(*paints[color], 255))
        file = f"{name}_{number:03d}.png"
        image.save(folder / file)
        if name == "person":
            tags = [{"tag": "coat", "color": color, "share": 0.7}, {"tag": "shoes", "color": None, "share": 0.05}]
            people.append({"file": file, "names": ["person"], "tags": tags})
        else:
            things.append({"file": file, "names": ["mug", "cup"] if name == "cup" else [name]})
    (folder / "labels.json").write_text(json.dumps({"things": things, "people": people}))
    return folder


@pytest.fixture(scope="module")
def backgrounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backgrounds")
    for number in range(12):
        level = np.linspace(0, 255, 200 * 120 * 3).reshape(120, 200, 3)
        Image.fromarray(((level + 20 * number) % 256).astype(np.uint8)).save(folder / f"view{chr(97 + number)}.jpg")
    return folder


@pytest.fixture(scope="module")
def shape_videos() -> list[SyntheticVideo]:
    videos = SyntheticVideos(SyntheticConfig(**SMALL, expressions=8, absent_share=0.2), seed=7)
    return [videos.generate(index) for index in range(60)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ------------------------------------------------------------------------------------------ frames, masks


def test_a_video_has_frames_label_maps_and_sentences() -> None:
    video = SyntheticVideos(SyntheticConfig(size=(96, 160), length=5), seed=0)[3]
    assert video.frames.shape == (5, 96, 160, 3)
    assert video.frames.dtype == np.uint8
    assert video.masks.shape == (5, 96, 160)
    assert video.masks.dtype == np.uint8
    ids = {thing.id for thing in video.objects}
    assert set(np.unique(video.masks)) <= ids | {0}
    assert 2 <= len(video.objects) <= 5
    assert video.expressions
    assert all(e.object_id in ids for e in video.expressions if e.object_id is not None)


@pytest.mark.parametrize("size", [(48, 48), (90, 51), (288, 512)])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_any_size_and_length(size: tuple[int, int], length: int) -> None:
    video = SyntheticVideos(SyntheticConfig(size=size, objects=(1, 6)), seed=1).generate(0, length)
    assert video.frames.shape == (length, *size, 3)
    assert video.masks.any()


def test_masks_are_what_is_seen_under_occlusion() -> None:
    blocks = {1: (250, 0, 0, 255), 2: (0, 0, 250, 255)}
    images = {number: Image.new("RGBA", (30, 30), color) for number, color in blocks.items()}
    rng = np.random.default_rng(0)
    length = 4
    behind, before = (
        SceneObject(
            number,
            Sprite("shapes", kind("square"), ("square",), size=(30, 30)),
            make_motion(rng, "right" if number == 1 else "still", 3.0, length, 30),
            (50.0 + 8 * number, 40.0),
            30.0,
            rank=number,
        )
        for number in blocks
    )
    scene = Scene((80, 120), length, [before, behind], make_camera(rng, "still", length, 1.0),
                  Image.new("RGB", (124, 84), (0, 250, 0)), frozenset())  # fmt: skip
    frames, labels = render(scene, images, rng)
    painted = {0: (0, 250, 0), 1: (250, 0, 0), 2: (0, 0, 250)}
    for number, color in painted.items():
        assert (frames[labels == number] == color).all()
    assert (labels == 2).sum(axis=(1, 2)).tolist() == [900] * length
    assert (behind.seen + behind.hidden_by[2] == behind.whole).all()
    assert (behind.hidden_by[2] > 0).all()
    assert behind.seen.tolist() == (labels == 1).sum(axis=(1, 2)).tolist()


def test_things_touch_and_hide_each_other_at_times(shape_videos: list[SyntheticVideo]) -> None:
    met = 0
    for video in shape_videos:
        padded = np.pad(video.masks[0], 1)
        beside = padded[1:-1, 1:-1], padded[1:-1, 2:]
        met += bool(((beside[0] != beside[1]) & (beside[0] > 0) & (beside[1] > 0)).any())
    assert 5 < met < 50


# ------------------------------------------------------------------------------------------ repeatability


def test_a_video_depends_on_seed_split_and_index_alone() -> None:
    config = SyntheticConfig(**SMALL)
    one, other = SyntheticVideos(config, seed=3), SyntheticVideos(config, seed=3)
    other.generate(0)
    first, again = one.generate(5), other.generate(5)
    assert (first.frames == again.frames).all()
    assert (first.masks == again.masks).all()
    assert first.expressions == again.expressions
    assert not np.array_equal(first.frames, one.generate(6).frames)
    assert not np.array_equal(first.frames, SyntheticVideos(config, seed=4).generate(5).frames)
    valid = SyntheticVideos(SyntheticConfig(**SMALL, split="valid"), seed=3).generate(5)
    assert not np.array_equal(first.frames, valid.frames)


def test_valid_has_cutouts_and_backgrounds_of_its_own(cutouts: Path, backgrounds: Path) -> None:
    seen: dict[str, tuple[set[str], set[str]]] = {}
    for split in ("train", "valid"):
        rng = np.random.default_rng(0)
        source = CutoutSource(cutouts, split)
        files = {source.draw(rng).key[0] for _ in range(400)}
        config = SyntheticConfig(**SMALL, backgrounds=backgrounds, procedural_share=0.0, split=split)
        videos = SyntheticVideos(config, seed=0)
        seen[split] = files, {videos.generate(index, length=1).background for index in range(60)}
    assert not seen["train"][0] & seen["valid"][0]
    assert not seen["train"][1] & seen["valid"][1]
    assert all(held_out(file) for file in seen["valid"][0])
    kinds = {split: {file.split("_")[0] for file in files} for split, (files, _) in seen.items()}
    assert kinds["valid"] <= kinds["train"]


# ----------------------------------------------------------------------------------------------- sentences


def meant(video: SyntheticVideo, text: str) -> set[int]:
    """The objects that fit the shape, the colour and the texture that a sentence about shapes names."""
    said = set(re.findall(r"[a-z]+", text))
    said = {{"grey": "gray", "violet": "purple", "turquoise": "cyan", "spotted": "dotted", "dots": "dotted",
             "stripes": "striped", "plus": "cross"}.get(word, word) for word in said}  # fmt: skip
    if "without" in said:
        said.add("plain")
    shapes = {shape for shape, words in SHAPES.items() if said & {*words, shape}}
    fits = set()
    for thing in video.objects:
        colors, textures = said & set(COLORS), said & set(TEXTURES)
        right_shape = not shapes or thing.kind in shapes
        if right_shape and colors <= set(thing.colors) and textures <= {thing.texture}:
            fits.add(thing.id)
    return fits


SIZES = {"big", "large", "biggest", "largest", "bigger", "larger", "small", "little", "smallest", "smaller", "tiny"}


def test_every_kind_of_sentence_is_made(shape_videos: list[SyntheticVideo]) -> None:
    kinds = Counter(e.kind for video in shape_videos for e in video.expressions)
    assert set(kinds) == set(KINDS) - {"synonym", "clothes"}  # Shapes wear nothing, and training says no synonyms.


def test_names_and_attributes_fit_exactly_one_thing(shape_videos: list[SyntheticVideo]) -> None:
    checked = 0
    for video in shape_videos:
        for expression in video.expressions:
            if expression.kind in ("name", "attribute") and not SIZES & set(expression.text.split()):
                assert meant(video, expression.text) == {expression.object_id}, expression.text
                checked += 1
    assert checked > 40


def test_without_its_attribute_a_sentence_is_ambiguous(shape_videos: list[SyntheticVideo]) -> None:
    for video in shape_videos:
        for expression in video.expressions:
            if expression.kind == "attribute":
                assert len(meant(video, expression.noun)) > 1, expression.text


def test_sizes_are_true(shape_videos: list[SyntheticVideo]) -> None:
    checked = 0
    for video in shape_videos:
        for expression in video.expressions:
            size = SIZES & set(expression.text.split())
            if expression.kind != "attribute" or not size or expression.object_id is None:
                continue
            heights = {}
            for number in meant(video, expression.text):
                shown = (video.masks == number).any(axis=2).sum(axis=1)
                heights[number] = shown.max()
            if len(heights) < 2 or min(heights.values()) == 0:
                continue
            mine = heights.pop(expression.object_id)
            big = bool(size & {"big", "large", "biggest", "largest", "bigger", "larger"})
            assert mine >= max(heights.values()) if big else mine <= min(heights.values()), expression.text
            checked += 1
    assert checked > 5


def middles(video: SyntheticVideo, number: int) -> np.ndarray:
    """(T, 2) x and y of what is seen of an object; NaN where nothing is."""
    result = np.full((len(video.masks), 2), np.nan)
    for t, labels in enumerate(video.masks):
        y, x = np.nonzero(labels == number)
        if len(x):
            result[t] = x.mean(), y.mean()
    return result


@pytest.mark.parametrize(("word", "axis", "sign"), [("leftmost", 0, -1), ("rightmost", 0, 1), ("topmost", 1, -1)])
def test_positions_are_true(shape_videos: list[SyntheticVideo], word: str, axis: int, sign: int) -> None:
    checked = 0
    for video in shape_videos:
        for expression in video.expressions:
            if expression.kind == "position" and word in expression.text.split() and expression.object_id:
                mine = middles(video, expression.object_id)[:, axis]
                for other in meant(video, expression.noun) - {expression.object_id}:
                    gap = sign * (mine - middles(video, other)[:, axis])
                    assert (gap[~np.isnan(gap)] > 0).mean() > 0.9 or np.isnan(gap).all(), expression.text
                    checked += 1
    assert checked


@pytest.mark.parametrize("source", ["shapes", "cutouts"])
def test_directions_are_seen_in_the_masks(source: str, cutouts: Path) -> None:
    config = SyntheticConfig(**SMALL, source=source, cutouts=cutouts, kinds=("motion",), expressions=6)
    videos, checked = SyntheticVideos(config, seed=2), 0
    for index in range(40):
        video = videos.generate(index)
        for expression in video.expressions:
            assert expression.kind == "motion"
            found = re.search(r"\b(left|right|up|down)(wards)?$", expression.text)
            if not found:
                continue
            mask = video.masks == expression.object_id
            if mask[:, [0, -1]].any() or mask[:, :, [0, -1]].any():
                continue  # Cut by the border, what is seen moves otherwise than the thing.
            areas = mask.sum(axis=(1, 2))
            if areas.min() < 0.9 * areas.max():
                continue
            x, y = (middles(video, expression.object_id or 0)[[0, -1]] * [[-1], [1]]).sum(axis=0)
            moved = {"left": -x, "right": x, "up": -y, "down": y}[found[1]]
            assert moved > 0.5 * max(abs(x), abs(y)), expression.text
            checked += 1
    assert checked > 5


def test_absent_things_are_not_there(shape_videos: list[SyntheticVideo]) -> None:
    checked: Counter[str] = Counter()
    for video in shape_videos:
        for expression in video.expressions:
            if expression.kind != "absent":
                continue
            assert expression.object_id is None
            _, beside, other = re.split(
                "( next to | near | behind | in front of | with (?=an? |the )|$)", expression.text
            )[:3]
            if re.search("mov|going|heading", expression.text):
                continue
            # Either the thing is missing, or what it is said to be beside.
            assert not meant(video, other if beside else expression.text), expression.text
            checked["beside" if beside else "plain"] += 1
    assert checked["plain"] > 20
    assert checked["beside"] > 5


def test_people_are_often_asked_for_where_nobody_is(cutouts: Path) -> None:
    config = SyntheticConfig(**SMALL, source="cutouts", cutouts=cutouts, objects=(1, 2), kinds=("absent",))
    videos = SyntheticVideos(config, seed=0)
    people = [
        expression.noun in ("person", *PERSON_GUESSES)
        for index in range(60)
        for video in [videos.generate(index, length=1)]
        if all(thing.kind != "person" for thing in video.objects)
        for expression in video.expressions
    ]
    assert np.mean(people) > 0.07


def test_some_absent_things_are_nearly_there(shape_videos: list[SyntheticVideo]) -> None:
    absent = [(video, e) for video in shape_videos for e in video.expressions if e.kind == "absent"]
    near = sum(bool(meant(video, e.noun)) for video, e in absent)
    assert 0.25 < near / len(absent) < 0.75


def test_guesses_about_people_never_decide_between_several(cutouts: Path) -> None:
    config = SyntheticConfig(**SMALL, source="cutouts", cutouts=cutouts, absent_share=0.0)
    videos, guessed = SyntheticVideos(config, seed=0), 0
    for index in range(60):
        video = videos.generate(index)
        people = sum(thing.kind == "person" for thing in video.objects)
        for expression in video.expressions:
            if expression.noun in PERSON_GUESSES:
                assert people == 1
                guessed += 1
    assert guessed


def test_people_are_told_apart_by_their_clothes(cutouts: Path) -> None:
    config = SyntheticConfig(**SMALL, source="cutouts", cutouts=cutouts, kinds=("clothes",))
    videos, checked = SyntheticVideos(config, seed=0), 0
    for index in range(60):
        video = videos.generate(index)
        for expression in video.expressions:
            found = re.search(r"\b(red|green|blue|yellow) coat", expression.text)
            if found and not SIZES & set(expression.text.split()):
                wearing = {thing.id for thing in video.objects if ("coat", found[1]) in thing.garments}
                assert wearing == {expression.object_id}, expression.text
                checked += 1
    assert checked


def test_synonyms_are_held_out_of_training(cutouts: Path) -> None:
    held_out = {word for words in HELD_OUT_SYNONYMS.values() for word in words}
    said: dict[str, set[str]] = {}
    for split in ("train", "valid"):
        config = SyntheticConfig(**SMALL, source="cutouts", cutouts=cutouts, kinds=("name", "synonym"), split=split)
        videos = [SyntheticVideos(config, seed=0).generate(index) for index in range(25)]
        said[split] = {expression.noun for video in videos for expression in video.expressions}
        for video in videos:
            for expression in video.expressions:
                assert (expression.noun in held_out) == (expression.kind == "synonym")
                if expression.kind == "synonym":
                    meant_kinds = [thing.kind for thing in video.objects if thing.id == expression.object_id]
                    assert expression.noun in HELD_OUT_SYNONYMS[meant_kinds[0]]
    assert not said["train"] & held_out
    assert said["valid"] & held_out


def test_no_held_out_synonym_is_another_things_word() -> None:
    for name, words in HELD_OUT_SYNONYMS.items():
        for word in words:
            assert word not in kind(name).words
            assert kind(word).family == word, f"{word} is a kind of its own"


def test_one_thing_may_be_called_by_a_plural() -> None:
    assert all(is_plural(words) for words in ("scissors", "red scissors", "an orange binoculars", "shorts"))
    assert not any(is_plural(words) for words in ("bus", "glass", "sheep", "stack of books", "red compass"))
    several = {"stack of books": "stacks of books", "glass of milk": "glasses of milk", "bus": "buses", "fly": "flies"}
    assert {one: plural(one) for one in several} == several


def test_what_is_not_there_is_told_apart_by_nothing_that_never_tells_apart() -> None:
    """Otherwise a colour in a sentence would mean that nothing is to be found."""
    config = SyntheticConfig(**SMALL, expressions=8, absent_share=0.5, kinds=("name", "absent"))
    videos = SyntheticVideos(config, seed=3)
    words = {word for i in range(40) for one in videos.generate(i, length=2).expressions for word in one.text.split()}
    assert not words & {*COLORS, "left", "right", "upwards", "striped", "dotted"}


def test_plurals_ask_for_all_things_of_a_kind(cutouts: Path) -> None:
    config = SyntheticConfig(
        **SMALL, source="cutouts", cutouts=cutouts, objects=(3, 4), absent_share=0.0, plural_share=0.5
    )
    videos, checked = SyntheticVideos(config, seed=1), 0
    for index in range(30):
        video = videos.generate(index)
        for expression in video.expressions:
            if expression.kind == "plural":
                names = {thing.id: thing.kind for thing in video.objects if (video.masks == thing.id).any()}
                (name,) = {names[number] for number in expression.object_ids}
                assert plural(name) == expression.noun
                assert len(expression.object_ids) > 1
                assert {number for number, other in names.items() if other == name} == set(expression.object_ids)
                checked += 1
    assert checked > 3


@pytest.mark.parametrize(("touch", "holder"), [("held", "person"), ("on", "cup")])
def test_what_is_held_moves_with_its_holder(touch: str, holder: str) -> None:
    rng, length = np.random.default_rng(0), 6
    sprites = [Sprite("cutouts", kind(name), (name,), size=(40, 60)) for name in (holder, "ball", "dog")]
    motion = make_motion(rng, "right", 3.0, length, 40)
    things = [SceneObject(i + 1, sprite, motion, (60.0, 50.0), 40.0, i) for i, sprite in enumerate(sprites)]
    things[1].holder, things[1].touch, things[1].tall, things[2].place = 1, touch, 12.0, (140.0, 50.0)
    scene = Scene((100, 200), length, things, make_camera(rng, "still", length, 1.0),
                  Image.new("RGB", (204, 104)), frozenset())  # fmt: skip
    render(scene, {thing.id: Image.new("RGBA", (30, 60 // thing.id), (9, 9, 9, 255)) for thing in things}, rng)
    facts = Facts(scene)
    names = {"held": ("held", "holds"), "on": ("on", "carries")}[touch]
    of_held, of_holder = facts.relation(names[0], things[0], holder), facts.relation(names[1], things[1], "ball")
    assert of_held.holds is not None
    assert of_holder.holds is not None
    assert of_held.holds(things[1]) is True
    assert of_held.holds(things[2]) is False
    assert of_holder.holds(things[0]) is True
    assert of_holder.holds(things[2]) is False


def test_ordinals_count_from_a_side() -> None:
    rng = np.random.default_rng(0)
    motion = make_motion(rng, "still", 0.0, 3, 20)
    sprite = Sprite("shapes", kind("square"), ("square",), size=(20, 20))
    things = [SceneObject(i + 1, sprite, motion, (40.0 + 50 * i, 40.0), 20.0, i) for i in range(4)]
    scene = Scene((80, 240), 3, things, make_camera(rng, "still", 3, 1.0), Image.new("RGB", (244, 84)), frozenset())
    render(scene, {thing.id: Image.new("RGBA", (20, 20), (9, 9, 9, 255)) for thing in things}, rng)
    facts = Facts(scene)
    for number, side, meant_id in [(2, "left", 2), (3, "left", 3), (2, "right", 3), (3, "right", 2)]:
        best = facts.ordinal(number, side).best
        assert best is not None
        asked = [thing.id for thing in things if best(thing, [other for other in things if other is not thing])]
        assert asked == [meant_id]


def test_an_occluder_hides_what_is_behind_it() -> None:
    rng, length = np.random.default_rng(0), 3
    sprite = Sprite("shapes", kind("square"), ("square",), size=(40, 40))
    thing = SceneObject(1, sprite, make_motion(rng, "still", 0.0, length, 40), (60.0, 40.0), 40.0, 0.0)
    post = Occluder(Image.new("RGBA", (20, 80), (0, 0, 200, 255)), 60.0, 0.0, 1.0)
    scene = Scene((80, 120), length, [thing], make_camera(rng, "still", length, 1.0),
                  Image.new("RGB", (124, 84)), frozenset(), occluder=post)  # fmt: skip
    frames, labels = render(scene, {1: Image.new("RGBA", (40, 40), (200, 0, 0, 255))}, rng)
    assert (labels == 1).sum(axis=(1, 2)).tolist() == [800] * length
    assert thing.seen.tolist() == [800] * length
    assert (frames[:, :, 60:80] == (0, 0, 200)).all()


def test_bodies_bend_without_leaving_their_place() -> None:
    wobble = Wobble(legs=0.3, sway=0.05, period=8, start=0.0)
    image = Image.new("RGBa", (40, 100), (90, 90, 90, 255))
    widths = [np.asarray(wobble.bend(image, phase))[95, :, 3].astype(bool).sum() for phase in range(Wobble.phases)]
    assert max(widths) > 46 > 34 > min(widths)
    heads = [np.asarray(wobble.bend(image, phase))[2, :, 3].nonzero()[0].mean() for phase in range(Wobble.phases)]
    assert max(heads) - min(heads) > 6


def test_kinds_can_be_chosen() -> None:
    for chosen in ("name", "motion", "position", "relation", "absent"):
        videos = SyntheticVideos(SyntheticConfig(**SMALL, kinds=(chosen,)), seed=0)
        kinds = {e.kind for index in range(10) for e in videos.generate(index).expressions}
        assert kinds == {chosen}


def test_kinds_that_cannot_be_made_are_an_error() -> None:
    lone = SyntheticVideos(SyntheticConfig(**SMALL, objects=(1, 1), kinds=("relation",)), seed=0)
    with pytest.raises(InputError, match="relation"):
        lone.generate(0)


def test_redundant_words_only_where_asked_for() -> None:
    texts = {}
    for share in (0.0, 1.0):
        config = SyntheticConfig(**SMALL, kinds=("name", "attribute"), redundant_share=share)
        videos = SyntheticVideos(config, seed=0)
        texts[share] = [e.text for i in range(30) for e in videos.generate(i).expressions if e.kind == "name"]
    colored = {share: sum(bool(set(text.split()) & set(COLORS)) for text in said) for share, said in texts.items()}
    assert colored[0.0] == 0
    assert colored[1.0] > 5


def test_fewer_videos_that_names_alone_decide_where_asked_for() -> None:
    def named(share: float) -> int:
        """How many of 40 videos ask for everything by its name."""
        videos = SyntheticVideos(SyntheticConfig(**SMALL, absent_share=0.2, named_share=share), seed=0)
        return sum(
            all(expression.kind in ("name", "absent") for expression in videos.generate(index).expressions)
            for index in range(40)
        )

    assert named(0.0) < named(0.5) < named(1.0)


def test_more_of_the_kinds_that_are_to_stand_out() -> None:
    def asked(emphasis: dict[str, float]) -> Counter[str]:
        """How many sentences of each kind 60 videos ask."""
        videos = SyntheticVideos(SyntheticConfig(**SMALL, emphasis=emphasis), seed=0)
        return Counter(e.kind for index in range(60) for e in videos.generate(index).expressions)

    usual, more = asked({}), asked({"relation": 20.0})
    assert more["relation"] > 1.5 * usual["relation"]
    assert asked({"relation": 1.0}) == usual


@pytest.mark.parametrize("emphasis", [{"colour": 2.0}, {"absent": 2.0}, {"clothes": 0.0}, {"clothes": float("inf")}])
def test_what_cannot_stand_out(emphasis: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(emphasis))):
        SyntheticConfig(emphasis=emphasis)


def test_words_for_one_family_decide_nothing() -> None:
    def thing(name: str) -> SceneObject:
        motion = make_motion(np.random.default_rng(0), "still", 0.0, 2, 10)
        sprite = Sprite("cutouts", kind(name), (name, *kind(name).words))
        return SceneObject(1, sprite, motion, (0.0, 0.0), 10.0, 0.0)

    assert is_called("dog", thing("dog")) is True
    assert is_called("animal", thing("dog")) is True
    assert is_called("dog", thing("wolf")) is None
    assert is_called("dog", thing("car")) is False
    assert is_called("collie", thing("dog"), family="canine") is None
    assert is_called("person", thing("statue")) is None


def test_fast_and_slow_are_judged_with_a_margin() -> None:
    rng = np.random.default_rng(0)
    objects = [
        SceneObject(i + 1, ShapeSource().draw(rng), make_motion(rng, "left", speed, 12, 20), (60.0, 40.0), 20.0, i)
        for i, speed in enumerate((1.0, 2.5, 5.0))
    ]
    scene = Scene((80, 512), 12, objects, make_camera(rng, "still", 12, 1.0), Image.new("RGB", (520, 90)), frozenset())
    render(scene, {thing.id: ShapeSource().image(thing.sprite) for thing in objects}, rng)
    fast, slow = Facts(scene).speed(fast=True), Facts(scene).speed(fast=False)
    assert fast.holds
    assert slow.holds
    assert [fast.holds(thing) for thing in objects] == [False, None, True]
    assert [slow.holds(thing) for thing in objects] == [True, None, False]


@pytest.mark.parametrize("color", COLORS)
def test_shapes_have_the_colour_that_is_said(color: str) -> None:
    source, rng = ShapeSource(), np.random.default_rng(0)
    drawn = [sprite for sprite in (source.draw(rng) for _ in range(400)) if sprite.colors == {color}]
    plain = [sprite for sprite in drawn if sprite.texture == "plain"]
    assert plain
    for sprite in plain[:5]:
        pixels = np.asarray(source.image(sprite)).reshape(-1, 4)
        shares = color_shares(pixels[pixels[:, 3] > 250][:, :3])
        assert max(shares, key=lambda name: shares[name]) in {color} | sprite.near


# ---------------------------------------------------------------------------------------- training samples


def test_clips_are_samples_of_one_clip_that_ask_for_different_things(cutouts: Path) -> None:
    config = SyntheticConfig(size=(96, 160), source="both", cutouts=cutouts, max_step=2)
    clips = SyntheticClips(config, seed=0, length=3, expressions_per_clip=3, size=40)
    assert len(clips) == 40
    different = 0
    for index in range(40):
        samples = clips[index]
        assert len(samples) == 3
        assert all(sample.frames is samples[0].frames for sample in samples)
        assert samples[0].frames.shape == (3, 3, 96, 160)
        assert samples[0].frames.dtype == torch.uint8
        for sample in samples:
            assert sample.masks.shape == (3, 96, 160)
            assert sample.masks.dtype == torch.bool
            assert sample.present.any() == (sample.kind != "absent")
            assert sample.expression
        shown = [sample for sample in samples if sample.kind != "absent"]
        different += any(not torch.equal(shown[0].masks, sample.masks) for sample in shown[1:])
    assert different > 30
    with pytest.raises(IndexError):
        clips[40]


# ----------------------------------------------------------------------------------------------- on disk


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path, cutouts: Path, backgrounds: Path) -> None:
    # Processes that are spawned order their sets each in another way: nothing may depend on that.
    config = SyntheticConfig(**SMALL, source="both", cutouts=cutouts, backgrounds=backgrounds)
    write_videos(tmp_path / "one", config, seed=5, count=6)
    write_videos(tmp_path / "two", config, seed=5, count=6, workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_both_splits_are_read_as_ref_youtube_vos(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("valid", 3)):
        config = SyntheticConfig(**SMALL, split=split, absent_share=0.4)
        write_videos(tmp_path / "data", config, seed=1, count=count)
    absent = 0
    for split, count in (("train", 4), ("valid", 3)):
        data = RefYouTubeVOS(tmp_path / "data", split)
        videos = SyntheticVideos(SyntheticConfig(**SMALL, split=split, absent_share=0.4), seed=1)
        assert [video.name for video in data.videos] == [f"{index:06d}" for index in range(count)]
        for index, video in enumerate(data.videos):
            made = videos.generate(index)
            assert np.array_equal(data.annotations(video).numpy(), made.masks)
            difference = data.frames(video).permute(0, 2, 3, 1).numpy().astype(int) - made.frames
            assert np.abs(difference).mean() < 6  # JPEG
            for written, expression in zip(video.expressions, made.expressions, strict=True):
                assert (written.text, written.kind) == (expression.text, expression.kind)
                masks = data.masks(video, written)
                assert masks.any() == (expression.object_id is not None)
                assert written.object_ids is not None
                assert video.categories[written.object_ids[0]]
                absent += expression.object_id is None
    assert absent


def test_synth_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["sgmg", "synth", str(tmp_path / "data"), *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0)

    base = ("--videos", "2", "--size", "64x96", "--length", "3", "--objects", "2-3", "--kinds", "name,position")
    assert run(*base, "--expressions", "3") == 0
    data = RefYouTubeVOS(tmp_path / "data", "train")
    assert data.size(data.videos[0]) == (64, 96)
    assert {e.kind for video in data.videos for e in video.expressions} <= {"name", "position"}
    before = files_of(tmp_path)
    assert run(*base) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert files_of(tmp_path) == before
    assert run(*base, "--overwrite", "--seed", "9") == 0
    assert files_of(tmp_path) != before
    assert run(*base, "--split", "valid") == 0
    for wrong in (("--size", "64"), ("--size", "8x8"), ("--objects", "0-2"), ("--objects", "many"),
                  ("--kinds", "nonsense"), ("--split", "test"), ("--source", "cutouts"), ("--source", "clay"),
                  ("--cutouts", str(tmp_path / "nothing"))):  # fmt: skip
        capsys.readouterr()
        assert run(*wrong, "--overwrite") == 2
        error = capsys.readouterr().err
        assert error.startswith("Error: ")
        assert len(error.strip().splitlines()) == 1


# ----------------------------------------------------------------------------------- what users can mend


def test_unusable_cutouts_are_named(tmp_path: Path) -> None:
    def generate() -> None:
        config = SyntheticConfig(**SMALL, source="cutouts", cutouts=tmp_path / "cutouts")
        SyntheticVideos(config, seed=0).generate(0)

    labels = tmp_path / "cutouts" / "labels.json"
    with pytest.raises(InputError, match="does not exist"):
        generate()
    labels.parent.mkdir()
    with pytest.raises(InputError, match=r"no labels\.json"):
        generate()
    whole = {"file": "a.png", "names": ["cup"]}
    wrong = ({"names": [""]}, {"names": [3]}, {"tags": ["hat"]}, {"tags": [{"color": "red"}]},
             {"tags": [{"tag": "hat", "share": None}]}, {"imagenet_index": "12"})  # fmt: skip
    entries = [json.dumps({"things": [whole | change]}) for change in wrong]
    for broken in ("{", "[]", '{"things": 3}', '{"things": [{"file": "a.png"}]}', '{"things": [7]}', "{}", *entries):
        labels.write_text(broken)
        with pytest.raises(InputError, match=r"labels\.json"):
            generate()
    names = [f"cup_{number}.png" for number in range(12)]
    labels.write_text(json.dumps({"things": [{"file": name, "names": ["cup"]} for name in names]}))
    with pytest.raises(InputError, match=r"cup_0.png is listed"):
        generate()
    for name in names:
        (labels.parent / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cup_\d+.png cannot be read"):
        generate()
    for name in names:
        Image.new("RGBA", (20, 20)).save(labels.parent / name)
    with pytest.raises(InputError, match=r"cup_\d+.png is fully transparent"):
        generate()


@pytest.mark.parametrize("series", ["picture_{:04d}", "IMG_{:04d}", "scene-{}", "{}"])
def test_photographs_that_a_camera_numbered_are_in_both_splits(tmp_path: Path, series: str) -> None:
    for number in range(30):
        Image.new("RGB", (60, 60)).save(tmp_path / f"{series.format(number)}.png")
    drawn = {}
    for split in ("train", "valid"):
        rng, photos = np.random.default_rng(0), Backgrounds(tmp_path, split, procedural=0.0)
        drawn[split] = {photos.draw(rng, (50, 50))[2] for _ in range(400)}
    assert not drawn["train"] & drawn["valid"]
    assert 2 <= len(drawn["valid"]) <= 12
    assert len(drawn["train"]) + len(drawn["valid"]) == 30


def test_frames_of_one_street_are_in_one_split(tmp_path: Path) -> None:
    names = [f"street_{street:04d}_{frame:03d}.png" for street in range(20) for frame in range(3)]
    for name in names:
        Image.new("RGB", (60, 60)).save(tmp_path / name)
    rng, photos = np.random.default_rng(0), Backgrounds(tmp_path, "valid", procedural=0.0)
    drawn = {photos.draw(rng, (50, 50))[2] for _ in range(400)}
    assert 0 < len(drawn) < len(names)
    assert drawn == {name for name in names if name.rpartition("_")[0] in {one.rpartition("_")[0] for one in drawn}}


def test_unusable_backgrounds_are_named(tmp_path: Path) -> None:
    def generate() -> None:
        config = SyntheticConfig(**SMALL, backgrounds=tmp_path / "photos", procedural_share=0.0)
        SyntheticVideos(config, seed=0).generate(0)

    with pytest.raises(InputError, match="does not exist"):
        generate()
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="no images"):
        generate()
    for number in range(8):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"\d.jpg cannot be read"):
        generate()


@pytest.mark.parametrize(
    "wrong",
    [{"size": (10, 10)}, {"size": (9000, 100)}, {"length": 0}, {"objects": (3, 2)}, {"objects": (0, 2)},
     {"source": "clay"}, {"source": "cutouts"}, {"split": "test"}, {"kinds": ("nonsense",)}, {"kinds": ()},
     {"expressions": 0}, {"absent_share": 1.5}, {"max_step": 0}],
)  # fmt: skip
def test_impossible_configurations_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SyntheticVideos(SyntheticConfig(**wrong))  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------- real cutouts


@pytest.mark.skipif(not (SHARED / "cutouts").is_dir(), reason="no folder of real cutouts here")
@pytest.mark.parametrize("split", ["train", "valid"])
def test_real_cutouts(split: str) -> None:
    config = SyntheticConfig(
        size=(144, 256), length=3, source="cutouts", cutouts=SHARED / "cutouts",
        backgrounds=SHARED / "backgrounds", split=split,
    )  # fmt: skip
    videos = SyntheticVideos(config, seed=0)
    for index in range(12):
        video = videos.generate(index)
        assert len(video.expressions) > 1
        for expression in video.expressions:
            if expression.object_id is not None:
                assert (video.masks == expression.object_id).any()


def test_clips_grow_from_a_number_on() -> None:
    growth = [Growth(after=2, clip_length=4), Growth(after=4, size=(64, 80))]
    clips = SyntheticClips(SyntheticConfig(**SMALL), 0, length=2, expressions_per_clip=1, size=6, growth=growth)
    shapes = [tuple(clips[index][0].frames.shape) for index in (0, 1, 2, 3, 4)]
    assert shapes == [(2, 3, 96, 160)] * 2 + [(4, 3, 96, 160)] * 2 + [(4, 3, 64, 80)]
    with pytest.raises(InputError, match="rising order"):
        SyntheticClips(SyntheticConfig(**SMALL), 0, 2, 1, 6, growth=growth[::-1])
