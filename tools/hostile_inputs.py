"""Hostile inputs, made from a seed: files and sentences that break programs, lie to them or attack them.

A `Case` makes its inputs in a folder of its own and says which command is given them. `tools/check_hostile.py` runs
all of them; the tests run some.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import av
import numpy as np
import onnx
import torch
from PIL import Image
from safetensors.torch import load_file

from sgmg.data.synthetic import SyntheticConfig
from sgmg.data.synthetic.writer import write_videos
from sgmg.export import export_onnx
from sgmg.model import SgMg, SgMgConfig

Make = Callable[[Path, random.Random], list[str]]
Outcome = Literal["refused", "done", "either"]


@dataclass(frozen=True)
class Case:
    """One input and the command that gets it.

    Attributes:
        family: of inputs that are alike.
        name: of this one, unique.
        make: writes the inputs into a folder and gives the command's arguments; ``OUT`` stands for the output,
            ``MODEL`` for a small model folder.
        outcome: what is right: one sentence and exit code 2, a result, or either of them.
        quick: whether the tests run it each time.
    """

    family: str
    name: str
    make: Make
    outcome: Outcome = "either"
    quick: bool = False


class Payload:
    """A pickle that would write a file, if anything executed it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.canary}'",))


CANARY = "executed"
"""Name of the file that executed code would leave in the folder of a case."""


def segment(video: str | Path, *expressions: str) -> list[str]:
    """`sgmg segment` of something, by the small model."""
    return ["segment", str(video), *(expressions or ("the dog",)), "-o", "OUT", "--model", "MODEL", "--quiet"]


def small_model(folder: Path) -> None:
    """A model folder with every part of the network and random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "dog", "ball"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    text = {"model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    config = SgMgConfig(
        visual_encoder="test_efficientnet",
        text_encoder=text,
        hidden_size=32,
        queries=3,
        heads=4,
        points=2,
        encoder_layers=1,
        decoder_layers=2,
        feedforward=64,
        short_side=72,
        long_side=128,
    )
    torch.manual_seed(0)
    SgMg(config, fast).eval().save_pretrained(folder)


# --- videos ------------------------------------------------------------------------------------------------

CONTAINERS = {"mp4": "libx264", "webm": "libvpx-vp9", "mkv": "libx264", "avi": "mpeg4", "ts": "mpeg2video"}


def video(path: Path, codec: str = "libx264", frames: int = 16, size: tuple[int, int] = (48, 64)) -> Path:
    """Write a square that moves over noise."""
    noise = np.random.default_rng(0).integers(0, 90, (*size, 3), dtype=np.uint8)
    # The same bytes in every run: no random ids, no times of today, no threads that finish as they like.
    options = {"threads": "1"} | ({"x264-params": "mbtree=0"} if codec == "libx264" else {})
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as file:
        stream: Any = file.add_stream(codec, rate=Fraction(12), options=options)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            image = noise.copy()
            image[size[0] // 3 : size[0] // 2, 2 * index : 2 * index + 12] = 230
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


def animation(path: Path, frames: int = 8) -> Path:
    """Write a GIF."""
    images = [Image.new("RGB", (64, 48), (20 * index, 80, 160)) for index in range(frames)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=80)
    return path


def truncated(container: str, tenth: int, folder: Path, _: random.Random) -> list[str]:
    """The first tenths of a file."""
    path = _base(container, folder)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenth // 10])
    return segment(path)


def flipped(container: str, bits: int, folder: Path, rng: random.Random) -> list[str]:
    """Bits changed anywhere in a file."""
    path = _base(container, folder)
    content = bytearray(path.read_bytes())
    for _ in range(bits):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return segment(path)


def _base(container: str, folder: Path) -> Path:
    path = folder / f"video.{container}"
    return animation(path) if container == "gif" else video(path, CONTAINERS[container])


def box_lies(box: bytes, offset: int, value: bytes, folder: Path, _: random.Random) -> list[str]:
    """An MP4 whose box holds other bytes at an offset behind its name."""
    path = video(folder / "video.mp4")
    content = bytearray(path.read_bytes())
    place = content.index(box) + len(box) + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)
    return segment(path)


def bytes_as(name: str, content: bytes, folder: Path, _: random.Random) -> list[str]:
    """A file of these bytes."""
    (folder / name).write_bytes(content)
    return segment(folder / name)


def renamed(container: str, suffix: str, folder: Path, _: random.Random) -> list[str]:
    """A video whose name says something else."""
    path = _base(container, folder)
    return segment(path.rename(folder / f"renamed{suffix}"))


def png_bomb(width: int, height: int, folder: Path, _: random.Random) -> list[str]:
    """A small PNG that says it is very large, and is."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    row = b"\0" * (width // 8 + 2)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return bytes_as("bomb.png", content, folder, _)


def gif_bomb(frames: int, folder: Path, _: random.Random) -> list[str]:
    """A GIF of many frames that each claim 16 000 x 16 000 pixels."""
    path = animation(folder / "bomb.gif", frames)
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 16_000, 16_000)
    path.write_bytes(content)
    return segment(path)


def tiny(width: int, height: int, folder: Path, _: random.Random) -> list[str]:
    """One image of very few, or very oblong, pixels."""
    Image.new("RGB", (width, height), (200, 30, 30)).save(folder / "tiny.png")
    return segment(folder / "tiny.png")


def two_sizes(folder: Path, _: random.Random) -> list[str]:
    """A stream whose pictures change their size in the middle."""
    first = video(folder / "a.ts", "mpeg2video", size=(48, 64))
    second = video(folder / "b.ts", "mpeg2video", size=(96, 128))
    (folder / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    return segment(folder / "both.ts")


def images_of_two_sizes(folder: Path, _: random.Random) -> list[str]:
    """A folder of images that do not fit together."""
    for index, size in enumerate([(64, 48), (64, 48), (32, 24)]):
        Image.new("RGB", size).save(folder / f"{index}.png")
    return segment(folder)


def images_one_broken(folder: Path, _: random.Random) -> list[str]:
    """A folder of images, one of them cut off."""
    for index in range(3):
        Image.new("RGB", (64, 48), (index * 40, 0, 0)).save(folder / f"{index}.png")
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[: len(content) // 2])
    return segment(folder)


def links_in_a_circle(folder: Path, _: random.Random) -> list[str]:
    """A link that leads to itself."""
    (folder / "a.mp4").symlink_to(folder / "b.mp4")
    (folder / "b.mp4").symlink_to(folder / "a.mp4")
    return segment(folder / "a.mp4")


def dangling(folder: Path, _: random.Random) -> list[str]:
    """A folder of images, one of them a link to nothing."""
    Image.new("RGB", (64, 48)).save(folder / "0.png")
    (folder / "1.png").symlink_to(folder / "nowhere.png")
    return segment(folder)


def pipe(folder: Path, _: random.Random) -> list[str]:
    """A named pipe into which nobody writes."""
    os.mkfifo(folder / "video.mp4")
    return segment(folder / "video.mp4")


def playlist(name: str, text: str, folder: Path, _: random.Random) -> list[str]:
    """A text that tells FFmpeg to open other files."""
    video(folder / "secret.ts", "mpeg2video")
    (folder / name).write_text(text.format(folder=folder))
    return segment(folder / name)


def videos() -> Iterator[Case]:
    """Damaged, lying and strange videos."""
    for container in (*CONTAINERS, "gif"):
        for tenth in range(10):
            yield Case(
                "truncated video",
                f"{container} cut to {tenth}/10",
                partial(truncated, container, tenth),
                quick=container == "mp4" and tenth in (0, 5, 9),
            )
        for round_ in range(6):
            bits = 4**round_
            yield Case(
                "bits flipped",
                f"{container}, {bits} bits",
                partial(flipped, container, bits),
                quick=container == "webm" and round_ in (2, 5),
            )
    most = b"\xff" * 4
    for name, box, offset, value in (
        ("no height", b"tkhd", 80, b"\0" * 4),
        ("65535 pixels wide in the track header", b"tkhd", 76, most),
        ("a rotation that is none", b"tkhd", 40, b"\x7f\xff\xff\xff" * 9),
        ("a rotation of zeros", b"tkhd", 40, b"\0" * 36),
        ("16000 x 16000 in the sample entry", b"avc1", 24, struct.pack(">HH", 16_000, 16_000)),
        ("no duration", b"mvhd", 16, b"\0" * 4),
        ("endless", b"mvhd", 16, most),
        ("no time scale", b"mvhd", 12, b"\0" * 4),
        ("no time scale in the media header", b"mdhd", 12, b"\0" * 4),
        ("four billion frames", b"stsz", 8, most),
        ("one frame too many", b"stsz", 8, struct.pack(">I", 17)),
        ("frames of four gigabytes", b"stsz", 12, most),
        ("four billion durations", b"stts", 4, most),
        ("durations of years", b"stts", 12, most),
        ("chunks beyond the end", b"stco", 8, most),
        ("no brand", b"ftyp", 0, b"\0" * 8),
        ("a box longer than the file", b"moov", -8, most),
        ("a box of no length", b"moov", -8, b"\0" * 4),
        ("codec settings of zeros", b"avcC", 0, b"\0" * 24),
    ):
        yield Case("lying header", f"mp4: {name}", partial(box_lies, box, offset, value), quick=offset == 8)
    noise = random.Random(1).randbytes(1_000_000)
    for name, file, content in (
        ("empty", "video.mp4", b""),
        ("one byte", "video.mp4", b"\0"),
        ("zeros", "video.mp4", b"\0" * 1_000_000),
        ("noise", "video.mp4", noise),
        ("noise as a picture", "picture.png", noise[:10_000]),
        ("a program", "video.mp4", b"\x7fELF" + noise[:5000]),
        ("a page", "video.webm", b"<!doctype html><script>alert(1)</script>"),
        ("text", "video.txt", b"the quick brown fox\n" * 500),
        ("an archive", "video.mkv", _zip({"../../climbed": b"x"})),
        ("a pickle", "video.avi", pickle.dumps({"a": 1})),
        ("JSON", "picture.jpg", b'{"videos": {}}'),
        (
            "SVG that reads a file",
            "picture.png",
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        ),
    ):
        yield Case("wrong content", name, partial(bytes_as, file, content), "refused", quick=True)
    for container, suffix in (("mp4", ".png"), ("mp4", ".txt"), ("gif", ".mp4"), ("webm", ".jpg"), ("avi", "")):
        yield Case("wrong extension", f"{container} named '{suffix}'", partial(renamed, container, suffix))
    for width, height in ((16_384, 16_384), (65_535, 20_000), (500_000, 8)):
        yield Case(
            "decompression bomb", f"PNG of {width} x {height}", partial(png_bomb, width, height), quick=height == 8
        )
    yield Case("decompression bomb", "GIF of 16000 x 16000", partial(gif_bomb, 4))
    yield Case("decompression bomb", "GIF of 16000 x 16000, 400 frames", partial(gif_bomb, 400))
    for width, height in ((1, 1), (2, 2), (1, 3000), (3000, 1), (17, 13)):
        yield Case("few pixels", f"{width} x {height}", partial(tiny, width, height), "done", quick=width == 1)
    yield Case("sizes differ", "a stream", two_sizes)
    yield Case("sizes differ", "a folder", images_of_two_sizes, "refused", quick=True)
    yield Case("damaged folder", "one image cut off", images_one_broken, "done", quick=True)
    yield Case("damaged folder", "a link to nothing", dangling)
    yield Case("not a file", "links in a circle", links_in_a_circle, "refused", quick=True)
    yield Case("not a file", "a named pipe", pipe, "refused", quick=True)
    yield Case("not a file", "a device", lambda folder, _: segment("/dev/zero"), "refused", quick=True)
    yield Case("not a file", "nothing", lambda folder, _: segment(folder / "nothing.mp4"), "refused", quick=True)
    yield Case("not a file", "an empty folder", lambda folder, _: segment(folder), "refused", quick=True)
    yield Case("not a file", "a name of 5000 letters", lambda folder, _: segment("a" * 5000), "refused", quick=True)
    for name, file, text in (
        ("HLS", "list.m3u8", "#EXTM3U\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"),
        ("HLS as mp4", "list.mp4", "#EXTM3U\n#EXTINF:1,\nfile://{folder}/secret.ts\n#EXT-X-ENDLIST\n"),
        ("HLS to the net", "list.m3u8", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("concat", "list.txt", "ffconcat version 1.0\nfile secret.ts\n"),
        ("SDP", "call.sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
    ):
        yield Case("names other files", name, partial(playlist, file, text), "refused", quick=True)


def _zip(content: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return archive.getvalue()


# --- expressions -------------------------------------------------------------------------------------------

SENTENCES: dict[str, tuple[str, Outcome]] = {
    "nothing": ("", "refused"),
    "spaces": (" \t\n ", "refused"),
    "NUL": ("the\0dog", "either"),
    "only NUL": ("\0", "either"),
    "a path": ("../../../etc/passwd", "done"),
    "an absolute path": ("/etc/passwd", "done"),
    "dots": ("..", "done"),
    "one dot": (".", "done"),
    "a device of Windows": ("CON", "done"),
    "slashes": ("a/b\\c:d*e?f<g>h|i", "done"),
    "a megabyte": ("dog " * 262_144, "done"),
    "a megabyte of one word": ("d" * 1_048_576, "done"),
    "a line break": ("the\ndog\r\n", "done"),
    "control codes": ("\x1b[31mdog\x1b[2J\x07", "done"),
    "a lone surrogate": ("dog \ud800", "either"),
    "emoji": ("🐕‍🦺 👩🏽‍🚀", "done"),
    "right to left": ("הכלב \u202e dog \u2066", "done"),
    "Arabic": ("الكلب", "done"),
    "Chinese": ("那只狗", "done"),
    "Thai": ("สุนัข", "done"),
    "Hindi": ("कुत्ता", "done"),
    "Amharic": ("ውሻ", "done"),
    "marks without end": ("e" + "\u0301" * 5000, "done"),
    "invisible": ("\u200b\u200d\ufeff", "either"),
    "markup of the terminal": ("[bold red]dog[/bold red] [/]", "done"),
    "markup of pages": ("<script>alert(1)</script>", "done"),
    "a format": ("%s %n {0} {folder} ${HOME} `id`", "done"),
    "special tokens": ("[CLS] [SEP] [PAD] [MASK]", "done"),
    "not a character": ("\uffff \U0010ffff", "either"),
}


def sentence(text: str, folder: Path, _: random.Random) -> list[str]:
    """A short clip and a sentence."""
    return segment(video(folder / "video.mp4", frames=2), text)


def many_sentences(folder: Path, _: random.Random) -> list[str]:
    """The same sentence thirty times: their folders must not meet."""
    return segment(video(folder / "video.mp4", frames=2), *["the dog", "The Dog", "the/dog"] * 10)


def expressions() -> Iterator[Case]:
    """Sentences that no one says."""
    for name, (text, outcome) in SENTENCES.items():
        yield Case("sentence", name, partial(sentence, text), outcome, quick=len(text) < 10_000)
    yield Case("sentence", "thirty alike", many_sentences, "done")


# --- models and checkpoints --------------------------------------------------------------------------------


def broken_model(change: Callable[[Path, Path], None], folder: Path, _: random.Random) -> list[str]:
    """A copy of the small model with something wrong in it."""
    small_model(folder / "model")
    change(folder / "model", folder / CANARY)
    command = segment(video(folder / "video.mp4", frames=2))
    command[command.index("MODEL")] = str(folder / "model")
    return command


def _values(name: str, **values: Any) -> Callable[[Path, Path], None]:
    def change(model: Path, _: Path) -> None:
        path = model / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


_config = partial(_values, "config.json")


def _write(name: str, content: bytes) -> Callable[[Path, Path], None]:
    return lambda model, _: (model / name).write_bytes(content) and None


def _header(lie: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], None]:
    def change(model: Path, _: Path) -> None:
        path = model / "model.safetensors"
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        lie(header)
        packed = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length :])

    return change


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return header[next(name for name in header if name != "__metadata__")]


def _pickled_weights(model: Path, canary: Path) -> None:
    weights = load_file(model / "model.safetensors")
    torch.save({**weights, "payload": Payload(canary)}, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


def _tokenizer_with_code(model: Path, canary: Path) -> None:
    (model / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil:\n    pass\n")
    path = model / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {
        "auto_map": {"AutoTokenizer": ["evil.Evil", None]},
        "tokenizer_class": "Evil",
    }
    path.write_text(json.dumps(settings))


def _text_encoder_with_code(model: Path, canary: Path) -> None:
    (model / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil:\n    pass\n")
    path = model / "config.json"
    config = json.loads(path.read_text())
    config["text_encoder"] |= {"auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}, "model_type": "evil"}
    path.write_text(json.dumps(config))


def models() -> Iterator[Case]:
    """Model folders that are incomplete, lie or carry code."""
    changes: dict[str, Callable[[Path, Path], None]] = {
        "no config": lambda model, _: (model / "config.json").unlink(),
        "no weights": lambda model, _: (model / "model.safetensors").unlink(),
        "no tokenizer": lambda model, _: (model / "tokenizer.json").unlink(),
        "empty config": _write("config.json", b""),
        "config of another kind": _write("config.json", b"[1, 2, 3]"),
        "config nested without end": _write("config.json", b"[" * 100_000),
        "config that is no text": _write("config.json", bytes(range(256))),
        "hidden size of a trillion": _config(hidden_size=10**12),
        "negative hidden size": _config(hidden_size=-8),
        "hidden size in words": _config(hidden_size="large"),
        "a million layers": _config(encoder_layers=10**6),
        "no heads": _config(heads=0),
        "a key that nobody knows": _config(execute="rm -rf /"),
        "an encoder that is a path": _config(visual_encoder="../../etc/passwd"),
        "an encoder from the net": _config(visual_encoder="hf-hub:somebody/something"),
        "no strides": _config(strides=[]),
        "vocabulary of a trillion": lambda model, _: _config(
            text_encoder=json.loads((model / "config.json").read_text())["text_encoder"] | {"vocab_size": 10**12}
        )(model, _),
        "frames of a million pixels": _config(short_side=10**6, long_side=10**6),
        "empty weights": _write("model.safetensors", b""),
        "weights of noise": _write("model.safetensors", random.Random(2).randbytes(10_000)),
        "header of an exabyte": _write("model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
        "shapes that lie": _header(lambda header: _first(header).update(shape=[10**6, 10**6])),
        "offsets beyond the end": _header(lambda header: _first(header).update(data_offsets=[0, 2**50])),
        "offsets that run backwards": _header(lambda header: _first(header).update(data_offsets=[400, 0])),
        "another type": _header(lambda header: _first(header).update(dtype="F8_E4M3")),
        "a weight too few": _header(lambda header: header.pop(next(n for n in header if n != "__metadata__")) and None),
        "tokenizer of noise": _write("tokenizer.json", random.Random(3).randbytes(2000)),
        "tokenizer of another kind": _write("tokenizer.json", b'{"version": "1.0", "model": {"type": "BPE"}}'),
        "pickled weights": _pickled_weights,
        "tokenizer that carries code": _tokenizer_with_code,
        "text encoder that carries code": _text_encoder_with_code,
    }
    fast = {
        "no config",
        "config nested without end",
        "header of an exabyte",
        "pickled weights",
        "hidden size of a trillion",
    }
    code = {"tokenizer that carries code", "text encoder that carries code"}
    for name, change in changes.items():
        yield Case("model folder", name, partial(broken_model, change), quick=name in fast | code)


# --- exported models ---------------------------------------------------------------------------------------


@cache
def _exported() -> TemporaryDirectory[str]:
    """The small model as ONNX graphs; gone with this process."""
    folder = TemporaryDirectory(prefix="sgmg-hostile-")
    small_model(Path(folder.name) / "model")
    (Path(folder.name) / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's exporter
        export_onnx(SgMg.from_pretrained(Path(folder.name) / "model"), Path(folder.name) / "onnx")
    return folder


def broken_export(change: Callable[[Path, Path], None], folder: Path, _: random.Random) -> list[str]:
    """A copy of the exported small model with something wrong in it."""
    shutil.copytree(Path(_exported().name) / "onnx", folder / "model")
    change(folder / "model", folder / CANARY)
    command = segment(video(folder / "video.mp4", frames=2))
    command[command.index("MODEL")] = str(folder / "model")
    return command


def _graph(lie: Callable[[onnx.ModelProto], object]) -> Callable[[Path, Path], None]:
    def change(model: Path, _: Path) -> None:
        path = model / "encoder.onnx"
        graph = onnx.load(path)
        lie(graph)
        path.write_bytes(graph.SerializeToString())

    return change


def _bytes_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    return lambda model, _: (model / name).write_bytes(change((model / name).read_bytes())) and None


def _flip(seed: int, content: bytes) -> bytes:
    rng, changed = random.Random(seed), bytearray(content)
    for _ in range(20):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _exchanged(model: Path, _: Path) -> None:
    aside = (model / "encoder.onnx").rename(model / "aside")
    (model / "decoder.onnx").rename(model / "encoder.onnx")
    aside.rename(model / "decoder.onnx")


def _weights_elsewhere(place: str, graph: onnx.ModelProto) -> None:
    weight = max(graph.graph.initializer, key=lambda weight: len(weight.raw_data))
    onnx.external_data_helper.set_external_data(weight, place, length=len(weight.raw_data))
    weight.ClearField("raw_data")


def _operator(graph: onnx.ModelProto, kind: str, **attributes: Any) -> None:
    """The last node's output comes from an operator that takes nothing."""
    last = graph.graph.node[-1]
    graph.graph.node[-1].CopyFrom(onnx.helper.make_node(kind, [], list(last.output), **attributes))


def _huge(graph: onnx.ModelProto) -> None:
    """A tensor of four terabytes."""
    sizes = onnx.helper.make_tensor("sizes", onnx.TensorProto.INT64, [4], [10**3, 10**3, 10**3, 10**3])
    graph.graph.initializer.append(sizes)
    last = graph.graph.node[-1]
    last.CopyFrom(onnx.helper.make_node("ConstantOfShape", ["sizes"], list(last.output)))


def exported_models() -> Iterator[Case]:
    """Folders of exported models that are incomplete, lie or want what is not theirs."""
    changes: dict[str, Callable[[Path, Path], None]] = {
        "no encoder": lambda model, _: (model / "encoder.onnx").unlink(),
        "no tokenizer": lambda model, _: (model / "tokenizer.json").unlink(),
        "half an encoder": _bytes_of("encoder.onnx", lambda content: content[: len(content) // 2]),
        "empty decoder": _write("decoder.onnx", b""),
        "a decoder of text": _write("decoder.onnx", b"the dog" * 100),
        "encoder and decoder exchanged": _exchanged,
        **{f"bits flipped, {seed}": _bytes_of("decoder.onnx", partial(_flip, seed)) for seed in range(6)},
        "weights in the system's files": _graph(partial(_weights_elsewhere, "/etc/passwd")),
        "weights above the folder": _graph(partial(_weights_elsewhere, "../../../../etc/passwd")),
        "an operator that nobody knows": _graph(lambda graph: _operator(graph, "Execute", domain="evil")),
        "a tensor of terabytes": _graph(_huge),
        "dimensions that lie": _graph(lambda graph: graph.graph.initializer[0].dims.extend([10**6, 10**6])),
        "no outputs": _graph(lambda graph: graph.graph.ClearField("output")),
        "a list about it": _write("export.json", b"[1, 2]"),
        "of another version": _values("export.json", format=10**9),
        "no word fits": _values("export.json", max_tokens=-1),
        "a quadrillion words": _values("export.json", max_tokens=10**15),
        "a padding in words": _values("export.json", padding_id="[PAD]"),
        "a trillion queries": _config(queries=10**12),
        "config of noise": _write("config.json", random.Random(4).randbytes(1000)),
        "tokenizer of noise": _write("tokenizer.json", random.Random(5).randbytes(1000)),
    }
    quick = {"half an encoder", "weights in the system's files", "a tensor of terabytes", "a list about it"}
    for name, change in changes.items():
        yield Case("exported model", name, partial(broken_export, change), quick=name in quick)


def convert(write: Callable[[Path, Path], None], folder: Path, _: random.Random) -> list[str]:
    """`sgmg convert` of a file."""
    small_model(folder / "model")
    write(folder / "checkpoint.pth", folder / CANARY)
    return ["convert", str(folder / "checkpoint.pth"), "OUT", "--text-encoder", str(folder / "model")]


def _saved(content: Callable[[Path], Any]) -> Callable[[Path, Path], None]:
    return lambda path, canary: torch.save(content(canary), path)


def _protocol_0(path: Path, canary: Path) -> None:
    path.write_bytes(f"cos\nsystem\n(S\"touch '{canary}'\"\ntR.".encode())


def checkpoints() -> Iterator[Case]:
    """Checkpoints that carry code or nothing of use."""
    for name, write in {
        "code beside the weights": _saved(lambda canary: {"model": {}, "args": Payload(canary)}),
        "code as a weight": _saved(lambda canary: {"model": {"backbone.0.body.norm.weight": Payload(canary)}}),
        "code and nothing else": _saved(Payload),
        "a bare pickle that runs code": lambda path, canary: path.write_bytes(pickle.dumps(Payload(canary))) and None,
        "a pickle by hand": _protocol_0,
        "no weights": _saved(lambda _: {"model": {}}),
        "a list": _saved(lambda _: [1, 2, 3]),
        "names that are none": _saved(lambda _: {"model": {7: torch.ones(1), None: torch.ones(1)}}),
        "weights that are none": _saved(lambda _: {"model": {"query_embed.weight": "ones"}}),
        "names of another network": _saved(lambda _: {"model": {"conv1.weight": torch.ones(3)}}),
        "shapes of another network": _saved(lambda _: {"model": {"query_embed.weight": torch.ones(0, 7)}}),
        "an archive that climbs": lambda path, _: path.write_bytes(_zip({"../../climbed": b"x"})) and None,
        "noise": lambda path, _: path.write_bytes(random.Random(4).randbytes(5000)) and None,
        "nothing": lambda path, _: path.write_bytes(b"") and None,
        "a folder": lambda path, _: path.mkdir(),
    }.items():
        yield Case("checkpoint", name, partial(convert, write), "refused", quick="code" in name or "hand" in name)


# --- annotations -------------------------------------------------------------------------------------------


SPLITS = {"ref-youtube-vos": "valid", "mevis": "valid_u", "refcoco": None, "a2d": None}
"""Benchmarks whose annotations are damaged, and the split that is written and scored."""


def damaged_data(benchmark: str, change: Callable[[Path, Path], None], folder: Path, _: random.Random) -> list[str]:
    """`sgmg evaluate` of a benchmark in which something is wrong."""
    data, split = folder / "data", SPLITS[benchmark]
    config = SyntheticConfig(split="valid", size=(48, 64), length=4, objects=(2, 2), absent_share=0.0)
    write_videos(data, config, 1, 4 if split is None else 1, layout=benchmark, split=split)
    change(data, folder / CANARY)
    return ["evaluate", benchmark, str(data), "--model", "MODEL", "--json", "--keep", "OUT"]


def _json(name: str, change: Callable[[Any], Any]) -> Callable[[Path, Path], None]:
    """Change the content of the JSON file that has this name, wherever it lies."""

    def write(data: Path, _: Path) -> None:
        path = next(data.rglob(name))
        content = json.loads(path.read_text())
        changed = change(content)
        path.write_text(json.dumps(content if changed is None else changed))

    return write


def _raw(name: str, content: bytes) -> Callable[[Path, Path], None]:
    return lambda data, _: next(data.rglob(name)).write_bytes(content) and None


def _video(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    def of_all(content: Any) -> None:
        change(next(iter(content["videos"].values())))

    return of_all


def _called(name: str) -> Callable[[Any], Any]:
    return lambda content: {**content, "videos": {name: next(iter(content["videos"].values()))}}


def _rles(**lie: Any) -> Callable[[Any], Any]:
    def change(masks: Any) -> None:
        for rle in next(iter(masks.values())):
            if rle is not None:
                rle.update(lie)

    return change


def annotations() -> Iterator[Case]:
    """Annotations that are broken, lie or lead elsewhere."""
    meta, most = "meta_expressions.json", 2**31 - 1
    changes: dict[str, tuple[str, Callable[[Path, Path], None], Outcome]] = {
        "a video named ..": ("ref-youtube-vos", _json(meta, _called("..")), "refused"),
        "a video with an absolute path": ("ref-youtube-vos", _json(meta, _called("/etc")), "refused"),
        "a video that climbs": ("ref-youtube-vos", _json(meta, _called("../../../etc")), "refused"),
        "a video of Windows": ("ref-youtube-vos", _json(meta, _called("C:\\\\Windows")), "refused"),
        "a video without a name": ("ref-youtube-vos", _json(meta, _called("")), "refused"),
        "a video named NUL": ("ref-youtube-vos", _json(meta, _called("a\0b")), "refused"),
        "a frame that climbs": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(frames=["../../x"]))),
            "refused",
        ),
        "no frames": ("ref-youtube-vos", _json(meta, _video(lambda v: v.update(frames=[]))), "either"),
        "frames that are numbers": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(frames=[1, 2]))),
            "refused",
        ),
        "frames that are missing": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(frames=["99999"]))),
            "refused",
        ),
        "an expression id that climbs": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(expressions={"../x": next(iter(v["expressions"].values()))}))),
            "refused",
        ),
        "expressions in a list": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(expressions=[1]))),
            "refused",
        ),
        "a sentence that is a number": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(expressions={"0": {"exp": 7, "obj_id": "1"}}))),
            "refused",
        ),
        "an object that is a million": (
            "ref-youtube-vos",
            _json(meta, _video(lambda v: v.update(expressions={"0": {"exp": "x", "obj_id": "1000000"}}))),
            "either",
        ),
        "videos in a list": ("ref-youtube-vos", _json(meta, lambda _: {"videos": []}), "refused"),
        "no videos": ("ref-youtube-vos", _json(meta, lambda _: {"videos": {}}), "either"),
        "a list of nothing": ("ref-youtube-vos", _raw(meta, b"null"), "refused"),
        "brackets without end": ("ref-youtube-vos", _raw(meta, b"[" * 200_000), "refused"),
        "a number of a million digits": (
            "ref-youtube-vos",
            _raw(meta, b'{"videos": ' + b"9" * 10**6 + b"}"),
            "refused",
        ),
        "cut off": ("ref-youtube-vos", _raw(meta, b'{"videos": {"a": '), "refused"),
        "no text": ("ref-youtube-vos", _raw(meta, b"\xff\xfe\x00\xd8"), "refused"),
        "a mask cut off": ("ref-youtube-vos", _raw("Annotations/*/00000.png", b"\x89PNG\r\n\x1a\n"), "refused"),
        "a frame that is text": ("ref-youtube-vos", _raw("JPEGImages/*/00000.jpg", b"no picture"), "refused"),
        "RLE of an exabyte": ("mevis", _json("mask_dict.json", _rles(size=[most, most])), "refused"),
        "RLE of no size": ("mevis", _json("mask_dict.json", _rles(size=[0, 0])), "refused"),
        "RLE of negative size": ("mevis", _json("mask_dict.json", _rles(size=[-48, -64])), "refused"),
        "RLE longer than its mask": ("mevis", _json("mask_dict.json", _rles(counts="ooo9" * 5000)), "refused"),
        "RLE of noise": ("mevis", _json("mask_dict.json", _rles(counts="\u00ff\u0001~~~")), "refused"),
        "RLE that is a number": ("mevis", _json("mask_dict.json", _rles(counts=7)), "refused"),
        "masks in a list": ("mevis", _json("mask_dict.json", lambda _: []), "refused"),
        "refs that run code": (
            "refcoco",
            lambda data, canary: next(data.rglob("refs*.p")).write_bytes(pickle.dumps([Payload(canary)])) and None,
            "refused",
        ),
        "refs of a billion": (
            "refcoco",
            _raw("refs*.p", b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x."),
            "refused",
        ),
        "refs cut off": ("refcoco", _raw("refs*.p", b"\x80\x04]"), "refused"),
        "images without a size": (
            "refcoco",
            _json("instances.json", lambda c: [image.pop("height") for image in c["images"]] and c),
            "either",
        ),
        "polygons of one number": (
            "refcoco",
            _json("instances.json", lambda c: [a.update(segmentation=[[1]]) for a in c["annotations"]] and c),
            "either",
        ),
        "an image that climbs": (
            "refcoco",
            _json("instances.json", lambda c: [i.update(file_name="../../../etc/passwd") for i in c["images"]] and c),
            "either",
        ),
        "an HDF5 file of noise": ("a2d", _raw("*.h5", random.Random(5).randbytes(3000)), "either"),
        "a query list of bytes": ("a2d", _raw("a2d_annotation.txt", bytes(range(256))), "either"),
    }
    for name, (benchmark, change, outcome) in changes.items():
        quick = outcome == "refused" and benchmark == "ref-youtube-vos" and "list" not in name
        yield Case("annotation", f"{benchmark}: {name}", partial(damaged_data, benchmark, change), outcome, quick=quick)


def all_cases() -> list[Case]:
    """The whole corpus."""
    return [*videos(), *expressions(), *models(), *exported_models(), *checkpoints(), *annotations()]
