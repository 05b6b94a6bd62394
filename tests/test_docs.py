"""The documentation builds without a warning, asks nobody for anything, and does what it says when it is followed."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from documentation import Block, Reader, blocks_of
from PIL import Image
from published_checkpoint import save_kinetics, save_published
from test_help import ALL
from typer.main import get_command

from sgmg.cli import app
from sgmg.data.synthetic import SyntheticConfig, SyntheticVideos
from sgmg.data.synthetic.writer import write_videos
from sgmg.model import SgMg, SgMgConfig
from sgmg.recording import VideoRecording
from sgmg.video import open_video

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SMALL = SyntheticConfig(size=(64, 96), length=4, objects=(2, 3), expressions=3)

pytestmark = pytest.mark.filterwarnings("ignore")


class TestSite:
    @pytest.fixture(scope="class")
    def site(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The site, built as `mkdocs build --strict` does: a warning is an error."""
        folder = tmp_path_factory.mktemp("site")
        environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    def test_every_command_has_its_example(self, site: Path) -> None:
        text = (site / "commands" / "segment.html").read_text(encoding="utf-8")
        assert "--clip-length" in text
        assert "the woman throwing a ball" in text
        assert (site / "commands" / "evaluate.html").read_text(encoding="utf-8").count("<p>Example:</p>") == 8

    def test_the_reference_has_what_is_public(self, site: Path) -> None:
        for page, name in (("segmenter", "sgmg.Segmenter.encode"), ("model", "sgmg.SgMgConfig")):
            assert f'id="{name}"' in (site / "reference" / f"{page}.html").read_text(encoding="utf-8")

    def test_sessions_in_docstrings_are_code(self, site: Path) -> None:
        for page in (site / "reference").glob("*.html"):
            assert "<blockquote" not in page.read_text(encoding="utf-8"), page

    def test_nothing_is_loaded_from_elsewhere(self, site: Path) -> None:
        loaded = re.compile(r"""<(?:script|img|iframe)\b[^>]+src=["']?https?:|<link\b[^>]+href=["']?https?:""")
        for page in site.rglob("*.html"):
            assert not loaded.search(page.read_text(encoding="utf-8")), page

    def test_every_link_leads_to_a_file(self, site: Path) -> None:
        for page in site.rglob("*.html"):
            links = re.findall(r"""<(?:a|img)\b[^>]*?(?:href|src)="([^"#:?]+)[#?"]""", page.read_text(encoding="utf-8"))
            lost = [link for link in links if not (page.parent / link).resolve().exists() and page.name != "404.html"]
            assert not lost, (page.name, lost)

    def test_every_page_can_be_reached(self, site: Path) -> None:
        home = (site / "index.html").read_text(encoding="utf-8")
        for page in site.rglob("*.html"):
            address = page.relative_to(site).as_posix()
            assert address in ("index.html", "404.html") or f'href="{address}"' in home, address


def test_drawings_are_what_the_script_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "network_drawings.py", tmp_path], check=True)
    drawn = sorted(tmp_path.glob("*.svg"))
    assert drawn
    for path in drawn:
        assert path.read_text() == (DOCS / "images" / path.name).read_text(), "python tools/network_drawings.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader works: a checkout with a video, its frames, and a tiny model beside the embedded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("recipes", "tools", "benchmarks", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    video = SyntheticVideos(SyntheticConfig(size=(144, 256), length=2, objects=(2, 2), split="valid"), seed=1)[0]
    source = open_video(video.frames, fps=1)
    with VideoRecording(tmp_path / "dog.mp4", like=source) as recording:
        for frame in source:
            recording.write(frame.image, frame.time, frame.duration)
    (tmp_path / "frames").mkdir()
    for index, image in enumerate(video.frames):
        Image.fromarray(image).save(tmp_path / "frames" / f"{index:05d}.jpg")
    torch.manual_seed(0)
    SgMg(tiny_config(), tiny_tokenizer()).save_pretrained(tmp_path / "models" / "tiny")
    return tmp_path


def published_checkpoints(folder: Path) -> None:
    """Checkpoints of the published form and size but for the text encoder, with random weights; data to train on."""
    text = {"model_type": "roberta", "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 1}
    model = SgMg(SgMgConfig(text_encoder=text), tiny_tokenizer())
    model.text_encoder.backbone.save_pretrained(folder / "models" / "text")
    assert model.tokenizer is not None
    model.tokenizer.save_pretrained(folder / "models" / "text")
    save_published(model, folder / "ref_youtube_vos_video_swin_tiny.pth")
    save_kinetics(model, folder / "swin_tiny_patch244_window877_kinetics400_1k.pth")
    benchmarks(folder)


def benchmarks(folder: Path) -> None:
    """Generated data in the layouts of benchmarks."""
    videos = [("ref-youtube-vos", "train"), ("ref-youtube-vos", "valid"), ("ref-davis17", "valid")]
    for layout, split in (*videos, ("mevis", "valid"), ("mevis", "valid_u")):
        write_videos(folder / "datasets" / layout, SMALL, seed=0, count=2, layout=layout, split=split)
    for layout in ("refcoco", "refcoco+", "refcocog"):
        write_videos(folder / "datasets" / "coco", SMALL, seed=0, count=4, layout=layout)


def toy(folder: Path) -> None:
    """Generated data as `sgmg synth toy` makes it."""
    write_videos(folder / "toy", SMALL, seed=0, count=2, split="valid")


def trained(folder: Path) -> None:
    """What trainings left, and data to look at."""
    torch.manual_seed(0)
    SgMg(tiny_config(feature_decoder="observe"), tiny_tokenizer()).save_pretrained(
        folder / "runs" / "decoder" / "model"
    )
    for place in ("runs/mine/model", "start"):
        SgMg(tiny_config(), tiny_tokenizer()).save_pretrained(folder / place)
    write_videos(folder / "data", SMALL, seed=0, count=2, split="valid")


#: What pages need beside what `folder` holds.
STAND_INS: dict[str, Callable[[Path], None]] = {
    "README.md": benchmarks,
    "analysis.md": trained,
    "benchmarks.md": benchmarks,
    "checkpoints.md": published_checkpoints,
    "training.md": benchmarks,
    "troubleshooting.md": toy,
}


def followed(slow: bool) -> list[object]:
    """Pages with something to run, of the wanted speed; a page with both is followed as a whole by the slow test."""
    pages = []
    for page in PAGES:
        blocks = [block for block in blocks_of(page) if block.is_run]
        if any(block.slow for block in blocks) if slow else any(not block.slow for block in blocks):
            pages.append(pytest.param(page, id=page.name))
    return pages


def follow(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    if page.name in STAND_INS:
        STAND_INS[page.name](folder)
    reader = Reader(folder, monkeypatch)
    for block in blocks_of(page):
        if block.is_run and (slow or not block.slow):
            reader.follow(block)


@pytest.mark.parametrize("page", followed(slow=False))
def test_pages_do_what_they_say(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(page, folder, monkeypatch, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", followed(slow=True))
def test_pages_do_all_that_they_say(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow(page, folder, monkeypatch, slow=True)


TRAINED = ("runs/a/model", "runs/mevis/model", "runs/a2d/model", "sgmg-t", "sgmg-b", "start")
SHORT = "trainer.max_steps=1 data.batch_size=1 data.synthetic.size=[96,160] data.workers=0 trainer.accelerator=cpu"
FEW = "--videos 2 --size 64x96 --length 2"
#: The examples of `--help` but that of `serve`, and what is added to each command of one for a small machine.
EXAMPLES = {
    "segment": "",
    "save-as": "",
    "batch": "",
    "train": SHORT,
    "cutouts": f" && {FEW} --source cutouts",
    "synth": f"{FEW} --overwrite && {FEW} --overwrite",
    "convert": "--text-encoder models/text",
    "evaluate ref-youtube-vos": "--keep kept --csv-expressions expressions.csv",
    "evaluate mevis": "",
    "evaluate ref-davis17": "",
    "evaluate a2d": "",
    "evaluate jhmdb": "",
    "evaluate refcoco": "",
    "evaluate refcoco+": "",
    "evaluate refcocog": "",
    "predict ref-youtube-vos": "--model models/tiny",
    "predict mevis": "--model models/tiny --overwrite",
    "analyze drift": "",
    "analyze attention": "--frame 1 --frames 2",
    "analyze spectrum": "",
    "analyze gallery": "",
    "analyze ablation": "seeds=[0] scored.generated.videos=1 changes=[trainer.max_steps=1,data.workers=0]",
    "data check": "",
    "bench": "--frames 2 --size 64x96 --repeats 1",
    "bench data": "",
    "export onnx": "--overwrite",
    "model summary": "model.text_weights=FacebookAI/roberta-base model.pretrained=null",
}


def test_the_examples_of_all_commands_are_tried() -> None:
    assert {" ".join(words) for words in ALL} <= {*EXAMPLES, "serve"}


@pytest.mark.slow
def test_the_examples_of_help_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published_checkpoints(folder)
    trained(folder)
    for place in TRAINED:
        SgMg(tiny_config(), tiny_tokenizer()).save_pretrained(folder / place)
    (folder / "swin_tiny_patch244_window877_kinetics400_1k.pth").rename(folder / "video_swin_tiny.pth")
    for place in ("mevis", "ref-youtube-vos"):
        (folder / place).symlink_to(folder / "datasets" / place)
    (folder / "ref-davis").symlink_to(folder / "datasets" / "ref-davis17")
    (folder / "coco").symlink_to(folder / "datasets" / "coco")
    for layout in ("a2d", "jhmdb"):
        write_videos(folder / f"{layout}_sentences", SMALL, seed=0, count=3, layout=layout)
    (folder / "datasets" / "a2d_sentences").symlink_to(folder / "a2d_sentences")
    (folder / "videos").mkdir()
    shutil.copy(folder / "dog.mp4", folder / "videos")
    for kind in ("ball", "cup"):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(4):
            image = Image.new("RGBA", (80, 60))
            image.paste((200, 60 * number, 0, 255), (20, 10, 60, 50))
            image.save(folder / "photos" / kind / f"{number}.png")
    reader = Reader(folder, monkeypatch)
    for command, added in EXAMPLES.items():
        for example, words in zip_longest(example_of(command.split()).split(" && "), added.split(" && "), fillvalue=""):
            reader.follow(Block(Path(f"sgmg {command} --help"), 1, "sh", example, added=words))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="ended as Ctrl+C does on other systems")
def test_the_examples_of_serve_serve(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs the extra: pip install 'sgmg[web]'")
    environment = os.environ | {"BROWSER": "true"}  # the program of this name, which shows nothing
    for example in example_of(["serve"]).split(", or for a group: "):
        words = [sys.executable, "-m", *shlex.split(example)]
        server = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            assert "The page is at http" in server.stdout.readline()
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) == 0, example
        finally:
            server.kill()


def example_of(words: list[str]) -> str:
    """The example in the help of a command."""
    command = get_command(app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    example = " ".join((command.help or "").split()).partition("Example: ")[2]
    return re.sub(r"\[/?(bold|cyan)\]", "", example)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks_of(page):
        where = f"{page.name}:{block.line}"
        assert block.language in ("sh", "python", "text", "yaml", "json", "csv", "bibtex"), f"{where} has no language"
        assert block.skip is None or len(block.skip) > 3, f"{where} is not run, and does not say why"


def test_blocks_are_found_in_tabs_with_what_stands_before_them() -> None:
    text = """
=== "Linux"

    <!-- skip: installs -->
    ```sh
    pip install x
    ```

Then:

<!-- slow: long -->
<!-- test with: a=1 -->
```sh
sgmg train x
```

```yaml title="mine.yaml"
run: x
```

<!-- skip: of the next -->
text

```python
x = 1
```
"""
    blocks = list(blocks_of(Path("page.md"), text))
    assert [block.line for block in blocks] == [5, 13, 17, 24]
    assert blocks[0].skip == "installs"
    assert blocks[1].slow
    assert blocks[1].added == "a=1"
    assert blocks[2] == Block(Path("page.md"), 17, "yaml", "run: x\n", title="mine.yaml")
    assert blocks[3].is_run
