"""Ask a running `sgmg serve` from Python, with gradio_client alone: no torch, no model on this side.

Usage: python ask_the_page.py ADDRESS VIDEO SENTENCE... [--auth NAME:PASSWORD]
"""

import argparse
import shutil
from pathlib import Path

from gradio_client import Client, handle_file


def main() -> None:
    """Upload the video, say how far it is, and fetch what was found."""
    parser = argparse.ArgumentParser(description="Ask a running `sgmg serve` to segment a video.")
    parser.add_argument("address", help="such as http://127.0.0.1:7860")
    parser.add_argument("video", type=Path)
    parser.add_argument("sentences", nargs="+")
    parser.add_argument("--auth", help="NAME:PASSWORD, where the server asks for them")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the files")
    options = parser.parse_args()

    name, _, password = (options.auth or "").partition(":")
    client = Client(options.address, auth=(name, password) if name else None, verbose=False)
    job = client.submit(video=handle_file(options.video), expressions="\n".join(options.sentences), api_name="/segment")
    for event in job:  # job.cancel() ends it early
        if event["kind"] == "progress":
            print(f"{event['phase']}: {event['done']:.0f} of {event['total'] or '?'} frames")
        if event["kind"] == "finished":
            options.output.mkdir(parents=True, exist_ok=True)
            for sentence, score in zip(options.sentences, event["scores"], strict=True):
                print(f"{score:.2f}  {sentence}")
            for download in event["files"]:
                print(shutil.copy(download["file"], options.output))
    job.result()  # raises the server's sentence where something was wrong


if __name__ == "__main__":
    main()
