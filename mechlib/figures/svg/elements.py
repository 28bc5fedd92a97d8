"""Small inline SVG for the pages: scales, paths, dots, texts, and how numbers are written.

Colours come from the page's custom properties, so that one drawing serves light, dark and print. Shape and
text carry every meaning that colour carries. Numbers are rounded to a tenth of a pixel: pages stay small and
two writes are the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

MARGIN = 9


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels, linear, with room at both ends for marks."""

    low: float
    high: float
    width: int = 300

    def __call__(self, value: float) -> float:
        """The pixel; what lies beyond an end is drawn at that end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return MARGIN + share * (self.width - 2 * MARGIN)

    @property
    def ticks(self) -> list[float]:
        """Round numbers inside the scale, at most one in 38 pixels."""
        most = max(2, (self.width - 2 * MARGIN) // 38)
        step = 10 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next((m for m in (1, 2, 5) if (self.high - self.low) / (m * step) <= most), 10)
        first = math.ceil(self.low / step - 1e-9)
        return [round(step * n, 12) + 0.0 for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale_for(numbers: Iterable[float | None], width: int = 300) -> Scale:
    """A scale that holds all of these numbers with a little air; None and infinities are left out."""
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    air = 0.04 * (high - low) or max(abs(low), 1.0) * 0.1
    return Scale(low - air, high + air, width)


def drawing(width: float, height: float, parts: Iterable[str], kind: str, label: str = "") -> Markup:
    """The svg element around its parts; hidden from screen readers unless it has a label to be read instead."""
    size = f'width="{digits(width)}" height="{digits(height)}" viewBox="0 0 {digits(width)} {digits(height)}"'
    spoken = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return Markup(f'<svg class="{kind}" {size} {spoken}>{"".join(parts)}</svg>')


def path(kind: str, d: str, title: str = "") -> str:
    """A path element of a class."""
    return f'<path class="{kind}" d="{d}">{title_of(title)}</path>' if title else f'<path class="{kind}" d="{d}"/>'


def rect(
    kind: str, x: float, y: float, width: float, height: float, share: float | None = None, title: str = ""
) -> str:
    """A rectangle of a class; `share` is how much of its colour shows."""
    place = f'x="{digits(x)}" y="{digits(y)}" width="{digits(width)}" height="{digits(height)}"'
    shows = "" if share is None else f' fill-opacity="{decimals(share)}"'
    end = f">{title_of(title)}</rect>" if title else "/>"
    return f'<rect class="{kind}" {place}{shows}{end}'


def dot(x: float, y: float, radius: float, kind: str = "f", title: str = "") -> str:
    """A circle; filled unless the class says otherwise."""
    end = f">{title_of(title)}</circle>" if title else "/>"
    return f'<circle class="{kind}" cx="{digits(x)}" cy="{digits(y)}" r="{digits(radius)}"{end}'


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Text, escaped; centred unless the class says otherwise."""
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{digits(x)}" y="{digits(y)}">{escape(content)}</text>'


def tick_text(value: float) -> str:
    """A round number in as few characters as it takes."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def title_of(content: str) -> str:
    """What is shown on hover."""
    return f"<title>{escape(content)}</title>" if content else ""


def digits(value: float) -> str:
    """A pixel with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def decimals(share: float) -> str:
    """A share with two decimals and no leading zero."""
    return f"{share:.2f}".rstrip("0").rstrip(".").removeprefix("0") or "0"


def number(value: float | None) -> str:
    """A number for reading: three decimals below ten, a real minus sign, an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    value += 0.0  # no negative zero
    size = abs(value)
    if value and (size >= 1e5 or size < 5e-4):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    places = 0 if value == 0 else 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0
    return f"{value:.{places}f}".replace("-", "−")
