"""HTML: the templates, and the style that the pages share."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mechlib.figures.svg.elements import number
from mechlib.figures.svg.sheet import STYLES
from mechlib.report.content.claim_views import (
    WITH_NOISE,
    control_text,
    dithered_text,
    numbers,
    percent,
    prose,
    twin_texts,
)
from mechlib.report.content.model_cards import called, quantised
from mechlib.report.content.published_sentences import LOOKS, NOTE
from mechlib.report.content.summary import MEANINGS, SIGNS, plural
from mechlib.verdicts.reported import REPLICATION_MEANINGS

_QUOTED = re.compile(r'(\s[a-z-]+)="([A-Za-z0-9_.#=-]+)"(?=[\s>])')
TEMPLATES = Path(__file__).parents[1] / "templates"


@functools.cache
def environment() -> Environment:
    """The templates, everything escaped, an undefined name an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        signs=SIGNS, meanings=MEANINGS, number=number, percent=percent, numbers=numbers,
        control_text=control_text, twin_texts=twin_texts,
        dithered_text=dithered_text, with_noise=WITH_NOISE,
        plural=plural,
        replication_looks=LOOKS, published_note=NOTE, replication_meanings=REPLICATION_MEANINGS,
    )  # fmt: skip
    made.filters["prose"] = prose
    made.filters["called"] = called
    made.filters["lean"] = lean
    made.tests["quantised"] = quantised
    return made


def lean(text: str) -> Markup:
    """HTML without quotes that it can do without: a page has some twenty of them in each of its rows.

    Only attributes are touched: in text, quotes are escaped.
    """
    # A function in place of a template, for Python 3.11 expands one in half a microsecond, 200,000 times.
    return Markup(_QUOTED.sub(lambda found: f"{found[1]}={found[2]}", str(text).replace('"/>', '" />')))


def stylesheet() -> str:
    """The CSS that the pages share."""
    files = (STYLES / "colours.css", TEMPLATES / "page.css", STYLES / "drawings.css", STYLES / "circuits.css")
    return "".join(file.read_text(encoding="utf-8") for file in files)
