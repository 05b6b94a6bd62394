"""Draw the pictures of `docs/network.md`.

Usage: python tools/network_drawings.py [FOLDER]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

INK, QUIET, PAPER = "#23243a", "#6b6d85", "#fbfbfd"
VISUAL, WORDS, BOTH, MASKS = "#dbeafe", "#fde8c8", "#e4dcfa", "#d3f0df"
EDGES = {VISUAL: "#5b8fd6", WORDS: "#d3923a", BOTH: "#8a6fd0", MASKS: "#3f9f6d", "#fff": "#c3c4d6"}
OBJECT, EMPTY = "#E69F00", "#e2e4ee"


class Drawing:
    """Shapes on a sheet of its own colour, so that it can be read on a dark page too."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def rect(self, x: float, y: float, w: float, h: float, fill: str, edge: str = "none", radius: float = 0) -> None:
        """A rectangle."""
        line = "" if edge == "none" else f' stroke="{edge}"'
        round_ = f' rx="{radius:g}"' if radius else ""
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}"{round_} fill="{fill}"{line}/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 13,
        colour: str = INK,
        bold: bool = False,
        at: str = "middle",
    ) -> None:
        """A line of text, its baseline at y."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" text-anchor="{at}"{weight}>'
            f"{escape(words)}</text>"
        )

    def box(self, x: float, y: float, w: float, h: float, name: str, *notes: str, fill: str = VISUAL) -> None:
        """A part of the network: its name, and under it what it does."""
        self.rect(x, y, w, h, fill, EDGES[fill], radius=8)
        lines = 1 + len(notes)
        top = y + h / 2 - (lines - 1) * 8 + 4.5
        self.text(x + w / 2, top, name, bold=True)
        for index, note in enumerate(notes, 1):
            self.text(x + w / 2, top + index * 16, note, size=11.5, colour=QUIET)

    def arrow(self, *points: tuple[float, float], label: str = "", side: float = -6, dashed: bool = False) -> None:
        """A line through points with a head at its end; the label stands beside its first part."""
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.4"{dash} marker-end="url(#head)"/>'
        )
        if label:
            (x1, y1), (x2, y2) = points[:2]
            if y1 == y2:
                self.text((x1 + x2) / 2, y1 + side, label, size=11, colour=QUIET)
            else:
                self.text(x1 + 6, (y1 + y2) / 2 + 4, label, size=11, colour=QUIET, at="start")

    def cells(
        self,
        x: float,
        y: float,
        side: float,
        rows: int,
        columns: int,
        colour: Callable[[int, int], str],
        gap: float = 0,
    ) -> None:
        """A grid of coloured cells; without a gap, one of the background's colour is not drawn."""
        if not gap:
            self.rect(x, y, columns * side, rows * side, EMPTY)
        self._parts.append('<g shape-rendering="crispEdges">')
        for row in range(rows):
            for column in range(columns):
                fill = colour(row, column)
                if gap or fill != EMPTY:
                    self.rect(x + column * side, y + row * side, side - gap, side - gap, fill)
        self._parts.append("</g>")

    def svg(self) -> str:
        """The drawing as a file's text."""
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0.8 L7.5 4 L0 7.2 z" fill="{INK}"/></marker>'
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" role="img" '
                'font-family="ui-sans-serif, system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif">',
                f"<title>{escape(self.title)}</title>",
                f"<defs>{head}</defs>",
                f'<rect width="{self.width}" height="{self.height}" rx="12" fill="{PAPER}"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def grey(value: float) -> str:
    """0 is dark, 1 is light."""
    level = round(30 + 220 * min(1.0, max(0.0, value)))
    return f"#{level:02x}{level:02x}{min(255, level + 8):02x}"


def inside(x: float, y: float) -> bool:
    """Whether a place of the unit square lies in the object of these drawings: a round thing with a tail."""
    body = (x - 0.46) ** 2 / 0.075 + (y - 0.56) ** 2 / 0.05 < 1
    head = (x - 0.72) ** 2 + (y - 0.34) ** 2 < 0.026
    tail = abs(y - (0.62 - 1.1 * (0.2 - x))) < 0.045 and 0.06 < x < 0.3
    return body or head or tail


def mask_colour(rows: int, columns: int) -> Callable[[int, int], str]:
    """Cells that the object covers, the more the stronger."""

    def colour(row: int, column: int) -> str:
        places = [(column + (i + 0.5) / 4, row + (j + 0.5) / 4) for i in range(4) for j in range(4)]
        share = sum(inside(x / columns, y / rows) for x, y in places) / 16
        red, green, blue = (round(a + (b - a) * share) for a, b in ((226, 230), (228, 159), (238, 0)))
        return f"#{red:02x}{green:02x}{blue:02x}"

    return colour


def network() -> Drawing:
    """All of it, from frames and a sentence to masks."""
    d = Drawing(1040, 560, "SgMg: from frames and a sentence to a mask in every frame")
    d.rect(20, 24, 350, 372, "#f1f5fd", radius=12)
    d.text(36, 46, "once a clip", size=12, colour=EDGES[VISUAL], bold=True, at="start")
    d.rect(390, 24, 630, 512, "#f6f3fd", radius=12)
    d.text(406, 46, "once an expression", size=12, colour=EDGES[BOTH], bold=True, at="start")

    for shift in (16, 8, 0):  # the frames of a clip
        d.rect(44 + shift, 82 - shift + 16, 92, 62, "#fff", EDGES["#fff"], radius=4)
    d.cells(48, 102, 7, 8, 12, mask_colour(8, 12))
    d.text(98, 184, "T frames", size=12)
    d.arrow((154, 128), (190, 128))
    d.box(192, 82, 158, 92, "Visual encoder", "Video Swin, or any", "image encoder of timm")
    d.arrow((271, 174), (271, 204))
    for stride, x, w in ((4, 52, 46), (8, 134, 36), (16, 204, 28), (32, 260, 20)):
        d.rect(x, 206 + (46 - w) / 2, w * 1.4, w, VISUAL, EDGES[VISUAL], radius=3)
        d.text(x + w * 0.7, 266, str(stride), size=11.5, colour=QUIET)
    d.text(110, 290, "four stages, by stride", size=12, colour=QUIET)
    d.arrow((271, 272), (271, 302))
    d.box(192, 304, 158, 72, "Spectral filter", "on levels at strides", "8, 16, 32 and 64", fill=BOTH)
    d.arrow((350, 340), (410, 340), (410, 128), (434, 128))

    d.rect(44, 462, 150, 40, "#fff", EDGES["#fff"], radius=8)
    d.text(119, 487, "“the dog on the left”", size=12.5)
    d.arrow((194, 482), (222, 482))
    d.box(224, 454, 126, 56, "Text encoder", "RoBERTa, MiniLM", fill=WORDS)
    d.arrow((350, 470), (500, 470), (500, 178))
    d.text(425, 464, "words", size=11.5, colour=QUIET)
    d.arrow((350, 496), (690, 496), (690, 288))
    d.text(600, 490, "sentence", size=11.5, colour=QUIET)

    d.box(436, 82, 128, 94, "Fusion", "pixels × words,", "spectral filter", fill=BOTH)
    d.arrow((564, 128), (606, 128))
    d.box(608, 86, 110, 84, "Encoder", "deformable", "attention", fill=BOTH)
    d.box(624, 222, 132, 64, "Decoder", "N queries a frame", fill=BOTH)
    d.arrow((690, 170), (690, 220))
    d.arrow((756, 254), (806, 254))
    d.box(808, 218, 112, 72, "Heads", "score, box,", "kernels", fill=BOTH)
    d.arrow((718, 128), (996, 128), (996, 340), (932, 340))
    d.text(856, 121, "features that masks are drawn on", size=11.5, colour=QUIET)
    d.arrow((864, 290), (864, 314))
    d.box(798, 316, 132, 50, "CPK", "draws patch masks", fill=MASKS)
    d.arrow((864, 366), (864, 402))
    d.text(872, 388, "of the best query", size=11, colour=QUIET, at="start")
    d.box(798, 404, 132, 50, "MSO", "sharpens them", fill=MASKS)
    d.arrow((84, 300), (84, 429), (796, 429))
    d.text(508, 422, "stages at strides 4 and 8", size=11.5, colour=QUIET, at="start")
    d.arrow((864, 454), (864, 466))
    d.rect(818, 468, 92, 62, "#fff", EDGES["#fff"], radius=4)
    d.cells(822, 471, 3.5, 16, 24, mask_colour(16, 24))
    d.text(808, 514, "T masks", size=12, at="end")
    return d


def fusion() -> Drawing:
    """A spectral filter, and where the two of a level stand."""
    d = Drawing(1040, 384, "A spectral filter: gate the spectrum, mix it, add what comes back")
    d.text(32, 36, "Spectral fusion of one level", size=15, bold=True, at="start")
    d.box(32, 58, 120, 44, "features")
    d.arrow((152, 80), (186, 80))
    d.box(188, 58, 150, 44, "spectral filter", fill=BOTH)
    d.arrow((338, 80), (372, 80))
    d.box(374, 58, 190, 44, "pixels read the words", fill=WORDS)
    d.arrow((564, 80), (612, 80))
    d.text(588, 72, "×", size=16, bold=True)
    d.box(614, 58, 150, 44, "spectral filter", fill=BOTH)
    d.arrow((764, 80), (798, 80))
    d.box(800, 58, 150, 44, "to the encoder")
    d.arrow((356, 80), (356, 118), (588, 118), (588, 88))
    d.text(472, 134, "what is read multiplies the features", size=11.5, colour=QUIET)

    d.text(32, 178, "Inside a spectral filter", size=15, bold=True, at="start")
    side, n = 7, 15

    def spectrum(gate: float) -> Callable[[int, int], str]:
        def colour(row: int, column: int) -> str:
            y, x = row - n // 2, column - n // 2
            ripple = 0.5 + 0.5 * math.cos(1.9 * x + 0.7 * y) * math.cos(1.3 * y - 0.4 * x)
            value = math.exp(-math.hypot(x, y) / 4.2) * 0.75 + 0.32 * ripple
            return grey(value * (1 - gate * bump(row, column)))

        return colour

    def bump(row: int, column: int) -> float:
        y, x = abs(row - n // 2) - n // 2, abs(column - n // 2) - n // 2
        return math.exp(-(x * x + y * y) / (2 * 4.2**2))

    y = 214
    d.cells(32, y, side, n, n, mask_colour(n, n))
    d.text(84, y + 126, "features, (h, w)", size=12)
    d.arrow((144, y + 52), (196, y + 52), label="FFT")
    d.cells(200, y, side, n, n, spectrum(0))
    d.text(252, y + 126, "spectrum", size=12)
    d.text(252, y + 142, "low frequencies inside", size=10.5, colour=QUIET)
    d.text(330, y + 58, "×", size=20, bold=True)
    d.cells(352, y, side, n, n, lambda row, column: grey(1 - 0.85 * bump(row, column)))
    d.text(404, y + 126, "1 − a · Gaussian", size=12)
    d.text(404, y + 142, "a: from the features", size=10.5, colour=QUIET)
    d.text(482, y + 58, "=", size=20, bold=True)
    d.cells(504, y, side, n, n, spectrum(0.85))
    d.text(556, y + 126, "gated spectrum", size=12)
    d.arrow((612, y + 52), (640, y + 52))
    d.box(642, y + 10, 136, 84, "two 1 × 1 layers", "real and imaginary", "parts, 2d channels", fill=BOTH)
    d.arrow((778, y + 52), (834, y + 52), label="FFT⁻¹")
    d.text(848, y + 59, "+", size=20, bold=True)
    d.arrow((84, y - 4), (84, y - 16), (848, y - 16), (848, y + 38))
    d.text(466, y - 22, "what was there stays", size=11.5, colour=QUIET)
    d.arrow((862, y + 52), (890, y + 52))
    d.cells(896, y, side, n, n, mask_colour(n, n))
    d.text(948, y + 126, "one cell has seen", size=12)
    d.text(948, y + 142, "the whole map", size=12)
    return d


def patches() -> Drawing:
    """CPK: a query's kernels draw a patch of 4 x 4 in every cell."""
    d = Drawing(1040, 330, "Conditional patch kernels: every cell at stride 8 holds a patch of 4 × 4 pixels")
    d.box(28, 40, 96, 50, "query", fill=BOTH)
    d.arrow((124, 65), (160, 65))
    d.box(162, 40, 96, 50, "MLP", fill=BOTH)
    d.arrow((258, 65), (366, 65), (366, 150))
    d.text(376, 112, "kernels of two layers", size=11.5, colour=QUIET, at="start")
    rows, columns, side = 6, 8, 19
    x, y = 28, 152
    d.cells(x, y, side, rows, columns, lambda r, c: VISUAL, gap=1)
    d.text(x + 76, y + 136, "features at stride 8", size=12)
    d.text(x + 76, y + 153, "and place, seen from the query", size=11, colour=QUIET)
    d.arrow((186, y + 57), (288, y + 57), label="point by point")
    d.box(290, y, 150, 114, "d + 2 → 16 → 16", "the same two layers", "in every cell", fill=MASKS)
    d.arrow((440, y + 57), (506, y + 57), label="16 a cell")
    x = 510
    d.cells(x, y, side, rows, columns, mask_colour(rows, columns), gap=1)
    chosen = (1, 5)
    d.rect(x + chosen[1] * side - 1, y + chosen[0] * side - 1, side + 1, side + 1, "none", INK)
    d.text(x + 76, y + 136, "patch masks at stride 8", size=12)
    zoom = 20
    colour = mask_colour(rows * 4, columns * 4)
    zx, zy = 540, 30
    d.cells(zx, zy, zoom, 4, 4, lambda r, c: colour(chosen[0] * 4 + r, chosen[1] * 4 + c), gap=1)
    d.arrow((x + chosen[1] * side + 9, y + chosen[0] * side - 2), (zx + 44, zy + 86), dashed=True)
    d.text(zx + 92, zy + 36, "one cell:", size=11.5, colour=QUIET, at="start")
    d.text(zx + 92, zy + 52, "a patch of 4 × 4", size=11.5, colour=QUIET, at="start")
    d.arrow((668, y + 57), (768, y + 57), label="spread out")
    d.cells(772, y - 10, 5.6, rows * 4, columns * 4, colour)
    d.text(862, y + 144, "mask at stride 2", size=12)
    return d


def optimiser() -> Drawing:
    """MSO: patch masks and early stages of the visual encoder."""
    d = Drawing(1040, 262, "The optimiser: patch masks meet the stages that still hold edges")
    y = 120
    d.cells(28, y, 12, 6, 8, mask_colour(6, 8), gap=1)
    d.text(76, y + 92, "patch masks", size=12)
    d.text(76, y + 108, "16 a cell, stride 8", size=11, colour=QUIET)
    d.arrow((126, y + 36), (176, y + 36))
    d.box(178, y, 140, 72, "two 3 × 3 layers", "added to what came in", fill=MASKS)
    d.box(178, 36, 140, 44, "stage at stride 8")
    d.arrow((248, 80), (248, y - 2))
    d.arrow((318, y + 36), (420, y + 36), label="resize to stride 4")
    d.cells(424, y - 12, 6, 16, 22, mask_colour(16, 22))
    d.text(490, y + 108, "16 a cell, stride 4", size=11, colour=QUIET)
    d.arrow((558, y + 36), (606, y + 36))
    d.box(608, y, 140, 72, "two 3 × 3 layers", "added to what came in", fill=MASKS)
    d.box(608, 36, 140, 44, "stage at stride 4")
    d.arrow((678, 80), (678, y - 2))
    d.arrow((748, y + 36), (832, y + 36), label="spread out")
    d.cells(836, y - 28, 3, 42, 56, mask_colour(42, 56))
    d.text(920, y + 118, "mask, every pixel", size=12)
    return d


def clips() -> Drawing:
    """A long video, clip by clip."""
    d = Drawing(1040, 300, "A long video is decoded, segmented and forgotten clip by clip")
    for clip in range(3):
        x = 40 + clip * 330
        d.rect(x, 44, 300, 66, "#f1f5fd", EDGES[VISUAL], radius=8)
        d.text(x + 150, 36, f"clip {clip + 1}: 36 frames", size=12.5, bold=True)
        for frame in range(6):
            d.rect(x + 12 + frame * 47, 58, 41, 38, "#fff", EDGES["#fff"], radius=3)
            d.cells(x + 16 + frame * 47, 62, 3, 10, 11, mask_colour(10, 11))
        d.arrow((x + 150, 110), (x + 150, 136))
        for query in range(5):
            best = query == (2, 2, 4)[clip]
            w = (24, 36, 92, 30, 44)[query] if clip < 2 else (40, 22, 34, 28, 88)[query]
            d.rect(x + 96, 144 + query * 15, w, 10, OBJECT if best else "#d6d7e4", radius=2)
            d.text(x + 88, 153 + query * 15, f"query {query + 1}", size=11, colour=INK if best else QUIET, at="end")
        d.text(x + 150, 238, "highest mean score in this clip", size=11.5, colour=QUIET)
        d.arrow((x + 150, 246), (x + 150, 268))
        d.text(x + 150, 286, "its masks", size=12.5)
    return d


DRAWINGS = {
    "network": network,
    "spectral-fusion": fusion,
    "patch-kernels": patches,
    "mask-optimiser": optimiser,
    "clips": clips,
}


def main() -> None:
    """Write all drawings."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        (folder / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
