"""The paper as a PDF: Typst sets it, from its wheel, with the fonts that it brings. The same bytes on every machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mechlib.report.paper.typesetting import Picture, typst_source

NEEDED = "paper.pdf is not made, for typst or markdown-it-py is missing: `pip install -e '.[paper]' -c constraints.txt`"
FONT = "Libertinus Serif"
_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')


class NotPrinted(RuntimeError):
    """The PDF cannot be made; the message is one line."""


def pdf(markdown: str, root: Path) -> bytes:
    """The paper of a text whose pictures lie below `root`. Raises NotPrinted where it cannot be made."""
    return printed(markdown, root, "pdf")


def pages(markdown: str, root: Path, ppi: float = 110) -> list[bytes]:
    """The paper's pages as PNG, as many pixels an inch, to look at. Raises NotPrinted."""
    made = printed(markdown, root, "png", ppi)
    return made if isinstance(made, list) else [made]


def printed(markdown: str, root: Path, form: str, ppi: float = 144) -> Any:
    """What Typst makes of a text: PDF's bytes, or PNG's, a page each."""
    try:
        import typst
    except ImportError:
        raise NotPrinted(NEEDED) from None
    pictures: dict[str, bytes] = {}

    def picture(path: str) -> Picture:
        name = f"figure-{len(pictures)}.svg"
        drawn = for_paper((root / path).read_text(encoding="utf-8"))
        pictures[name] = drawn.encode()
        size = _SIZE.search(drawn)
        return Picture(name, *((float(size[1]), float(size[2])) if size else (1.0, 1.0)))

    try:
        source = typst_source(markdown, picture)
        files = {"main.typ": source.encode(), **pictures}
        made: Any = typst.compile  # whose types know one file, of many that it takes
        return made(files, format=form, ppi=ppi, ignore_system_fonts=True, timestamp=0)
    except ImportError:
        raise NotPrinted(NEEDED) from None
    except (typst.TypstError, OSError) as error:
        raise NotPrinted(f"paper.pdf is not made: {' '.join(str(error).split())}") from None


def for_paper(svg: str) -> str:
    """A drawing without variables and media queries of CSS: in its light colours, in the paper's font."""
    style = re.search(r"<style>(.*?)</style>", svg, re.DOTALL)
    if style is None:
        return svg
    light = style[1].partition("@media")[0]
    colours = dict(re.findall(r"(--[\w-]+):\s*([^;}]+)[;}]", light))
    plain = _without_blocks(style[1], "@media", ":root")
    plain = re.sub(r"font-family:[^;}]+", f"font-family: '{FONT}'", plain)
    drawn = svg[: style.start(1)] + plain + svg[style.end(1) :]
    return re.sub(r"var\((--[\w-]+)\)", lambda match: colours.get(match[1], "#000").strip(), drawn)


def _without_blocks(css: str, *begins: str) -> str:
    """A style sheet without the blocks that begin so, what stands in them included."""
    kept, depth, dropped, rule = [], 0, False, ""
    for sign in css:
        rule += sign
        depth += (sign == "{") - (sign == "}")
        if sign == "{" and depth == 1:
            dropped = re.sub(r"/\*.*?\*/", "", rule, flags=re.DOTALL).strip().startswith(begins)
        if sign == "}" and depth == 0:
            kept += [] if dropped else [rule]
            rule = ""
    return "".join([*kept, rule])
