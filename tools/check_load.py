"""Visit `sgmg serve` with many at once, politely and not, and see whether everybody gets what is theirs.

    python tools/check_load.py [--visitors 8] [--visits 200] [--seed 0] [--table docs/load.md]

Starts `sgmg serve` with a small random network in a process of its own. Each visitor signs in and comes again and
again, for what `KINDS` lists: a video that only this visit has, which the result must be of; uploads that are too
large, slow or broken off; jobs that are cancelled or left; files that are not theirs; wrong passwords. Wrong is an
answer that was not expected, anything of another visitor, a later one served before an earlier one, memory or files
that stay, a traceback of the server, and an end that takes long. Prints what went wrong; the exit code is 1 if
anything did. Linux and macOS.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from hostile_inputs import small_model

NAME, PASSWORD = "lab", "open sesame"
MAX_UPLOAD = 200_000
SECONDS = 300
"""The longest that one answer may take; machines may be busy."""

FILES = 5
"""Files of a result."""

SETTLE = 10
"""Seconds that the server is given to notice that somebody has left."""


@dataclass(frozen=True)
class Size:
    """What the operating system and the file system say of the server.

    Attributes:
        memory: resident, in MiB.
        files: in its temporary folder.
        kilobytes: that they hold.
    """

    memory: float
    files: int
    kilobytes: float


class Server:
    """`sgmg serve` in a process of its own.

    Args:
        room: folder for its model and its temporary files.
    """

    def __init__(self, room: Path) -> None:
        self.temporary = room / "temporary"
        self.temporary.mkdir()
        small_model(room / "model")
        self._said = (room / "stderr").open("w+")
        command = [sys.executable, "-m", "sgmg", "serve", "--port", str(_free_port()), "--model", str(room / "model")]
        options = ["--threads", "1", "--max-upload", str(MAX_UPLOAD), "--auth", f"{NAME}:{PASSWORD}"]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=os.environ | {"TMPDIR": str(self.temporary)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "The page is at" not in line:
            raise RuntimeError(f"The server did not start: {self.said()}")
        self.address = line.split()[4].rstrip("/")

    def size(self) -> Size:
        """How large it is now."""
        rss = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True)
        files = [path.stat().st_size for path in self.temporary.rglob("*") if path.is_file()]
        return Size(int(rss.stdout) / 1024, len(files), sum(files) / 1000)

    def said(self) -> str:
        """Its standard error so far."""
        self._said.seek(0)
        return self._said.read()

    def end(self) -> tuple[int, float]:
        """Ask for its end; its exit code, and the seconds that it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code, time.monotonic() - begin


@dataclass
class Visit:
    """What came of one visit.

    Attributes:
        kind: which of `KINDS`.
        faults: answers that were not expected.
        mixed_up: what was another visitor's.
        asked, begun: when its place in the queue was asked for and confirmed, and when its work began; monotonic.
    """

    kind: str
    faults: list[str] = field(default_factory=list)
    mixed_up: list[str] = field(default_factory=list)
    asked: tuple[float, float] | None = None
    begun: float | None = None

    def expect(self, right: bool, what: str) -> None:
        """Note a fault unless it is right."""
        if not right:
            self.faults.append(what)

    def own(self, right: bool, what: str) -> None:
        """Note something of another visitor's unless it is one's own."""
        if not right:
            self.mixed_up.append(what)


class Visitor:
    """Somebody with a browser.

    Args:
        address: of the page.
        number: of the visitor.
    """

    def __init__(self, address: str, number: int) -> None:
        self.address, self.number = address, number
        self.requests = 0
        self.client = httpx.Client(base_url=address, timeout=SECONDS, event_hooks={"request": [self._count]})
        answer = self.client.post("/login", data={"username": NAME, "password": PASSWORD})
        answer.raise_for_status()

    def _count(self, request: httpx.Request) -> None:
        self.requests += 1

    # --- what a page does ----------------------------------------------------------------------------------------

    def upload(self, content: Any, name: str = "video.mp4") -> httpx.Response:
        """As the page does it."""
        return self.client.post("/gradio_api/upload", files={"files": (name, content)})

    def ask(self, visit: Visit, ticket: str, sentence: str) -> str:
        """A place in the queue; gives the session."""
        session = f"{self.number}-{random.SystemRandom().randrange(10**12)}"
        body = {"data": [ticket, sentence, 1.0, True], "session_hash": session}
        asked = time.monotonic()
        answer = self.client.post("/gradio_api/call/segment", json=body)
        visit.expect(answer.status_code == 200, f"no place in the queue: {answer.status_code} {answer.text[:200]}")
        visit.asked = asked, time.monotonic()
        return session

    @contextmanager
    def listening(self, session: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The queue's messages; leaving the block drops the connection."""
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as answer:
            yield (json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:"))

    def events(self, visit: Visit, messages: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """What the work tells, to its end."""
        for message in messages:
            if message["msg"] == "process_starts":
                visit.begun = time.monotonic()
            if message["msg"] == "process_generating" and message["success"]:
                yield message["output"]["data"][0]
            if message["msg"] in ("process_completed", "unexpected_error"):
                if not message.get("success"):
                    yield {"kind": "error", "text": str((message.get("output") or {}).get("error"))}
                return

    def forget(self, *tickets: str) -> None:
        """As a page that is left."""
        for ticket in tickets:
            self.client.post(f"/forget/{ticket.split('/')[0]}")

    # --- the kinds of visits ---------------------------------------------------------------------------------------

    def result(self, visit: Visit, rng: random.Random, slowly: bool = False) -> None:
        """Comes with a video, waits for the result, and looks whether it is of that video."""
        own = Own.of(self.number, rng)
        content: Any = own.content
        if slowly:
            content = SlowFile(own.content)
        answer = self.upload(content, own.name)
        if answer.status_code != 200:
            visit.expect(False, f"upload: {answer.status_code} {answer.text[:200]}")
            return
        (ticket,) = answer.json()
        about = self.client.get(f"/about/{ticket}").json()
        seen = (about["name"], about["width"], about["height"], about["frames"])
        visit.own(seen == (own.name, own.width, own.height, own.frames), f"about: {seen}")
        with self.listening(self.ask(visit, ticket, own.sentence)) as messages:
            told = {event["kind"]: event for event in self.events(visit, messages)}
        if "finished" not in told:
            visit.expect(False, f"no result: {told.get('error', list(told))}")
            return
        visit.own(told["started"]["expressions"][0]["text"] == own.sentence, "another sentence")
        files = {file["what"]: file["file"] for file in told["finished"]["files"]}
        for file in files.values():
            visit.own(file["orig_name"].startswith(Path(own.name).stem), f"a file called {file['orig_name']}")
        got = {what: self.client.get(f"/gradio_api/file={file['path']}") for what, file in files.items()}
        visit.expect(all(answer.status_code == 200 for answer in got.values()), "a file that is not there")
        found = got["result"].json()
        visit.own(found["source"] == own.name, f"a result of {found['source']}")
        visit.own([e["expression"] for e in found["expressions"]] == [own.sentence], "a result of another sentence")
        colour, frames = looks(got["overlay"].content)
        visit.own(frames == own.frames and np.abs(colour - own.colour).max() < 12, f"an overlay of {frames} {colour}")
        self.forget(ticket, told["started"]["job"])

    def slow_upload(self, visit: Visit, rng: random.Random) -> None:
        """The same, through a connection that takes seconds for a few kilobytes."""
        self.result(visit, rng, slowly=True)

    def cancelled(self, visit: Visit, rng: random.Random) -> None:
        """Cancels once the work has begun."""
        (ticket,) = self.upload(Own.of(self.number, rng, frames=120).content).json()
        kinds = []
        with self.listening(self.ask(visit, ticket, "the dog")) as messages:
            for event in self.events(visit, messages):
                kinds.append(event["kind"])
                if event["kind"] == "started":
                    self.client.post(f"/cancel/{event['job']}")
        visit.expect(kinds[-1:] == ["cancelled"], f"cancelled, but the end was {kinds[-1:]}")
        self.forget(ticket)

    def dropped(self, visit: Visit, rng: random.Random) -> None:
        """The connection is lost while the work goes on."""
        (ticket,) = self.upload(Own.of(self.number, rng, frames=120).content).json()
        with self.listening(self.ask(visit, ticket, "the dog")) as messages:
            first = next(self.events(visit, messages), None)
        visit.expect(first is not None and first["kind"] == "started", f"no beginning: {first}")
        self.forget(ticket)

    def left_the_queue(self, visit: Visit, rng: random.Random) -> None:
        """Goes as soon as there is a place in the queue."""
        (ticket,) = self.upload(Own.of(self.number, rng, frames=120).content).json()
        with self.listening(self.ask(visit, ticket, "the dog")) as messages:
            visit.expect(next(messages, None) is not None, "no message")
        visit.asked = None  # whether its turn came is not known
        self.forget(ticket)

    def never_listened(self, visit: Visit, rng: random.Random) -> None:
        """Asks for the work, and is never seen again."""
        (ticket,) = self.upload(Own.of(self.number, rng).content).json()
        self.ask(visit, ticket, "the dog")
        visit.asked = None
        self.forget(ticket)

    def oversized(self, visit: Visit, rng: random.Random) -> None:
        """More bytes than may be, announced as such or not."""
        content = bytes(3 * MAX_UPLOAD)
        if rng.random() < 0.5:
            answer = self.upload(content)
        else:
            answer = self.client.post(
                "/gradio_api/upload",
                content=_multipart(content),
                headers={"Content-Type": "multipart/form-data; boundary=between"},
            )
        visit.expect(answer.status_code == 413 and "is larger than" in answer.text, f"too large: {answer.status_code}")

    def broken_off(self, visit: Visit, rng: random.Random) -> None:
        """An upload that ends in the middle."""
        url = httpx.URL(self.address)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)
        head = (
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.host}\r\nCookie: {cookies}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=between\r\n\r\n"
        )
        self.requests += 1
        with socket.create_connection((url.host, url.port or 80), timeout=SECONDS) as connection:
            connection.sendall(head.encode() + b"".join(_multipart(bytes(60_000)))[:50_000])
            time.sleep(rng.random() / 5)

    def no_video(self, visit: Visit, rng: random.Random) -> None:
        """Something that is no video."""
        (ticket,) = self.upload(rng.randbytes(5000), "letter.mp4").json()
        answer = self.client.get(f"/about/{ticket}")
        visit.expect(answer.status_code == 422 and "letter.mp4" in answer.text, f"no video: {answer.text[:200]}")
        with self.listening(self.ask(visit, ticket, "the dog")) as messages:
            told = list(self.events(visit, messages))
        visit.expect(bool(told) and "cannot be read as a video" in told[-1].get("text", ""), f"no video: {told}")
        self.forget(ticket)

    def outside(self, visit: Visit, rng: random.Random) -> None:
        """Files that were not given to the page, by paths, addresses and crooked tickets."""
        (ticket,) = self.upload(Own.of(self.number, rng).content).json()
        folder = ticket.split("/")[0]
        places = ["/etc/passwd", "../../../../etc/passwd", f"{folder}/../../../etc/passwd", f"{folder}/..", "gradio/x"]
        places += [f"{folder}/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "C:%5Cwindows%5Cwin.ini"]
        for place in places:
            for way in ("gradio_api/file=", "gradio_api/file/", "about/", "page/"):
                answer = self.client.get(f"/{way}{place}", follow_redirects=True)
                right = answer.status_code in (400, 403, 404, 422) and "root:" not in answer.text
                visit.expect(right, f"{way}{place}: {answer.status_code}")
        place = rng.choice(["/etc/passwd", "http://127.0.0.1:9/video.mp4", "0" * 24 + "/video.mp4"])
        with self.listening(self.ask(visit, place, "the dog")) as messages:
            told = list(self.events(visit, messages))
        visit.expect([event["kind"] for event in told] == ["error"], f"segment {place}: {told}")
        self.forget(ticket)

    def stranger(self, visit: Visit, rng: random.Random) -> None:
        """Wrong passwords, and none."""
        with httpx.Client(base_url=self.address, timeout=SECONDS, event_hooks={"request": [self._count]}) as client:
            answer = client.post("/login", data={"username": NAME, "password": f"guess {rng.random()}"})
            visit.expect(answer.status_code in (400, 401), f"a wrong password: {answer.status_code}")
            places = ("settings", "examples", "gradio_api/file=x/video.mp4", "gradio_api/queue/data?session_hash=x")
            for place in places:
                answer = client.get(f"/{place}")
                visit.expect(answer.status_code == 401, f"a stranger at {place}: {answer.status_code}")
            answer = client.post("/gradio_api/upload", files={"files": ("video.mp4", b"x")})
            visit.expect(answer.status_code == 401, f"a stranger's upload: {answer.status_code}")


KINDS: dict[str, tuple[int, Callable[[Visitor, Visit, random.Random], None]]] = {
    "a result": (40, Visitor.result),
    "a slow upload, a result": (5, Visitor.slow_upload),
    "cancelled": (8, Visitor.cancelled),
    "connection lost at work": (7, Visitor.dropped),
    "left the queue": (7, Visitor.left_the_queue),
    "asked and never listened": (3, Visitor.never_listened),
    "upload too large": (6, Visitor.oversized),
    "upload broken off": (6, Visitor.broken_off),
    "no video": (6, Visitor.no_video),
    "files outside of the folder": (6, Visitor.outside),
    "wrong password, no password": (6, Visitor.stranger),
}
"""What visitors come for, and how many of 100 do."""


@dataclass(frozen=True)
class Own:
    """A video that only one visit has.

    Attributes:
        name: its file's.
        sentence: what is asked about it.
        frames, width, height: its size.
        colour: (3,) of all its pixels, RGB.
        content: MP4.
    """

    name: str
    sentence: str
    frames: int
    width: int
    height: int
    colour: np.ndarray
    content: bytes

    @classmethod
    def of(cls, visitor: int, rng: random.Random, frames: int | None = None) -> Own:
        """Make one."""
        mark = f"{visitor}-{rng.randrange(10**9)}"
        frames = frames or rng.randint(3, 8)
        width, height = 2 * rng.randint(24, 48), 2 * rng.randint(24, 36)
        colour = np.array([rng.randint(30, 225) for _ in range(3)])
        made = io.BytesIO()
        with av.open(made, "w", format="mp4") as file:
            stream: Any = file.add_stream("libx264", rate=12, options={"threads": "1", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            picture = np.broadcast_to(colour.astype(np.uint8), (height, width, 3))
            for _ in range(frames):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            file.mux(stream.encode())
        return cls(f"of-{mark}.mp4", f"the thing {mark}", frames, width, height, colour, made.getvalue())


def looks(video: bytes) -> tuple[np.ndarray, int]:
    """The mean colour of a video, and its number of frames."""
    with av.open(io.BytesIO(video)) as file:
        colours = [frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in file.decode(video=0)]
    return np.mean(colours, 0), len(colours)


class SlowFile(io.BytesIO):
    """A file that is read in small pieces with pauses."""

    def read(self, size: int | None = -1) -> bytes:
        """A piece."""
        time.sleep(0.2)
        return super().read(max(1, len(self.getbuffer()) // 12))


def _multipart(content: bytes) -> Iterator[bytes]:
    yield b'--between\r\nContent-Disposition: form-data; name="files"; filename="video.mp4"\r\n\r\n'
    yield from (content[start : start + 10_000] for start in range(0, len(content), 10_000))
    yield b"\r\n--between--\r\n"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def drawn(visits: int, seed: int) -> list[str]:
    """The kinds of visits in their order: the same share of each in every run, at least one."""
    total = sum(share for share, _ in KINDS.values())
    kinds = [kind for kind, (share, _) in KINDS.items() for _ in range(max(1, round(visits * share / total)))]
    random.Random(seed).shuffle(kinds)
    return kinds


def come(visitors: Sequence[Visitor], kinds: Sequence[str], seed: int) -> list[Visit]:
    """All visits, as many at once as there are visitors."""
    visits: list[Visit] = []
    waiting, lock = iter(enumerate(kinds)), threading.Lock()

    def keep_coming(visitor: Visitor) -> None:
        while True:
            with lock:
                number, kind = next(waiting, (0, ""))
            if not kind:
                return
            visits.append(visit := Visit(kind))
            try:
                KINDS[kind][1](visitor, visit, random.Random(f"{seed} {number}"))
            except Exception as error:  # a visit must not end the others
                visit.faults.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=keep_coming, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return visits


def overtaken(visits: Sequence[Visit], within: float = 0.5) -> tuple[int, int]:
    """How many who surely asked earlier began later, and how many pairs there are to compare.

    Args:
        visits: of one server.
        within: seconds that clocks of busy threads may be wrong by.
    """
    served = [(*visit.asked, visit.begun) for visit in visits if visit.asked and visit.begun]
    pairs = [(one, other) for one in served for other in served if one[1] < other[0] and other[0] < one[2]]
    return sum(one[2] > other[2] + within for one, other in pairs), len(pairs)


@dataclass
class Report:
    """What was seen.

    Attributes:
        visits: all of them.
        requests: of HTTP.
        seconds: that the visits took.
        sizes: of the server: before, half way, after.
        order: `overtaken`.
        ended: exit code and seconds of the end.
        left: files that the server left behind.
        said: by the server, on standard error.
    """

    visits: list[Visit]
    requests: int
    seconds: float
    sizes: tuple[Size, Size, Size]
    order: tuple[int, int]
    ended: tuple[int, float]
    left: list[str]
    said: str

    @property
    def faults(self) -> list[str]:
        """All that was wrong, a sentence each."""
        before, half, after = self.sizes
        # Nobody knows of the results that were never listened for, until they are old.
        unknown = FILES * sum(visit.kind == "asked and never listened" for visit in self.visits)
        wrong = [f"{v.kind}: {what}" for v in self.visits for what in (*v.faults, *v.mixed_up)]
        if after.files > before.files + unknown:
            wrong.append(f"{after.files - before.files} temporary files stay")
        if after.memory > 1.1 * half.memory:
            wrong.append(f"memory grows from {half.memory:.0f} to {after.memory:.0f} MiB in the second half")
        if self.order[0]:
            wrong.append(f"{self.order[0]} of {self.order[1]} were overtaken")
        if self.ended[0] != 128 + signal.SIGTERM or self.ended[1] > 15:
            wrong.append(f"the end had exit code {self.ended[0]} and took {self.ended[1]:.1f} s")
        if self.left:
            wrong.append(f"files are left after the end: {', '.join(self.left[:3])}")
        errors = Counter(re.findall(r"^(\w[\w.]*(?:Error|Exception|Disconnect)\b.*)", self.said, re.MULTILINE))
        wrong += [f"the server had a traceback, {count} times: {error[:200]}" for error, count in errors.items()]
        return wrong

    def table(self, title: str) -> str:
        """For the documentation."""
        of: dict[str, list[Visit]] = defaultdict(list)
        for visit in self.visits:
            of[visit.kind].append(visit)
        lines = [title, "", "| visit | number | as expected | of others |", "| --- | --- | --- | --- |"]
        for kind in KINDS:
            right = sum(not visit.faults and not visit.mixed_up for visit in of[kind])
            lines.append(f"| {kind} | {len(of[kind])} | {right} | {sum(bool(v.mixed_up) for v in of[kind])} |")
        before, half, after = self.sizes
        rows = [
            ("visits, requests of HTTP", f"{len(self.visits)}, {self.requests} in {self.seconds:.0f} s"),
            ("resident memory before, half way, after", " ".join(f"{s.memory:.0f}," for s in self.sizes)[:-1] + " MiB"),
            ("temporary files before, half way, after", f"{before.files}, {half.files}, {after.files}"),
            ("who asked earlier and began later", f"{self.order[0]} of {self.order[1]} pairs"),
            ("end after SIGTERM with a job at work", f"exit code {self.ended[0]} after {self.ended[1]:.1f} s"),
            ("temporary files then", str(len(self.left))),
        ]
        lines += ["", "| the server | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
        return "\n".join(lines) + "\n"


def check(visitors: int, visits: int, seed: int) -> Report:
    """Start a server, visit it, end it."""
    room = Path(tempfile.mkdtemp(prefix="load-"))
    try:
        server = Server(room)
        try:
            people = [Visitor(server.address, number) for number in range(visitors)]
            people[0].client.get("/examples")  # are made first
            warm = Visit("a result")
            people[0].result(warm, random.Random(f"{seed} first"))
            before = _settled(server)
            kinds = drawn(visits, seed)
            begin, done = time.monotonic(), []
            sizes = [before]
            for part in (kinds[: len(kinds) // 2], kinds[len(kinds) // 2 :]):
                done += come(people, part, seed + len(sizes))
                sizes.append(_settled(server, before.files))
            seconds = time.monotonic() - begin
            last = Visit("dropped")
            (ticket,) = people[0].upload(Own.of(0, random.Random(seed), frames=200).content).json()
            with people[0].listening(people[0].ask(last, ticket, "the dog")) as messages:
                next(people[0].events(last, messages))
                ended = server.end()
        finally:
            server.process.kill()
            server.process.wait()
        left = [str(path.relative_to(server.temporary)) for path in server.temporary.rglob("*") if path.is_file()]
        requests = sum(visitor.requests for visitor in people)
        return Report(
            done, requests, seconds, (sizes[0], sizes[1], sizes[2]), overtaken(done), ended, left, server.said()
        )
    finally:
        shutil.rmtree(room)


def _settled(server: Server, files: int | None = None) -> Size:
    """The server's size, once it has noticed who is gone."""
    until = time.monotonic() + SETTLE
    size = server.size()
    while files is not None and size.files > files and time.monotonic() < until:
        time.sleep(0.2)
        size = server.size()
    return size


def main() -> int:
    """Run it; the exit code says whether everything was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--visits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    report = check(arguments.visitors, arguments.visits, arguments.seed)
    title = (
        f"{arguments.visitors} visitors at once, seed {arguments.seed}; "
        "`python tools/check_load.py --table FILE` remakes these tables."
    )
    text = report.table(title)
    print(text)
    if arguments.table:
        arguments.table.write_text(text)
    for fault in report.faults:
        print(fault)
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
