"""Markdown to Typst: every text a string, so that nothing in it can be taken for markup.

markdown-it-py reads; what stands here is how each of its tokens is set. Pictures are handed to Typst beside the source,
drawn for paper: Typst's SVG knows no variables of CSS and no media queries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

STYLE = Path(__file__).with_name("paper.typ")
BACK = "../../"  # from the PDF in artifacts/report to the root, where links of REPORT.md begin
WIDE = 26  # letters of a cell from which on its column shares the line's width
_ANCHOR = re.compile(r'<a id="([^"]+)">')


def typst_source(markdown: str, picture: Callable[[str], str]) -> str:
    """The text as a Typst document; `picture` gives the name under which Typst finds a picture's path."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return STYLE.read_text(encoding="utf-8") + "\n" + "".join(_blocks(tokens, picture))


def quoted(text: str) -> str:
    """Text as a string of Typst."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{inside}"'


def _blocks(tokens: Sequence[Token], picture: Callable[[str], str]) -> Iterator[str]:
    place = 0
    while place < len(tokens):
        token = tokens[place]
        end = _end(tokens, place)
        inside = tokens[place + 1 : end]
        match token.type:
            case "heading_open":
                yield f"#heading(level: {token.tag[1]})[{_inline(inside[0], picture)}]\n\n"
            case "paragraph_open":
                yield _paragraph(inside[0], picture)
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


def _items(tokens: Sequence[Token], picture: Callable[[str], str]) -> Iterator[str]:
    place = 0
    while place < len(tokens):
        end = _end(tokens, place)
        yield f"[{''.join(_blocks(tokens[place + 1 : end], picture)).strip()}]"
        place = end + 1


def _paragraph(inline: Token, picture: Callable[[str], str]) -> str:
    first, *rest = inline.children or []
    if first.type != "image":
        return f"{_spans(inline.children or [], picture)}\n\n"
    while rest and rest[0].type in ("softbreak", "hardbreak"):
        rest = rest[1:]
    name = quoted(picture(str(first.attrs["src"])))
    caption = f", caption: [{_spans(rest, picture)}]" if rest else ""
    return f"#figure(image({name}, alt: {quoted(first.content)}){caption})\n\n"


def _inline(token: Token, picture: Callable[[str], str]) -> str:
    return _spans(token.children or [], picture)


def _spans(tokens: Sequence[Token], picture: Callable[[str], str]) -> str:
    return "".join(_span(token, picture) for token in tokens)


def _span(token: Token, picture: Callable[[str], str]) -> str:
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
            return f"#box(image({quoted(picture(str(token.attrs['src'])))}));"
        case "html_inline":
            return _anchors(token.content)
    return ""


def _target(link: str) -> str:
    """A place in the paper, an address, or a file of the repository as it is seen from the PDF."""
    if link.startswith("#"):
        return f"label({quoted(link[1:])})"
    return quoted(link if re.match(r"[a-z]+:", link) else BACK + link)


def _anchors(html: str) -> str:
    return "".join(f"#[#metadata(none)#label({quoted(name)})];" for name in _ANCHOR.findall(html))


def _table(tokens: Sequence[Token], picture: Callable[[str], str]) -> str:
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
    columns = ", ".join(f"{min(width, 90) ** 0.5:.1f}fr" if width >= WIDE else "auto" for width in widths)
    head, *body = rows
    cells = ",\n  ".join([f"table.header({', '.join(head)})", *(", ".join(row) for row in body)])
    return f"#table(columns: ({columns},), align: ({', '.join(aligned)},),\n  {cells},\n)\n\n"
