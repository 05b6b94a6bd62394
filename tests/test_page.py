"""The web page as visitors use it: a real server, a real browser. One server and one browser serve all of the file."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from pycocotools import mask as coco
from videos import write_video

from sgmg.model import SgMg
from sgmg.segmentation import Segmentation

pytest.importorskip("gradio", reason="needs the extra: pip install 'sgmg[web]'")
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOT = Path(__file__).parents[1]
NAME, PASSWORD = "lab", "open sesame"
MAX_FRAMES, MAX_UPLOAD = 900, 400_000

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium, such as Debian's: apt-get install chromium"),
    pytest.mark.xdist_group("page"),  # with -n: all in one process, which has the one server
]
expect = playwright.expect
expect.set_options(timeout=30_000)  # machines may be busy


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos that visitors have: `short.mp4` with sound, `long.mp4`, and what is none."""
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "short.mp4", frames=30, sound="aac")
    write_video(folder / "long.mp4", frames=MAX_FRAMES, size=(48, 64), crf="40")
    write_video(folder / "too-long.mp4", frames=MAX_FRAMES + 60, size=(48, 64), crf="45")
    (folder / "letter.mp4").write_text("Dear video, ...")
    (folder / "huge.mp4").write_bytes(bytes(MAX_UPLOAD + 1))
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `sgmg serve` with a small network; when it is ended, its temporary folder is gone."""
    torch.manual_seed(0)
    model = tmp_path_factory.mktemp("model")
    SgMg(tiny_config(), tiny_tokenizer()).save_pretrained(model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temporary = tmp_path_factory.mktemp("temporary")
    limits = ["--max-upload", f"{MAX_UPLOAD}", "--max-frames", f"{MAX_FRAMES}", "--max-sentences", "3"]
    command = [sys.executable, "-m", "sgmg", "serve", "--port", f"{port}", "--model", str(model), "--threads", "1"]
    process = subprocess.Popen(
        [*command, *limits, "--auth", f"{NAME}:{PASSWORD}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "The page is at" in line, process.communicate()[1]
    yield line.split()[4].rstrip("/")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    # Gradio prints what crooked requests ask for; anything else would be a fault of ours.
    assert errors.count("Traceback") == errors.count("InvalidPathError:"), errors
    assert not list(temporary.glob("sgmg-serve-*"))


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as running:
        flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera that shows a clock
        browser = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(browser, server: str) -> dict:
    """The cookies of a visitor who has signed in, through the page that asks for it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(server)
    expect(page).to_have_title(re.compile("sign in"))
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit; try again.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Segment", exact=True)).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visitor(browser, server: str, signed_in: dict):
    """Opens the page for a new visitor; every script error on it fails the test."""
    contexts, errors = [], []

    def opened(width: int = 1280, height: int = 800, **options: object) -> "playwright.Page":
        context = browser.new_context(viewport={"width": width, "height": height}, storage_state=signed_in, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def choose(page, file: Path) -> None:
    page.get_by_label("Choose a video").set_input_files(file)
    expect(page.locator("#video-name")).to_have_text(file.name)


def ask(page, *sentences: str) -> None:
    page.get_by_label("What to find").fill("\n".join(sentences))
    page.get_by_role("button", name="Segment", exact=True).click()


def painted(page) -> int:
    """How many pixels of the masks' canvas are painted."""
    return page.evaluate(
        "() => { const c = document.getElementById('masks'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return d.filter((v, i) => i % 4 == 3 && v).length }"
    )


def colours(page) -> set[tuple[int, int, int]]:
    """The colours of the opaque pixels of the masks' canvas: those of the contours."""
    found = page.evaluate(
        "() => { const c = document.getElementById('masks'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set(); "
        "for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) s.add([d[i], d[i + 1], d[i + 2]].join());"
        "return [...s] }"
    )
    return {tuple(map(int, colour.split(","))) for colour in found}


def downloaded(page, link, folder: Path) -> Path:
    """Clicks on a link, and gives the file that comes of it under its own name."""
    with page.expect_download() as download:
        link.click()
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(download.value.path(), folder / download.value.suggested_filename))


def colour_inside(overlay: Path, masks: np.ndarray) -> tuple[float, ...]:
    """The median colour of a video where masks, (T, H, W), are."""
    with av.open(overlay) as video:
        pixels = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    return tuple(np.median(np.stack(pixels)[masks], axis=0).tolist())


def test_a_video_goes_in_and_masks_come_out(visitor, clips: Path, tmp_path: Path) -> None:
    page = visitor()
    choose(page, clips / "short.mp4")
    expect(page.locator("#video-facts")).to_have_text("30 frames · 2.5 s")
    expect(page.locator("#video-size")).to_have_text("96 × 72")
    page.get_by_text("Options").click()
    page.get_by_label("Show what scores in some frame at least").fill("0")
    ask(page, "the dog", "a red circle")

    page.wait_for_selector("#legend b")
    assert painted(page) > 0

    expect(page.locator("#downloads")).to_be_visible()
    expect(page.locator("#video")).to_be_visible()
    expect(page.locator("#clock")).to_contain_text("of 30")
    expect(page.get_by_role("listitem").filter(has_text="the dog").first).to_contain_text("mean 0.")

    # The chart leads to a frame; the frames are the video's own.
    chart = page.get_by_role("slider", name="Frame", exact=True)
    chart.click(position={"x": 1, "y": 20})
    expect(page.locator("#clock")).to_contain_text("frame 1 of 30")
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] - 2, "y": 20})
    expect(page.locator("#clock")).to_contain_text("frame 30 of 30")
    expect(chart).to_have_attribute(
        "aria-valuetext", re.compile(r"frame 30 of 30, the dog 0\.\d\d, a red circle 0\.\d\d")
    )

    # The overlay is painted with the usual colours, ...
    expect(page.locator("#work")).to_be_hidden()
    overlay = page.get_by_role("link", name="Overlay")
    expect(page.get_by_label("Opacity")).to_have_value("45")
    usual = downloaded(page, overlay, tmp_path)

    # ... until the visitor chooses others, or hides a sentence: then it is painted as the player shows it.
    page.get_by_label("a red circle", exact=True).uncheck()
    assert colours(page) == {(0x56, 0xB4, 0xE9)}
    page.get_by_label("Colour of “the dog”").fill("#ff0080")
    assert colours(page) == {(0xFF, 0x00, 0x80)}
    page.get_by_label("the dog", exact=True).uncheck()
    assert painted(page) == 0
    page.get_by_label("the dog", exact=True).check()
    page.get_by_label("Opacity").fill("100")
    links = page.locator("#files a")
    files = [downloaded(page, links.nth(index), tmp_path / "chosen") for index in range(links.count())]
    files = {file.name: file for file in files}
    assert list(files) == [
        "short-overlay.mp4",
        "short-masks.zip",
        "short-result.json",
        "short-0-the-dog.webm",
        "short-1-a-red-circle.webm",
    ]
    with av.open(files["short-overlay.mp4"]) as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == 30
        assert overlay.streams.audio
    found = Segmentation.load(files["short-result.json"], clips / "short.mp4").masks
    assert colour_inside(usual, found[0] & ~found[1]) != pytest.approx((0xFF, 0, 0x80), abs=60)
    assert colour_inside(files["short-overlay.mp4"], found[0]) == pytest.approx((0xFF, 0, 0x80), abs=60)
    with av.open(files["short-0-the-dog.webm"]) as cutout:
        assert cutout.streams.video[0].metadata["ALPHA_MODE"] == "1"
    result = json.loads(Path(files["short-result.json"]).read_text())
    assert [found["expression"] for found in result["expressions"]] == ["the dog", "a red circle"]
    assert result["source"] == "short.mp4"
    assert len(zipfile.ZipFile(files["short-masks.zip"]).namelist()) == 60


def test_what_was_not_found_is_said(visitor, clips: Path) -> None:
    page = visitor()
    choose(page, clips / "short.mp4")
    page.get_by_text("Options").click()
    page.get_by_label("Show what scores in some frame at least").fill("0.95")
    ask(page, "the dog")
    expect(page.locator("#notes")).to_contain_text("“the dog” was found in no frame.")
    expect(page.locator("#legend .score")).to_contain_text("no mask · 0.")
    assert painted(page) == 0


def test_cancelling_is_at_once_and_the_next_one_gets_the_place(visitor, clips: Path) -> None:
    first, second = visitor(), visitor()
    choose(first, clips / "long.mp4")
    ask(first, "the dog")
    expect(first.locator("#work-facts")).to_contain_text(
        re.compile(r"of 900 frames · [\d.]+ frames/s · about \d+ \w+ left")
    )
    expect(first.locator("#examples button").first).to_be_disabled()
    # Masks appear while the work still goes on.
    first.wait_for_selector("body:has(#legend b):has(#cancel:not([hidden]))")
    assert painted(first) > 0

    choose(second, clips / "short.mp4")
    ask(second, "the dog")
    expect(second.locator("#work-title")).to_have_text("Waiting: place 1 of 1 in the queue")
    expect(second.get_by_role("status")).to_have_text("Place 1 in the queue")

    first.get_by_role("button", name="Cancel").click()
    expect(first.locator("#work-title")).to_have_text("Cancelled", timeout=500)
    expect(first.get_by_role("button", name="Segment", exact=True)).to_be_focused()
    expect(second.locator("#downloads")).to_be_visible()
    expect(first.locator("#downloads")).to_be_hidden()


def test_who_leaves_the_queue_or_the_page_holds_up_nobody(visitor, clips: Path) -> None:
    first, second, third = visitor(), visitor(), visitor()
    for page, clip in ((first, "long.mp4"), (second, "long.mp4"), (third, "short.mp4")):
        choose(page, clips / clip)
        ask(page, "the dog")
        expect(page.locator("#work-title")).to_have_text(re.compile("Waiting|Segmenting"))
    expect(third.locator("#work-title")).to_have_text("Waiting: place 2 of 2 in the queue")
    second.get_by_role("button", name="Cancel").click()
    expect(third.locator("#work-title")).to_have_text("Waiting: place 1 of 1 in the queue")
    first.close()
    expect(third.locator("#downloads")).to_be_visible()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("letter.mp4", r"'letter\.mp4' cannot be read as a video"),
        ("empty.mp4", "“empty.mp4” is empty"),
        ("huge.mp4", "“huge.mp4” is larger than 400 kB, the most that can be uploaded here."),
        ("too-long.mp4", "'too-long.mp4' has more than 900 frames, the most that are segmented here"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(visitor, clips: Path, file: str, sentence: str) -> None:
    page = visitor()
    page.get_by_label("Choose a video").set_input_files(clips / file)
    expect(page.get_by_role("alert")).to_have_text(re.compile(sentence))
    expect(page.get_by_label("Choose a video")).to_be_attached()
    expect(page.locator("#chosen")).to_be_hidden()


def test_limits_are_said_before_they_are_hit(visitor) -> None:
    page = visitor()
    expect(page.locator("#limits")).to_have_text("Up to 400 kB and 900 frames (30 s at 30 frames/s).")
    sentences = page.get_by_label("What to find")
    expect(page.locator("#sentences-hint")).to_have_text("One sentence a line, up to 3; each about one thing.")
    page.get_by_role("button", name="Segment", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("There is no video yet; choose one, or an example.")
    page.locator("#examples button").first.click()
    expect(sentences).to_have_value(re.compile("hexagon"))
    sentences.fill("one\ntwo\nthree\nfour")
    expect(page.locator("#sentences-hint")).to_have_text("4 of up to 3 sentences.")
    expect(sentences).to_have_attribute("aria-invalid", "true")


def test_a_phone_and_a_keyboard_are_enough(visitor) -> None:
    page = visitor(390, 844, has_touch=True)
    page.wait_for_selector("#examples button")
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    def tab_to(selector: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                return
        raise AssertionError(f"{selector} is not reached by the tabulator key")

    tab_to("#file")
    tab_to("#examples button")
    page.keyboard.press("Enter")
    expect(page.locator("#video-name")).to_be_visible()
    tab_to("#sentences")
    page.keyboard.press("Control+a")
    page.keyboard.type("the dog")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#downloads")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    tab_to("#play")
    tab_to("#chart")
    page.keyboard.press("End")
    expect(page.locator("#clock")).to_contain_text("frame 36 of 36")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#clock")).to_contain_text("frame 35 of 36")
    tab_to("#files a")

    small = page.evaluate(
        "[...document.querySelectorAll('button, input, a, textarea, summary')].filter(e => e.offsetParent && "
        "!e.matches('.unseen, .skip') && e.getBoundingClientRect().height < 20).map(e => e.id || e.outerHTML)"
    )
    assert small == [], "too small for a finger"
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, a, textarea, [role=slider], canvas:not([aria-hidden]), video')]"
        ".filter(e => !e.labels?.length && !e.getAttribute('aria-label') && !e.textContent.trim() && "
        "!e.querySelector('img[alt]:not([alt=\"\"])')).map(e => e.id || e.outerHTML)"
    )
    assert unnamed == [], "nothing for a screen reader to say"


def test_the_camera_is_a_source_too(visitor) -> None:
    page = visitor(permissions=["camera"])
    page.get_by_role("button", name="Record with the camera").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    record = page.get_by_role("button", name="Record", exact=True)
    expect(record).to_be_enabled()
    page.wait_for_timeout(500)
    record.click()
    expect(page.locator("#recorder-hint")).to_contain_text("Recording: 1 of 30 seconds.")
    page.get_by_role("button", name="Stop and use it").click()
    expect(page.locator("#video-name")).to_have_text("camera.webm")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_nothing_comes_from_elsewhere_and_no_path_of_the_server_is_told(visitor, server: str, clips: Path) -> None:
    page = visitor()
    page.goto("about:blank")  # what is still on its way to the first page could not be read once that is left
    answers, asked = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: answers.append(answer))
    page.goto(server)
    page.wait_for_selector("#examples button")
    choose(page, clips / "short.mp4")
    told = [page.content()]
    told += [answer.text() for answer in answers if "json" in answer.headers.get("content-type", "")]
    told += [f"{answer.url} {answer.headers}" for answer in answers]
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {server.split("/")[2]}

    asking = page.context.request
    video = {"name": "short.mp4", "mimeType": "video/mp4", "buffer": (clips / "short.mp4").read_bytes()}
    (ticket,) = asking.post(f"{server}/gradio_api/upload", multipart={"files": video}).json()
    event = asking.post(f"{server}/gradio_api/call/segment", data={"data": [ticket, "the dog", None, True]}).json()
    told += [asking.get(f"{server}/gradio_api/call/segment/{event['event_id']}").text()]
    told += [asking.get(f"{server}/{address}").text() for address in ("config", "gradio_api/info")]
    everything = "\n".join(told)
    assert "short-overlay.mp4" in everything
    for place in (tempfile.gettempdir() + "/", str(Path.home()) + "/", str(ROOT), sys.prefix):
        assert place not in everything


def test_strangers_and_crooked_requests_get_nothing(browser, server: str, signed_in: dict, clips: Path) -> None:
    stranger = browser.new_context().request
    for address in ("settings", "examples", "about/x/video.mp4", "gradio_api/file=x/video.mp4", "config"):
        assert stranger.get(f"{server}/{address}").status == 401, address
    assert stranger.post(f"{server}/gradio_api/upload").status == 401
    assert stranger.post(f"{server}/gradio_api/call/segment", data={"data": ["x", "y"]}).status == 401

    visitor = browser.new_context(storage_state=signed_in).request
    for place in ("/etc/passwd", "x/../../../etc/passwd", "%2Fetc%2Fpasswd", tempfile.gettempdir()):
        assert visitor.get(f"{server}/gradio_api/file={place}").status == 404
    too_much = visitor.post(
        f"{server}/gradio_api/upload",
        multipart={"files": {"name": "big.mp4", "mimeType": "video/mp4", "buffer": bytes(MAX_UPLOAD + 20_000)}},
    )
    assert too_much.status == 413
    assert "larger than 400 kB" in too_much.text()
    for video in ("/etc/passwd", {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}):
        event = visitor.post(f"{server}/gradio_api/call/segment", data={"data": [video, "the dog", None, True]}).json()
        answer = visitor.get(f"{server}/gradio_api/call/segment/{event['event_id']}").text()
        assert "event: error" in answer
        assert tempfile.gettempdir() not in answer
    video = {"name": "short.mp4", "mimeType": "video/mp4", "buffer": (clips / "short.mp4").read_bytes()}
    (ticket,) = visitor.post(f"{server}/gradio_api/upload", multipart={"files": video}).json()
    for values, sentence in (
        ([["the dog"], None, True], "as one text"),
        (["the dog", "0.5", True], "Scores lie between 0 and 1"),
    ):
        event = visitor.post(f"{server}/gradio_api/call/segment", data={"data": [ticket, *values]}).json()
        assert sentence in visitor.get(f"{server}/gradio_api/call/segment/{event['event_id']}").text()


def test_nothing_is_fetched_from_addresses_that_clients_name(browser, server: str, signed_in: dict) -> None:
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

        do_HEAD = do_GET  # noqa: N815

    visitor = browser.new_context(storage_state=signed_in).request
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{elsewhere.server_port}/secret.mp4"
        file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
        for name, values in (
            ("segment", [file, "the dog", None, True]),
            ("segment", [address, "the dog", None, True]),
            ("segment", [[file], "the dog", None, True]),
            ("segment", ["x", file, None, True]),
            ("overlay", ["x", [file], 0.5]),
        ):
            event = visitor.post(f"{server}/gradio_api/call/{name}", data={"data": values}).json()
            answer = visitor.get(f"{server}/gradio_api/call/{name}/{event['event_id']}").text()
            assert re.search(r"event: error\ndata: .*(Nothing is fetched|This is not what|not on the server)", answer)
        for place in (f"file={address}", f"file/{address}", f"proxy={address}"):
            assert visitor.get(f"{server}/gradio_api/{place}").status == 404
            assert visitor.head(f"{server}/gradio_api/{place}").status == 404
        client = Client(server, auth=(NAME, PASSWORD), verbose=False)
        with pytest.raises(AppError, match="Nothing is fetched from addresses here; upload the video itself"):
            client.predict(handle_file(address), "the dog", api_name="/segment")
        elsewhere.shutdown()
    assert asked == []


def test_the_browser_reads_masks_as_pycocotools_writes_them(visitor) -> None:
    generator = np.random.default_rng(0)
    masks = [generator.random((7, 5)) < share for share in (0.0, 0.3, 0.9, 1.0)]
    masks += [np.kron(generator.random((4, 6)) < 0.5, np.ones((50, 41))) > 0]
    page = visitor()
    for mask in masks:
        counts = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
        read = page.evaluate(
            "async ([counts, size]) => [...(await import('/page/masks.js')).pixelsOf(counts, size)]",
            [counts, list(mask.shape)],
        )
        np.testing.assert_array_equal(np.array(read).reshape(mask.shape), mask)


def test_a_script_asks_without_a_browser(server: str, clips: Path, tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "docs/examples/ask_the_page.py"), server]
    access = ["--auth", f"{NAME}:{PASSWORD}", "--output", str(tmp_path)]
    done = subprocess.run(
        [*script, str(clips / "short.mp4"), "the dog", *access], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^0\.\d\d  the dog$", done.stdout, re.MULTILINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0-the-dog.webm",
        "masks.zip",
        "overlay.mp4",
        "result.json",
    ]
    refused = subprocess.run(
        [*script, str(clips / "letter.mp4"), "the dog", *access], capture_output=True, text=True, timeout=60
    )
    assert "'letter.mp4' cannot be read as a video" in refused.stderr
