"""The page that a reader finds a feature on: by number, by token, by concept. Self-contained, and below 3 MB.

Tokens are anything that a model may write, markup included. On the page they stand in one block of JSON in which no
character can end it, and the script puts them into the page as text, never as markup. The page's own policy lets
nothing load, and nothing run but this script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mechlib.report.features.filing import STEPS, NotFeatures, as_text, filed, read
from mechlib.report.outputs.html import TEMPLATES, environment, stylesheet
from mechlib.report.outputs.results import save

LARGEST = 3_000_000  # bytes
UNSAFE = {ord(one): f"\\u{ord(one):04x}" for one in "<>&'\u2028\u2029\u0085\ufeff"}


class PageTooLarge(NotFeatures):
    """A page of features of more than 3 MB."""


def page(packed_cards: Mapping[str, Any]) -> str:
    """The page as HTML: a pure function of packed cards. PageTooLarge beyond 3 MB."""
    css = stylesheet() + (TEMPLATES / "features.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "features.js").read_text(encoding="utf-8").replace("__STEPS__", STEPS)
    made = environment().get_template("features.html").render(
        said=packed_cards,
        data=Markup(in_script(as_text(packed_cards))),
        css=Markup(css),
        css_hash=_hash(css),
        script=Markup(script),
        script_hash=_hash(script),
    )  # fmt: skip
    if (size := len(made.encode())) > LARGEST:
        raise PageTooLarge(
            f"the page of {packed_cards['model']} would have {size:,} bytes, wanted {LARGEST:,} at most: show fewer "
            "windows of each feature (--windows) or fewer tokens (--entries)"
        )
    return made


def in_script(text: str) -> str:
    """JSON as it may stand in a script element: the same values, and no character that could end it or begin markup."""
    return text.translate(UNSAFE)


def title(packed_cards: Mapping[str, Any]) -> str:
    """What a link to the page says."""
    return f"{packed_cards['model']}, {packed_cards['sae']}"


def links(root: Path) -> list[tuple[str, str]]:
    """(file name, what it says) of the pages that a record has; ("", why there is none) for a file that is damaged."""
    found = []
    for file in filed(root):
        try:
            found.append((f"features-{file.stem}.html", title(read(file))))
        except NotFeatures as error:
            found.append(("", str(error)))
    return found


def write_pages(root: Path, out_dir: Path) -> None:
    """Writes the page of each filed set of cards to `out_dir`; none for a file that is damaged."""
    for file in filed(root):
        with suppress(NotFeatures):
            save(out_dir / f"features-{file.stem}.html", page(read(file)))


def _hash(text: str) -> str:
    """As a policy names what may run."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
