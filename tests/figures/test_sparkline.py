"""Sparklines: where their dots stand."""

import re

from mechlib.figures.svg.sparkline import sparkline

NONE = (None, None)


def dots(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]


def test_a_larger_number_stands_higher_and_a_later_one_to_the_right():
    drawn = sparkline([(0.2, (0.1, 0.3), "refuted", "first"), (0.8, (0.7, 0.9), "supported", "<b>")], "a number")
    (x, y), (later, higher) = dots(drawn)
    assert later > x and higher < y
    assert drawn.index("refuted") < drawn.index("supported") and "&lt;b&gt;" in drawn
    low, high = re.findall(r"M9 ([\d.]+)V([\d.]+)", drawn)[0]
    assert float(low) > y > float(high)


def test_a_point_without_a_number_leaves_its_place_empty():
    drawn = sparkline([(1.0, NONE, "void", ""), (None, NONE, "gated", ""), (1.0, NONE, "void", "")], "")
    (first, _), (last, _) = dots(drawn)
    (near, _), (next_, _) = dots(sparkline([(1.0, NONE, "void", ""), (1.0, NONE, "void", "")], ""))
    assert last - first == 2 * (next_ - near)


def test_one_number_has_not_moved():
    assert not sparkline([(1.0, NONE, "void", ""), (None, NONE, "gated", "")], "")
