"""artifacts/record/published-sentences.md: published sentences for the forge, and how far each model's column came."""

from __future__ import annotations

from collections.abc import Iterator

from mechlib.report.content.claim_views import WITH_NOISE, dithered_text, numbers
from mechlib.report.content.model_cards import called, quantised
from mechlib.report.content.published_sentences import LOOKS, NOTE, Published, Sentence
from mechlib.report.content.replications import Cell
from mechlib.report.content.summary import SIGNS
from mechlib.report.outputs.escaping import escaped
from mechlib.report.outputs.markdown import Pages
from mechlib.verdicts.reported import REPLICATION_MEANINGS

MISSING = (
    "What papers report of other models, asked here. The paper's number decides nothing, the bound of each claim does. "
    "A model in which the sentences hold is missing here (no GPT-2): planted models and small networks stand for it."
)


def published_md(published: Published, pages: Pages) -> str:
    """The page; its links lead to the pages of topics that lie beside it."""
    lines = ["# Published sentences", "", MISSING, ""]
    if marked := [called(model) for model in published.models if quantised(model)]:
        said = "what is asked are quantised weights, and nothing is said of the models before"
        lines += [f"{escaped(', '.join(marked))}: {said}; [what each is](README.md#models).", ""]
    if published.problem:
        lines += [escaped(published.problem), ""]
    lines += [f"- {LOOKS[word][0]} {word}: {escaped(meaning)}" for word, meaning in REPLICATION_MEANINGS.items()]
    lines += ["", *_table(published, pages), "", escaped(NOTE), ""]
    if published.unrun:
        lines += [f"{SIGNS['NOT RUN']} NOT RUN, every sentence about: {escaped(', '.join(published.unrun))}.", ""]
    return "\n".join([*lines, *_flow(published)]) + "\n"


def _table(published: Published, pages: Pages) -> Iterator[str]:
    heads = ["sentence", "paper", "small networks", *map(called, published.models)]
    yield "| " + " | ".join(map(escaped, heads)) + " |"
    yield "|" + " --- |" * len(heads)
    for one in published.sentences:
        held = f"held in {one.held}, {one.between}" if one.held and one.between else one.held
        cells = [f"{one.reported.number or 'no number'}, {one.reported.where}", held]
        cells += [_cell(one.cells.get(model)) for model in published.models]
        yield f"| {_named(one, pages)} | " + " | ".join(map(escaped, cells)) + " |"


def _named(one: Sentence, pages: Pages) -> str:
    rank = "**primary** " if one.reported.primary else ""
    asked = " (as asked here)" if one.as_asked else ""
    text = escaped(one.text)
    if one.rows:
        anchor = one.rows[0].anchor
        text = f"[{text}]({pages.file(anchor)}#{anchor})"
    return rank + text + asked


def _cell(found: Cell | None) -> str:
    if found is None:
        return ""
    said = f"{LOOKS[found.word][0]} {found.word}"
    if found.answered is not None:
        shown = numbers(found.answered.comparison)
        said += f" {shown.value} {shown.interval}"
    noisy = [f"{WITH_NOISE} {text}" for record in found.records if (text := dithered_text(record))]
    said = "; ".join([said, *noisy])
    # A command that would bring a model depends on the machine; it stands at the end of the index.
    return f"{said}: {found.why}" if found.why and found.word != "NOT RUN" else said


def _flow(published: Published) -> Iterator[str]:
    yield "| how far they came | " + " | ".join(escaped(called(model)) for model in published.models) + " |"
    yield "| --- |" + " ---: |" * len(published.models)
    for what, counts, is_sum in published.flow:
        named = f"**{escaped(what)}**" if is_sum else escaped(what)
        yield f"| {named} | " + " | ".join(map(str, counts)) + " |"
