"""Text for Markdown: nothing in it can end a cell, start markup, or load anything."""

from __future__ import annotations

import re


def escaped(text: str) -> str:
    """Text for a cell of a Markdown table: no character of it can end the cell, start markup, or load anything."""
    text = re.sub(r"[^\S\u00a0]+", " ", str(text)).strip(" ")
    parts = re.split(r"(`[^`|\\<>&]+`)", text)  # code that needs no escaping stays code
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_{}\[\]|#$~])", r"\\\1", text)
    return re.sub(r"(?i)\b(https?|ftp|www)([:.])", r"\1<span></span>\2", text)
