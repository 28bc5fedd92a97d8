"""Markdown to Typst: every text a string, so that nothing in it can be taken for markup.

markdown-it-py reads; what stands here is how each of its tokens is set. Pictures are handed to Typst beside the source,
drawn for paper: Typst's SVG knows no variables of CSS and no media queries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

STYLE = Path(__file__).with_name("paper.typ")
LINE, TALLEST, POINT = 453, 400, 0.62  # points: width of a line, height of a figure; of a drawing's pixel
BACK = "../../"  # from the PDF in artifacts/report to the root, where links of REPORT.md begin
WIDE, FULL = 30, 100  # letters of a cell from which on its column shares the line, of a row that fills the line
SHORT = 9  # rows, their heads included, that no page's end comes between
_ANCHOR = re.compile(r'<a id="([^"]+)">')


@dataclass(frozen=True)
class Picture:
    """A drawing as Typst finds it: its name, and its width and height in pixels."""

    name: str
    width: float
    height: float

    @property
    def points(self) -> float:
        """How wide it is set: no wider than a line, no taller than a figure may be."""
        return min(LINE, self.width * POINT, TALLEST * self.width / self.height)


Pictures = Callable[[str], Picture]


def typst_source(markdown: str, picture: Pictures) -> str:
    """The text as a Typst document; `picture` gives the picture of a path."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    title = next((tokens[n + 1].content for n, token in enumerate(tokens) if token.tag == "h1"), "")
    begun = f"{STYLE.read_text(encoding='utf-8')}\n#set document(title: {quoted(title)})\n\n"
    return begun + "".join(_sections(tokens, picture))


def _sections(tokens: Sequence[Token], picture: Pictures) -> Iterator[str]:
    """Sections one by one: what stands below the title, and the abstract, are set apart, references small."""
    begins = [n for n, token in enumerate(tokens) if token.type == "heading_open" and token.level == 0]
    for first, last in pairwise([0, *begins, len(tokens)]):
        if first == last:
            continue
        level, name = tokens[first].tag, tokens[first + 1].content
        kind = {"h1": "subtitle", "h2": {"Abstract": "abstract", "References": "references"}.get(name)}.get(level)
        head, body = (tokens[first : first + 3], tokens[first + 3 : last]) if kind else ((), tokens[first:last])
        yield "".join(_blocks(head, picture))
        said = "".join(_blocks(body, picture))
        yield f"#{kind}[{said}]\n\n" if kind else said


def quoted(text: str) -> str:
    """Text as a string of Typst."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{inside}"'


def _blocks(tokens: Sequence[Token], picture: Pictures) -> Iterator[str]:
    place = 0
    while place < len(tokens):
        token = tokens[place]
        end = _end(tokens, place)
        inside = tokens[place + 1 : end]
        match token.type:
            case "heading_open":
                yield f"#heading(level: {token.tag[1]})[{_inline(inside[0], picture)}]\n\n"
            case "paragraph_open":
                named = end + 1 < len(tokens) and tokens[end + 1].type == "table_open"  # stays with its table
                said = _paragraph(inside[0], picture)
                yield f"#block(sticky: true)[{said.strip()}]\n\n" if named else said
            case "bullet_list_open" | "ordered_list_open":
                kind = "list" if token.type.startswith("bullet") else "enum"
                yield f"#{kind}({', '.join(_items(inside, picture))})\n\n"
            case "blockquote_open":
                yield f"#quote(block: true)[{''.join(_blocks(inside, picture))}]\n\n"
            case "table_open":
                yield _table(inside, picture)
            case "fence" | "code_block":
                yield f"#raw(block: true, {quoted_lines(token.content)})\n\n"
            case "hr":
                yield "#line(length: 100%, stroke: .4pt)\n\n"
            case "html_block":
                yield _anchors(token.content)
        place = end + 1


def quoted_lines(text: str) -> str:
    """Text of several lines as a string of Typst."""
    return "\n".join(map(quoted, text.rstrip("\n").split("\n"))).replace('"\n"', "\\n")


def _end(tokens: Sequence[Token], place: int) -> int:
    """Where the block that begins at a place ends."""
    depth = 0
    for later in range(place, len(tokens)):
        depth += tokens[later].nesting
        if depth == 0:
            return later
    return len(tokens)


def _items(tokens: Sequence[Token], picture: Pictures) -> Iterator[str]:
    place = 0
    while place < len(tokens):
        end = _end(tokens, place)
        yield f"[{''.join(_blocks(tokens[place + 1 : end], picture)).strip()}]"
        place = end + 1


def _paragraph(inline: Token, picture: Pictures) -> str:
    first, *rest = inline.children or []
    if first.type != "image":
        return f"{_spans(inline.children or [], picture)}\n\n"
    while rest and rest[0].type in ("softbreak", "hardbreak"):
        rest = rest[1:]
    shown = picture(str(first.attrs["src"]))
    caption = f", caption: [{_spans(rest, picture)}]" if rest else ""
    drawn = f"image({quoted(shown.name)}, width: {shown.points:.0f}pt, alt: {quoted(first.content)})"
    return f"#figure({drawn}{caption})\n\n"


def _inline(token: Token, picture: Pictures) -> str:
    return _spans(token.children or [], picture)


def _spans(tokens: Sequence[Token], picture: Pictures) -> str:
    return "".join(_span(token, picture) for token in tokens)


def _span(token: Token, picture: Pictures) -> str:
    match token.type:
        case "text":
            return f"#{quoted(token.content)};" if token.content else ""
        case "code_inline":
            return f"#raw({quoted(token.content)});"
        case "softbreak":
            return " "
        case "hardbreak":
            return "#linebreak();"
        case "strong_open":
            return "#strong["
        case "em_open":
            return "#emph["
        case "link_open":
            return f"#link({_target(str(token.attrs['href']))})["
        case "strong_close" | "em_close" | "link_close":
            return "];"
        case "image":
            return f"#box(image({quoted(picture(str(token.attrs['src'])).name)}));"
        case "html_inline":
            return "#linebreak();" if token.content.startswith("<br") else _anchors(token.content)
    return ""


def _target(link: str) -> str:
    """A place in the paper, an address, or a file of the repository as it is seen from the PDF."""
    if link.startswith("#"):
        return f"label({quoted(link[1:])})"
    return quoted(link if re.match(r"[a-z]+:", link) else BACK + link)


def _anchors(html: str) -> str:
    return "".join(f"#[#metadata(none)#label({quoted(name)})];" for name in _ANCHOR.findall(html))


def _table(tokens: Sequence[Token], picture: Pictures) -> str:
    """A table whose wide columns share what the others leave."""
    rows: list[list[str]] = []
    widths: list[int] = []
    aligned: list[str] = []
    for token, inline in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open") and inline is not None:
            place = len(rows[-1])
            if token.type == "th_open":
                widths.append(0)
                aligned.append("right" if "right" in str(token.attrs.get("style", "")) else "left")
            letters = sum(len(child.content) for child in inline.children or [])
            widths[place] = max(widths[place], letters)
            rows[-1].append(f"[{_inline(inline, picture)}]")
    wide = WIDE if sum(widths) > FULL else max(widths, default=0) + 1
    columns = ", ".join(f"{min(width, 90) ** 0.5:.1f}fr" if width >= wide else "auto" for width in widths)
    head, *body = rows
    cells = ",\n  ".join([f"table.header({', '.join(head)})", *(", ".join(row) for row in body)])
    made = f"#table(columns: ({columns},), align: ({', '.join(aligned)},),\n  {cells},\n)"
    whole = "fr" not in columns or len(rows) <= SHORT
    return f"#block(breakable: false)[{made}]\n\n" if whole else f"{made}\n\n"
