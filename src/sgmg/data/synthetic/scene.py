"""Scenes: where sprites are, how they and the camera move, and what the frames then look like."""

from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from sgmg.data.synthetic.sprites import Sprite

SOLID = 128  # An object's mask holds the pixels whose alpha is at least this.

STILL, TURNING, GROWING, SHRINKING = "still", "turning", "growing", "shrinking"
BOUNCING, SWINGING, ENTERING, LEAVING = "bouncing", "swinging", "entering", "leaving"
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


@dataclass
class Motion:
    """How a thing moves in the world, frame by frame.

    Attributes:
        name: "still", a direction, "turning", "growing", "shrinking", "bouncing", "swinging", "entering" or
            "leaving".
        dx, dy: (T,) offsets from its place, pixels.
        scale: (T,) factor on its size.
        angle: (T,) degrees, counter-clockwise.
    """

    name: str
    dx: np.ndarray
    dy: np.ndarray
    scale: np.ndarray
    angle: np.ndarray

    @property
    def speed(self) -> float:
        """Mean speed of its place, pixels a frame."""
        if len(self.dx) < 2:
            return 0.0
        return float(np.hypot(np.diff(self.dx), np.diff(self.dy)).mean())

    @property
    def growth(self) -> float:
        """Relative change of its size from frame to frame; negative where it shrinks."""
        return float(np.log(self.scale[-1] / self.scale[0])) / max(len(self.scale) - 1, 1)

    @property
    def turn_rate(self) -> float:
        """Degrees a frame, of steady turning only."""
        return abs(float(self.angle[-1] - self.angle[0])) / max(len(self.angle) - 1, 1)


def make_motion(
    rng: np.random.Generator, name: str, speed: float, length: int, height: float, step: float = 1.0, turn: float = 0.0
) -> Motion:
    """A motion by name, at a natural pace: what happens from frame to frame does not depend on the length.

    Args:
        speed: pixels a frame.
        length: frames.
        height: the thing's height in pixels: how far it may bounce.
        step: frames of time that pass from one frame to the next.
        turn: degrees a frame, for things that roll while they move.
    """
    t = np.arange(length, dtype=np.float64) - (length - 1) / 2
    zero, one = np.zeros(length), np.ones(length)
    dx, dy, scale, angle = zero.copy(), zero.copy(), one.copy(), turn * (t - t[0])
    if name in DIRECTIONS:
        x, y = DIRECTIONS[name]
        slant = float(rng.uniform(-0.25, 0.25))
        dx, dy = t * speed * (x + slant * abs(y)), t * speed * (y + slant * abs(x))
    elif name in (ENTERING, LEAVING):
        dx = t * speed * (1 if rng.random() < 0.5 else -1)
    elif name == TURNING:
        rate = float(rng.uniform(3.5, 10)) * step * (1 if rng.random() < 0.5 else -1)
        angle = rate * (t - t[0])
    elif name in (GROWING, SHRINKING):
        rate = min(float(rng.uniform(0.014, 0.035)) * step, 0.75 / max(length - 1, 1))
        scale = np.exp((rate if name == GROWING else -rate) * t)
    elif name == BOUNCING:
        period = float(rng.uniform(9, 16)) / step
        reach = min(height * float(rng.uniform(0.25, 0.6)), max(speed, 2.5) * period / 2)
        phase = float(rng.uniform(0, 1))
        dy = -reach * np.abs(np.sin(np.pi * (t / period + phase)))
        dx = t * float(rng.uniform(-0.5, 0.5))
    elif name == SWINGING:
        period = float(rng.uniform(12, 24)) / step
        dx = max(speed, 1.5) * period / 4 * np.sin(2 * np.pi * (t / period + float(rng.uniform(0, 1))))
    return Motion(name, dx, dy, scale, angle)


@dataclass
class Camera:
    """The camera's path: the point it looks at, (T,) x and y offsets in pixels, and its (T,) zoom."""

    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray

    @property
    def drift(self) -> float:
        """Mean speed of the picture, pixels a frame."""
        return float(np.hypot(np.diff(self.x), np.diff(self.y)).mean()) if len(self.x) > 1 else 0.0

    @property
    def zoom_rate(self) -> float:
        """Relative change of the zoom from frame to frame, without a sign."""
        return abs(float(np.log(self.zoom[-1] / self.zoom[0]))) / max(len(self.zoom) - 1, 1)


def make_camera(rng: np.random.Generator, style: str, length: int, unit: float, step: float = 1.0) -> Camera:
    """A camera that is "still", "pan"s, "shake"s, "zoom"s, or is held in a hand that does a little of each.

    Args:
        unit: pixels that count as one at a frame 512 pixels wide.
        step: frames of time that pass from one frame to the next.
    """
    t = np.arange(length, dtype=np.float64) - (length - 1) / 2
    x, y, zoom = np.zeros(length), np.zeros(length), np.ones(length)
    if style == "pan":
        angle = float(rng.choice([0, np.pi])) + float(rng.uniform(-0.3, 0.3))
        speed = float(rng.uniform(0.3, 2.0)) * unit * step
        x, y = t * speed * np.cos(angle), t * speed * np.sin(angle)
    elif style == "shake":
        walk = np.cumsum(rng.normal(0, 0.8, (2, length)), axis=1) * unit
        x, y = (walk - walk.mean(1, keepdims=True)).clip(-8 * unit, 8 * unit)
    elif style == "hand":
        for path in (x, y):
            for period in (float(rng.uniform(20, 60)), float(rng.uniform(6, 14))):
                path += (
                    0.09
                    * period
                    * unit
                    * float(rng.uniform(0.1, 1))
                    * np.sin(2 * np.pi * (t * step / period + rng.random()))
                )
            path += rng.normal(0, 0.25 * unit, length)
        rate = min(float(rng.uniform(0, 0.004)) * step, 0.2 / max(length - 1, 1))
        zoom = np.exp((rate if rng.random() < 0.5 else -rate) * np.arange(length))
        zoom = zoom / zoom.min()
    elif style == "zoom":
        rate = min(float(rng.uniform(0.003, 0.011)) * step, 0.3 / max(length - 1, 1))
        zoom = np.exp((rate if rng.random() < 0.5 else -rate) * np.arange(length))
        zoom = zoom / zoom.min()
    return Camera(x, y, zoom)


@dataclass(frozen=True)
class Wobble:
    """How a body bends while it moves: its picture is bent anew in each of a few phases.

    Attributes:
        legs: what is below the middle spreads and closes by up to this share of its width, as in walking.
        sway: what is furthest from the foot leans to the sides by up to this share of the height.
        period: frames.
        start: share of a period at the first frame.
    """

    legs: float
    sway: float
    period: float
    start: float

    phases = 12

    def phase(self, t: int) -> int:
        """Which phase a frame is in."""
        return int((t / self.period + self.start) * self.phases) % self.phases

    def bend(self, image: Image.Image, phase: int) -> Image.Image:
        """The picture (premultiplied) in a phase, wider by what it needs at both sides."""
        swing = float(np.sin(2 * np.pi * phase / self.phases))
        width, height = image.size
        pad = int(np.ceil(self.sway * height + self.legs * width / 2)) + 1
        wide = width + 2 * pad
        middle = wide / 2
        canvas = Image.new(image.mode, (wide, height))
        canvas.paste(image, (pad, 0))
        edges = np.linspace(0, height, 7)
        mesh = []
        for top, bottom in pairwise(edges):
            corners = []
            for y in (top, bottom):
                high = 1 - y / height
                lean = self.sway * height * swing * high**1.5
                spread = 1 + self.legs * swing * max(0.0, 1 - 2 * high)
                corners.append([middle + (x - middle - lean) / spread for x in (0, wide)])
            (x0, x1), (x2, x3) = corners
            quad = (x0, top, x2, bottom, x3, bottom, x1, top)
            mesh.append(((0, round(top), wide, round(bottom)), quad))
        return canvas.transform((wide, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


@dataclass
class SceneObject:
    """A thing in a scene: what it is, where it is in every frame, and what of it is seen.

    Attributes:
        id: its number in the label map, from 1.
        sprite: what it looks like, and what is true of it.
        motion: how it moves about its place.
        place: x and y of its middle where its motion has not moved it, the camera looks at the middle and does not
            zoom, pixels.
        tall: its height then, pixels.
        flip: whether left and right of its picture are swapped.
        grounded: whether it stands on the ground, on which it can cast a shadow.
        x, y: (T,) centre of its whole box on the screen, pixels (also where it is hidden or outside).
        width, height: (T,) size of its whole box, pixels.
        seen: (T,) pixels of it that are visible.
        whole: (T,) pixels it would show were nothing in front of it and no border cut it.
        rank: the painter's order: a higher one is nearer.
        holder: id of the object that it touches and moves with, or None.
        touch: how it touches its holder: "held", "ridden" by it, or "on" top of it.
        wobble: how it bends while it moves, or None for rigid things.
        blur: how much of its sharpness motion takes away along x and y: 1 is none.
        visible_x, visible_y: (T,) middle of what is seen, NaN where nothing is.
        left_top: (T, 2) corner of its picture in the frame; drawn_scale: (T,) factor on its height.
        hidden_by: for every other id, (T,) pixels of this object that the other hides.
    """

    id: int
    sprite: Sprite
    motion: Motion
    place: tuple[float, float]
    tall: float
    rank: float
    flip: bool = False
    holder: int | None = None
    touch: str = ""
    grounded: bool = False
    wobble: Wobble | None = None
    blur: tuple[float, float] = (1.0, 1.0)
    x: np.ndarray = field(default_factory=lambda: np.zeros(0))
    y: np.ndarray = field(default_factory=lambda: np.zeros(0))
    width: np.ndarray = field(default_factory=lambda: np.zeros(0))
    height: np.ndarray = field(default_factory=lambda: np.zeros(0))
    seen: np.ndarray = field(default_factory=lambda: np.zeros(0))
    whole: np.ndarray = field(default_factory=lambda: np.zeros(0))
    hidden_by: dict[int, np.ndarray] = field(default_factory=dict)
    visible_x: np.ndarray = field(default_factory=lambda: np.zeros(0))
    visible_y: np.ndarray = field(default_factory=lambda: np.zeros(0))
    left_top: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    drawn_scale: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def share(self) -> np.ndarray:
        """(T,) visible share of the whole object."""
        return self.seen / np.maximum(self.whole, 1)


@dataclass(frozen=True)
class Sun:
    """Light from one side, for shadows that things cast on the ground.

    Attributes:
        lean: how far a shadow's end lies to the right of its foot, in heights of the thing.
        length: how far it reaches up from the foot, in heights of the thing; negative towards the viewer.
        dark: how much light it takes away, in [0, 1].
    """

    lean: float
    length: float
    dark: float


@dataclass(frozen=True)
class Occluder:
    """Something before all things that nobody asks for: a post, the edge of a table, leaves.

    Attributes:
        picture: RGBA.
        left, top: of its picture in the frame when the camera looks at the middle, pixels.
        parallax: how much faster than the background it passes.
    """

    picture: Image.Image
    left: float
    top: float
    parallax: float


@dataclass
class Scene:
    """A planned scene, not yet drawn.

    Attributes:
        size: (height, width) of the frames.
        length: T, their number.
        objects: in the order of their ids.
        camera: where it looks in each of them.
        canvas: the background, larger than a frame by what the camera needs.
        contents: families of things that the background may hold without a label.
        grain: standard deviation of the sensor noise, grey levels.
        shadows: whether things on the ground cast a soft shadow.
        softness: 1 is in focus; things are drawn this much smaller and enlarged again.
        edge: pixels over which things blend into what is behind them.
        sun: what casts shadows, or None.
        occluder: something before all things, or None.
        detail: frames are drawn this much smaller and enlarged again, as videos of little detail are.
        quality: of compression as in JPEG, or None for none.
    """

    size: tuple[int, int]
    length: int
    objects: list[SceneObject]
    camera: Camera
    canvas: Image.Image
    contents: frozenset[str]
    grain: float = 0.0
    shadows: bool = False
    softness: float = 1.0
    edge: float = 0.0
    sun: Sun | None = None
    occluder: Occluder | None = None
    detail: float = 1.0
    quality: int | None = None


@dataclass(frozen=True)
class _Drawing:
    """A sprite at one size and angle: RGB, alpha, mask (h, w) bool, its area and its centre of mass."""

    picture: Image.Image
    alpha: Image.Image
    mask: np.ndarray
    area: int
    centre_x: float
    centre_y: float


class _Rendering:
    """One sprite at all the sizes, angles and phases it is needed in, drawn once each."""

    def __init__(self, image: Image.Image, thing: SceneObject, scene: Scene) -> None:
        # Premultiplied, so that what lies under transparent pixels never bleeds into the edges.
        self._image = image.convert("RGBa")
        self._tall, self._wobble, self._edge = thing.tall, thing.wobble, scene.edge
        self._softness = (scene.softness * thing.blur[0], scene.softness * thing.blur[1])
        self._drawn: dict[tuple[int, int, int], _Drawing] = {}
        self._shadows: dict[tuple[int, int, int], Image.Image] = {}

    def _key(self, scale: float, angle: float, t: int) -> tuple[int, int, int]:
        return round(self._tall * scale), round(angle) % 360, self._wobble.phase(t) if self._wobble else 0

    def at(self, scale: float, angle: float, t: int) -> _Drawing:
        """The sprite at a scale and an angle in degrees, as it is bent at a time."""
        key = self._key(scale, angle, t)
        if key not in self._drawn:
            height = max(4, key[0])
            width = max(4, round(self._image.width * height / self._image.height))
            image = self._image
            if max(self._softness) > 1:  # Out of focus or moving: drawn smaller, then enlarged.
                small = (max(3, round(width / self._softness[0])), max(3, round(height / self._softness[1])))
                image = image.resize(small, Image.Resampling.BILINEAR, reducing_gap=2.0)
            image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
            if self._wobble:
                image = self._wobble.bend(image, key[2])
            if key[1]:
                image = image.rotate(key[1], Image.Resampling.BILINEAR, expand=True)
            straight = image.convert("RGBA")
            alpha = straight.getchannel("A")
            if self._edge:
                # Inwards only: outside of its own pixels a cutout has no colour to show.
                inner = alpha.filter(ImageFilter.BoxBlur(self._edge)).point(_INWARDS)
                alpha = ImageChops.darker(alpha, inner)
            mask = np.asarray(alpha) >= SOLID
            area = int(np.count_nonzero(mask))
            columns, rows = mask.sum(0), mask.sum(1)
            self._drawn[key] = _Drawing(
                straight.convert("RGB"), alpha, mask, area,
                float(columns @ np.arange(len(columns))) / max(area, 1),
                float(rows @ np.arange(len(rows))) / max(area, 1),
            )  # fmt: skip
        return self._drawn[key]

    def shadow(self, scale: float, angle: float, t: int, sun: Sun) -> Image.Image:
        """What it keeps from the light, (L), as wide as it and its shadow's lean to both sides."""
        key = self._key(scale, angle, t)
        if key not in self._shadows:
            alpha = self.at(scale, angle, t).alpha
            wide, tall = alpha.size
            deep, reach = max(2, round(tall * abs(sun.length) / 2)), round(tall * abs(sun.lean) / 2)
            flat = alpha.resize((max(2, wide // 2), deep), Image.Resampling.BILINEAR, reducing_gap=1.5)
            # Rows near the foot stay, those of the head lean away.
            slope = tall * sun.lean / 2 / deep
            matrix = (1, slope, -reach - slope * deep, 0, 1, 0)
            lying = flat.transform((flat.width + 2 * reach, deep), Image.Transform.AFFINE, matrix)
            if sun.length < 0:
                lying = lying.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
            lying = lying.filter(ImageFilter.BoxBlur(1.5)).point([round(level * sun.dark) for level in range(256)])
            self._shadows[key] = lying.resize((lying.width * 2, lying.height * 2), Image.Resampling.BILINEAR)
        return self._shadows[key]


_INWARDS = [min(255, max(0, 2 * level - 255)) for level in range(256)]


def render(scene: Scene, images: dict[int, Image.Image], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene and fill in where its objects are and what of them is seen.

    Args:
        scene: its objects' ``x``, ``y``, ``width``, ``height``, ``seen``, ``whole`` and ``hidden_by`` are
            written here.
        images: the picture of every object (RGBA), by id.

    Returns:
        Frames (T, H, W, 3) uint8 RGB and label maps (T, H, W) uint8, 0 where no object is.
    """
    height, width = scene.size
    length, camera = scene.length, scene.camera
    frames = np.empty((length, height, width, 3), np.uint8)
    labels = np.zeros((length, height, width), np.uint8)
    order = sorted(scene.objects, key=lambda thing: thing.rank)
    drawings = {thing.id: _Rendering(images[thing.id], thing, scene) for thing in order}
    for thing in order:
        thing.x, thing.y, thing.width, thing.height, thing.seen, thing.whole = np.zeros((6, length))
        thing.visible_x, thing.visible_y = np.full((2, length), np.nan)
        thing.left_top = np.zeros((length, 2))
        thing.drawn_scale = thing.motion.scale * camera.zoom
        thing.hidden_by = {other.id: np.zeros(length) for other in order if other is not thing}
    grain = _grain(rng, scene) if scene.grain else None
    for t in range(length):
        frame = _background(scene, t)
        drawn: list[SceneObject] = []
        for thing in order:
            if _draw(scene, thing, t, drawings[thing.id], frame, labels[t], drawn):
                drawn.append(thing)
        if scene.occluder is not None:
            _hide(scene, scene.occluder, t, frame, labels[t], drawn)
        for thing in drawn:
            _find_middle(thing, t, labels[t], drawings[thing.id])
        pixels = np.asarray(_recorded(frame, scene))
        if grain is None:
            frames[t] = pixels
        else:
            i, j = rng.integers(0, 17, 2)
            noisy = pixels + grain[i : i + height, j : j + width]
            np.clip(noisy, 0, 255, out=noisy)
            frames[t] = noisy
    return frames, labels


def canvas_size(size: tuple[int, int], camera: Camera) -> tuple[int, int]:
    """(height, width) of a background that the camera never looks beyond."""
    height, width = size
    return (
        height + 2 * int(np.ceil(np.abs(camera.y).max() + 1)),
        width + 2 * int(np.ceil(np.abs(camera.x).max() + 1)),
    )


def _background(scene: Scene, t: int) -> Image.Image:
    height, width = scene.size
    camera, canvas = scene.camera, scene.canvas
    centre_x, centre_y = canvas.width / 2 + camera.x[t], canvas.height / 2 + camera.y[t]
    zoom = camera.zoom[t]
    if zoom == 1.0:
        left, top = round(centre_x - width / 2), round(centre_y - height / 2)
        return canvas.crop((left, top, left + width, top + height))
    w, h = width / zoom, height / zoom
    box = (centre_x - w / 2, centre_y - h / 2, centre_x + w / 2, centre_y + h / 2)
    return canvas.resize((width, height), Image.Resampling.BILINEAR, box=box)


def _recorded(frame: Image.Image, scene: Scene) -> Image.Image:
    """A frame as a camera of little detail, or a compressed file, would keep it."""
    if scene.detail < 1:
        small = (round(frame.width * scene.detail), round(frame.height * scene.detail))
        frame = frame.resize(small, Image.Resampling.BILINEAR, reducing_gap=1.5).resize(
            frame.size, Image.Resampling.BILINEAR
        )
    if scene.quality is not None:
        file = BytesIO()
        frame.save(file, "JPEG", quality=scene.quality)
        frame = Image.open(file)
    return frame


def _hide(
    scene: Scene, occluder: Occluder, t: int, frame: Image.Image, labels: np.ndarray, drawn: list[SceneObject]
) -> None:
    """Paint an occluder over everything, and take what it hides from the things behind it."""
    left = round(occluder.left - occluder.parallax * scene.camera.x[t])
    top = round(occluder.top - occluder.parallax * scene.camera.y[t])
    frame.paste(occluder.picture, (left, top), occluder.picture)
    height, width = scene.size
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + occluder.picture.width, width), min(top + occluder.picture.height, height)
    if x0 >= x1 or y0 >= y1:
        return
    solid = np.asarray(occluder.picture.getchannel("A"))[y0 - top : y1 - top, x0 - left : x1 - left] >= SOLID
    region = labels[y0:y1, x0:x1]
    for number, hidden in enumerate(np.bincount(region[solid], minlength=len(scene.objects) + 1)):
        for thing in drawn:
            if thing.id == number:
                thing.seen[t] -= hidden
    region[solid] = 0


def _draw(
    scene: Scene,
    thing: SceneObject,
    t: int,
    rendering: _Rendering,
    frame: Image.Image,
    labels: np.ndarray,
    behind: list[SceneObject],
) -> bool:
    """Paint a thing over what is ``behind`` it; whether any of it lies within the frame."""
    height, width = scene.size
    camera, motion = scene.camera, thing.motion
    zoom = camera.zoom[t]
    scale = float(motion.scale[t] * zoom)
    drawing = rendering.at(scale, float(motion.angle[t]), t)
    wide, tall = drawing.picture.size
    world_x, world_y = thing.place[0] + motion.dx[t], thing.place[1] + motion.dy[t]
    if thing.grounded:  # What stands on the ground grows and shrinks from its foot.
        world_y -= thing.tall * (motion.scale[t] - 1) / 2
    x = (world_x - width / 2 - camera.x[t]) * zoom + width / 2
    y = (world_y - height / 2 - camera.y[t]) * zoom + height / 2
    thing.x[t], thing.y[t] = x, y
    thing.width[t], thing.height[t] = wide, tall
    thing.whole[t] = drawing.area
    left, top = round(x - wide / 2), round(y - tall / 2)
    thing.left_top[t] = left, top
    if scene.shadows and thing.grounded:
        if scene.sun is not None:
            lying = rendering.shadow(scale, float(motion.angle[t]), t, scene.sun)
            foot = top + tall - (lying.height if scene.sun.length > 0 else 2)
            frame.paste((0, 0, 0), (left - (lying.width - wide) // 2, foot), lying)
        _shadow(frame, left, top, wide, tall)
    frame.paste(drawing.picture, (left, top), drawing.alpha)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, width), min(top + tall, height)
    if x0 >= x1 or y0 >= y1:
        return False
    region = labels[y0:y1, x0:x1]
    solid = drawing.mask[y0 - top : y1 - top, x0 - left : x1 - left]
    thing.seen[t] = np.count_nonzero(solid)
    for other in behind:
        if abs(other.x[t] - x) * 2 < other.width[t] + wide and abs(other.y[t] - y) * 2 < other.height[t] + tall:
            hidden = np.count_nonzero(region[solid] == other.id)
            other.hidden_by[thing.id][t] = hidden
            other.seen[t] -= hidden
    region[solid] = thing.id
    return True


def _find_middle(thing: SceneObject, t: int, labels: np.ndarray, rendering: _Rendering) -> None:
    """The middle of what is seen of a thing, NaN where nothing is."""
    if thing.seen[t] <= 0:
        return
    left, top = thing.left_top[t]
    if thing.seen[t] == thing.whole[t]:
        drawing = rendering.at(thing.drawn_scale[t], thing.motion.angle[t], t)
        thing.visible_x[t], thing.visible_y[t] = left + drawing.centre_x, top + drawing.centre_y
        return
    x0, y0 = max(int(left), 0), max(int(top), 0)
    box = labels[y0 : int(top + thing.height[t]), x0 : int(left + thing.width[t])] == thing.id
    count = max(int(np.count_nonzero(box)), 1)
    thing.visible_x[t] = x0 + float(box.sum(0) @ np.arange(box.shape[1])) / count
    thing.visible_y[t] = y0 + float(box.sum(1) @ np.arange(box.shape[0])) / count


def _grain(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Sensor noise, a little larger than a frame, so that each frame can take another part of it."""
    height, width = scene.size[0] + 16, scene.size[1] + 16
    # The sum of four uniform bytes is near enough to a normal distribution, and quick.
    raw = rng.integers(0, 256, (4, height, width), dtype=np.uint8).astype(np.int16).sum(0) - 510
    return (raw * (scene.grain / 148)).astype(np.int16)[..., None]


_SHADOW = Image.new("L", (96, 24), 0)
_SHADOW.paste(110, (14, 7, 82, 17))
_SHADOW = _SHADOW.filter(ImageFilter.GaussianBlur(5))


def _shadow(frame: Image.Image, left: int, top: int, width: int, height: int) -> None:
    """A soft dark patch on the ground under a thing."""
    deep = max(4, round(min(0.22 * width, 0.12 * height)))
    patch = _SHADOW.resize((max(8, round(width * 1.25)), deep * 2), Image.Resampling.BILINEAR)
    frame.paste((0, 0, 0), (left - round(width * 0.125), top + height - round(deep * 1.15)), patch)
