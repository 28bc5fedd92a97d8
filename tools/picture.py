"""Takes docs/report.png, the top of the report in README.md: `python tools/picture.py`, after `make record`.

Needs a Chromium, in CHROME or on the path. What the page says of its verdicts is kept in the picture, as its text
"shows": a test holds it against the record, so that a picture of an older one is found.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PAGE, PICTURE = ROOT / "artifacts" / "report" / "report.html", ROOT / "docs" / "report.png"
WIDE, HIGH, COLOURS = 1180, 900, 64


def taken(page: Path, picture: Path) -> str:
    """Writes the picture of a page's top; returns the sentence that the page says of its verdicts."""
    browser = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("there is no Chromium: name one in CHROME")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shown = chromium.new_page(viewport={"width": WIDE, "height": HIGH})
        shown.goto(page.as_uri())
        shown.wait_for_load_state("networkidle")
        shown.screenshot(path=picture)
        said = " ".join(shown.locator("h1 + p").first.inner_text().split())
        chromium.close()
    kept = PngImagePlugin.PngInfo()
    kept.add_text("shows", said)
    Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True, pnginfo=kept)
    return said


if __name__ == "__main__":
    print(taken(PAGE, PICTURE))
