"""What results.json says, as types: they are its JSON Schema, docs/results.schema.json.

`python -m mechlib.report.outputs.results` prints it. Fields are added and never renamed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mechlib.verdicts.controlled import By, TwinWord
from mechlib.verdicts.controls import ControlWord
from mechlib.verdicts.reported import Replication, Reported
from mechlib.verdicts.verdict import Kind, Outcome, Sign, Word

SCHEMA: Literal[2] = 2
Split = Literal["confirmation", ""]


class ControlResult(Struct, frozen=True):
    """What a claim was held against besides its bound."""

    kind: Annotated[str, Meta(description="twins, what a part was exchanged for, control=, beside=; empty for none")]
    sets: Annotated[int, Meta(description="how many there were")]
    on_the_side: Annotated[int, Meta(description="how many are as claimed; of beside=: how many exceed the bound")]
    word: Annotated[
        ControlWord | Literal["UNCONTROLLED"], Meta(description="what that says; UNCONTROLLED where there was none")
    ]


class DitheredResult(Struct, frozen=True):
    """What a claim came to on its quantised model with noise of half a quantisation step either way."""

    model: Annotated[str, Meta(description="the model with noise, as in smollm2-135m@dithered")]
    word: Annotated[str, Meta(description="the claim's word there, silent, or not measured; it decides nothing")]
    estimate: Annotated[float | None, Meta(description="what the claim compares, there")]
    low: Annotated[float | None, Meta(description="lower end of the 95 % interval")]
    high: Annotated[float | None, Meta(description="upper end of the 95 % interval")]


class ClaimResult(Struct, frozen=True):
    """One claim on one model; null where there is no number. Fields up to `flags` are those of schema 1."""

    id: Annotated[
        str, Meta(description="topic.function[case]", examples=["induction.test_one_head_attends_back[mini-0]"])
    ]
    topic: Annotated[str, Meta(description="the folder of the claim's file")]
    function: Annotated[str, Meta(description="the claim: a pytest function, whatever cases and models it is asked of")]
    sentence: Annotated[str, Meta(description="the proposition, as the claim's docstring begins")]
    model: Annotated[str, Meta(description="empty for claims about no one model")]
    verdict: Annotated[Outcome, Meta(description="what the comparison said; docs/GLOSSARY.md has the words")]
    twin: Annotated[TwinWord, Meta(description="what became of the untrained and the permuted twin of the model")]
    estimate: Annotated[float | None, Meta(description="the number that was compared; `quantity` says of what")]
    low: Annotated[float | None, Meta(description="lower end of the 95 % interval")]
    high: Annotated[float | None, Meta(description="upper end of the 95 % interval")]
    n: Annotated[int | None, Meta(description="how many units were measured")]
    clusters: Annotated[
        int | None,
        Meta(description="how many clusters, or levels of what limits the interval, they have; null where independent"),
    ]
    method: Annotated[str | None, Meta(description="how the interval was made")]
    bound: Annotated[str | None, Meta(description="the bound as text", examples=[">= 0.40", "within -0.05 and 0.05"])]
    flags: Annotated[tuple[str, ...], Meta(description="words of caution")]
    case: Annotated[str, Meta(description="the claim's arguments besides its model")]
    source: Annotated[str, Meta(description="where the claim or its bound comes from")]
    kind: Annotated[Kind | None, Meta(description="whether one number is compared, or every or some of a family")]
    bounds: Annotated[tuple[tuple[Sign, float], ...], Meta(description="the bound as numbers; two of a margin")]
    unit: Annotated[str | None, Meta(description="what a unit is")]
    across: Annotated[str | None, Meta(description="what the interval generalises over")]
    quantity: Annotated[str | None, Meta(description="what the estimate is, with its unit")]
    se: Annotated[float | None, Meta(description="standard error of the estimate")]
    p_supported: Annotated[float | None, Meta(description="level at which the interval's end reaches the bound")]
    p_refuted: Annotated[float | None, Meta(description="the same from the other side")]
    holm: Annotated[Word | None, Meta(description="the word after Holm's correction over the model's claims")]
    benjamini_hochberg: Annotated[Word | None, Meta(description="the word after Benjamini and Hochberg's")]
    n_to_decide: Annotated[int | None, Meta(description="the sample that would decide an INCONCLUSIVE comparison")]
    ok: Annotated[bool, Meta(description="as claimed, as marked, gated or not run")]
    expected: Annotated[str, Meta(description="the word that a mark expects; empty without a mark")]
    why: Annotated[str, Meta(description="the reason of the mark")]
    message: Annotated[str, Meta(description="the numbers of the comparison, or what went wrong")]
    remarks: Annotated[tuple[str, ...], Meta(description="what must stand beside the numbers")]
    named: Annotated[tuple[str, ...], Meta(description="parts named by hand, picks inside evidence functions")]
    history: Annotated[tuple[str, ...], Meta(description="what changed of the question after evidence was seen")]
    registration: Annotated[str, Meta(description="what the order of commits shows: registered before its evidence?")]
    registration_why: Annotated[str, Meta(description="what that word rests on")]
    tried: Annotated[str, Meta(description="what other draws of prompts came to; empty without any")]
    evidence: Annotated[tuple[str, ...], Meta(description="files below artifacts/evidence")]
    file: Annotated[str, Meta(description="the claim's file")]
    line: Annotated[int, Meta(description="where in the file the claim begins")]
    control: Annotated[ControlResult | None, Meta(description="the control that decides; null where none is needed")]
    controlled_by: Annotated[By, Meta(description="of a supported claim what controls it, or UNCONTROLLED")]
    variance: Annotated[
        dict[str, float], Meta(description="share of the units' variance that goes with each thing they share, alone")
    ]
    reported: Annotated[
        Reported | None, Meta(description="what a paper gives for the sentence; null where it is no published one")
    ]
    replication: Annotated[
        Replication | None, Meta(description="the published sentence's outcome on a pretrained model; null elsewhere")
    ]
    dithered: Annotated[
        DitheredResult | None, Meta(description="a primary sentence after noise of a quantisation step; null elsewhere")
    ]
    split: Annotated[
        Split,
        Meta(description="split of the prompts that decide; empty where none was measured"),
    ]
    prompts: Annotated[tuple[str, ...], Meta(description="sets of prompts that decide, each by its fingerprint")]
    weights: Annotated[dict[str, str], Meta(description="sha256 of the weights of each checkpoint that was read")]
    evidence_sha256: Annotated[
        tuple[str, ...],
        Meta(description="of each file of `evidence` the sha256 that its first line has"),
    ]
    registered: Annotated[
        str,
        Meta(description="the register's line that says what the claim says, by its hash; or empty"),
    ]


class Results(Struct, frozen=True):
    """results.json: one entry a claim and model, in the order in which the record is read."""

    schema: Annotated[Literal[2], Meta(description="fields are added under one number; one that changes makes another")]
    claims: Annotated[tuple[ClaimResult, ...], Meta(description="the verdicts: a claim in one case on one model each")]


# What the fields of mechlib.verdicts.reported.Reported hold.
_REPORTED = {
    "value": "the paper's number, in the unit of the estimate, a share as 0.993; null where it gives none",
    "where": "the paper and the place in it",
    "unit": "what the number is of: logits, of 144 heads; empty for a share",
    "sentence": "the published sentence; empty where it is the claim's own",
    "primary": "whether it was named before confirmation as one that the audit rests on",
    "exists": "whether it says that some part does it, so that any other part that does makes it true",
}


def schema() -> str:
    """The JSON Schema of results.json, from its types: a field that it does not describe is none of results.json."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Results)}
    for name, said in _REPORTED.items():
        found["$defs"]["Reported"]["properties"][name]["description"] = said
    for of in found["$defs"].values():
        of["additionalProperties"] = False
    return pretty(found)


def pretty(value: Any) -> str:
    """JSON to read, one field a line."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"
