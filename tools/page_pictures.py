"""Take the pictures of the web page that the documentation shows, with a real browser.

Usage: python tools/page_pictures.py [FOLDER]    (by default docs/images; needs Playwright and a Chromium)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

QUALITY = 80


def main() -> None:
    """Serve the page, use it as a visitor would, on a desktop and on a phone."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    command = [sys.executable, "-m", "sgmg", "serve", "--port", "7879"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[4]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            desktop = browser.new_page(viewport={"width": 1280, "height": 860})
            walk(desktop, address, folder, "page")
            dark = browser.new_context(
                viewport={"width": 390, "height": 844}, color_scheme="dark", device_scale_factor=2
            )
            walk(dark.new_page(), address, folder, "page-phone", whole=False)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def walk(page: Page, address: str, folder: Path, name: str, whole: bool = True) -> None:
    """Before, during and after."""
    page.goto(address)
    page.wait_for_selector("#examples button")
    picture(page, folder / f"{name}-before.jpg")
    page.locator("#examples button").first.click()
    page.get_by_role("button", name="Segment").click()
    page.wait_for_selector("#legend b", timeout=120_000)
    page.wait_for_timeout(700)
    picture(page, folder / f"{name}-during.jpg")
    page.wait_for_selector("#files [data-what=cutout]", timeout=240_000)
    page.wait_for_selector("#video:not([hidden])")
    page.locator("#chart").press("Home")
    for _ in range(20):
        page.locator("#chart").press("ArrowRight")
    page.wait_for_timeout(700)
    page.evaluate("document.activeElement.blur(); document.querySelector('#stage').scrollIntoView()")
    page.wait_for_timeout(300)
    picture(page, folder / f"{name}-after.jpg", whole)


def picture(page: Page, path: Path, whole: bool = False) -> None:
    """What is seen, or the whole page."""
    page.screenshot(path=path, type="jpeg", quality=QUALITY, full_page=whole)
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
