"""Light, focus and the camera's own faults: what makes composed things look as if they had been filmed together."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sgmg.data.synthetic.scene import Occluder, Scene, SceneObject, Sun


def film(rng: np.random.Generator, scene: Scene, images: dict[int, Image.Image], step: float) -> None:
    """Decide how a scene is lit and recorded, before it is drawn.

    Exposure and focus vary for the whole clip, for the background, and a little for every thing. Real things also
    have soft edges, light from a side, shadows, blur where they move, and are seen in compressed videos, at times
    behind something that nobody asks for.

    Args:
        images: of all objects (RGBA), by id; changed.
        step: frames of time that pass from one frame to the next.
    """
    gamma = float(np.exp(rng.normal(0, 0.16)))
    gain = float(rng.uniform(0.85, 1.1))
    tone = np.array([1 + rng.normal(0, 0.025) for _ in range(3)])
    real = any(thing.sprite.source == "cutouts" for thing in scene.objects)
    haze = float(rng.uniform(0, 0.16)) if real and rng.random() < 0.3 else 0.0
    if rng.random() < 0.35:
        # Out of focus: scaled down and up again.
        size, blur = scene.canvas.size, float(rng.uniform(1.5, 6))
        small = (max(8, round(size[0] / blur)), max(8, round(size[1] / blur)))
        small_canvas = scene.canvas.resize(small, Image.Resampling.BILINEAR, reducing_gap=1.5)
        scene.canvas = small_canvas.resize(size, Image.Resampling.BICUBIC)
    scene.canvas = scene.canvas.point(_curve(gamma, gain * tone, haze))
    ambient = np.asarray(scene.canvas.resize((1, 1), Image.Resampling.BOX)).reshape(3) / 255.0
    if rng.random() < 0.25:
        scene.softness = float(rng.uniform(1.2, 2.2))
    side = _shade(rng) if real and rng.random() < 0.5 else None
    for thing in scene.objects:
        image = images[thing.id]
        own = float(rng.uniform(0.82, 1.15)) if real else float(rng.uniform(0.92, 1.06))
        # A little of the scene's own light falls on things.
        cast = 1 + (0.25 if real else 0.1) * (ambient / max(float(ambient.mean()), 0.05) - 1)
        curve = _curve(gamma, gain * own * tone * np.clip(cast, 0.85, 1.15), haze)
        image = image.point([*curve, *range(256)])
        images[thing.id] = _shaded(image, side) if side is not None else image
    if real:
        _record(rng, scene, step)


def _curve(gamma: float, gain: np.ndarray, haze: float = 0.0) -> list[int]:
    """A lookup table for three channels; haze lifts what is dark."""
    level = haze + (1 - haze) * (np.arange(256) / 255.0) ** gamma
    return [int(v) for channel in gain for v in np.clip(level * channel * 255, 0, 255)]


def _shade(rng: np.random.Generator) -> Image.Image:
    """Light that falls from one side: a gradient (L), brighter there."""
    darkest = float(rng.uniform(0.5, 0.85))
    gradient = Image.linear_gradient("L").resize((64, 64)).rotate(float(rng.choice([0, 180, 90, 270, 150, 210])))
    return gradient.point([round(255 * (darkest + (1 - darkest) * level / 255)) for level in range(256)])


def _shaded(image: Image.Image, shade: Image.Image) -> Image.Image:
    fitted = shade.resize(image.size, Image.Resampling.BILINEAR)
    whole = Image.new("L", image.size, 255)
    return ImageChops.multiply(image, Image.merge("RGBA", (fitted, fitted, fitted, whole)))


def _record(rng: np.random.Generator, scene: Scene, step: float) -> None:
    """Edges, shadows, the shutter, what stands before everything, and compression."""
    if rng.random() < 0.7:
        scene.edge = float(rng.uniform(0.5, 1.4))
    if scene.shadows and rng.random() < 0.5:
        length = float(rng.uniform(0.15, 0.5)) * (1 if rng.random() < 0.6 else -1)
        scene.sun = Sun(float(rng.uniform(-0.6, 0.6)), length, float(rng.uniform(0.2, 0.55)))
    if rng.random() < 0.45:
        shutter = float(rng.uniform(0.3, 0.9)) / step**0.5
        for thing in scene.objects:
            thing.blur = _blur_of_motion(thing, shutter)
    if rng.random() < 0.14:
        scene.occluder = _occluder(rng, scene)
    if rng.random() < 0.12:
        scene.detail = float(rng.uniform(0.45, 0.8))
    if rng.random() < 0.4:
        scene.quality = int(rng.integers(22, 75))


def _blur_of_motion(thing: SceneObject, shutter: float) -> tuple[float, float]:
    """How much smaller, along x and y, a thing is drawn and then enlarged: as far as it moves while light falls in."""
    if len(thing.motion.dx) < 2:
        return 1.0, 1.0
    moved = [float(np.abs(np.diff(path)).mean()) for path in (thing.motion.dx, thing.motion.dy)]
    return max(1.0, min(shutter * moved[0], 8.0)), max(1.0, min(shutter * moved[1], 8.0))


def _occluder(rng: np.random.Generator, scene: Scene) -> Occluder:
    """A post, the edge of something, or leaves near the camera: a piece of the background itself, lit otherwise."""
    height, width = scene.size
    form = str(rng.choice(["post", "edge", "leaf"], p=[0.3, 0.4, 0.3]))
    if form == "post":
        size = (round(width * float(rng.uniform(0.03, 0.1))), height + 40)
        place = (float(rng.uniform(0.1, 0.9)) * width, -20.0)
    elif form == "edge":
        size = (width + 80, round(height * float(rng.uniform(0.15, 0.4))))
        place = (-40.0, height - size[1] * float(rng.uniform(0.5, 0.9)))
    else:
        size = (round(width * float(rng.uniform(0.12, 0.35))), round(height * float(rng.uniform(0.15, 0.5))))
        x = float(rng.choice([-0.3, 1.0])) * size[0] if rng.random() < 0.5 else float(rng.uniform(0, width - size[0]))
        place = (min(x, width - 0.6 * size[0]), float(rng.uniform(0.3, 0.9)) * height)
    alpha = Image.new("L", size, 255 if form != "leaf" else 0)
    draw = ImageDraw.Draw(alpha)
    if form == "edge":  # Its upper side is not level.
        slant = float(rng.uniform(-0.2, 0.2)) * size[1]
        draw.polygon([(0, 0), (size[0], 0), (size[0], max(slant, 0)), (0, max(-slant, 0))], fill=0)
    elif form == "leaf":
        for _ in range(int(rng.integers(2, 6))):
            x, y = float(rng.uniform(0, 0.6)) * size[0], float(rng.uniform(0, 0.6)) * size[1]
            draw.ellipse((x, y, x + 0.4 * size[0], y + 0.4 * size[1]), fill=255)
    soft = float(rng.uniform(0.5, 4))
    corner = int(rng.integers(max(1, scene.canvas.width - 60))), int(rng.integers(max(1, scene.canvas.height - 60)))
    picture = scene.canvas.crop((*corner, corner[0] + 60, corner[1] + 60)).resize(size, Image.Resampling.BICUBIC)
    picture = picture.point(_curve(1.0, np.full(3, float(rng.uniform(0.35, 1.3)))))
    picture.putalpha(alpha.filter(ImageFilter.BoxBlur(soft)))
    return Occluder(picture, *place, parallax=float(rng.uniform(1.0, 2.0)))
