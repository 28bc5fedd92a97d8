"""A record as a run leaves it, with its evidence files: claims of every outcome, and text that wants to break pages."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mechlib.evidence import files as store
from mechlib.evidence import sealed
from mechlib.measurement import Measurement
from mechlib.statistics.estimate import Distribution, Estimate
from mechlib.statistics.families import every
from mechlib.verdicts.controlled import controlled
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Comparison, ModelRead, Record, ShownFigure, TwinOutcome
from mechlib.verdicts.verdict import Verdict

MINIS = tuple(f"mini-{n}" for n in range(5))
HOSTILE = (
    "<script>alert('no')</script></script><!-- & | \\ \\textbf{x} `code` **bold** [a](javascript:b) $x^2$ _u_ "
    '" onload="x #hash ~ % {{ braces }} Übergröße – 你好 ' + "long " * 30
)
SENTENCE = "The strongest head attends from the last word to the word after its previous occurrence with at least 40 %."
HEADS = tuple(f"{layer}.{head}" for layer in range(4) for head in range(8))
CODE = '''@pytest.mark.parametrize("model", MINIS)
def test_claim(model):
    """A sentence with <b>markup</b> & an ampersand."""
    head = strongest(attention(model, induction(split="discovery"), "after previous occurrence"))
    assert mean(attention(model, induction(), "after previous occurrence")[head]) >= 0.4
'''


def estimate(values: np.ndarray, strata: tuple[str, ...] = (), name: str = "", of: str = "a share") -> Estimate:
    """A mean with a normal interval, and the distribution of its units."""
    n, middle, se = len(values), float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    low, lower, median, upper, high = (float(q) for q in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
    wrong = float((np.sign(values) == -np.sign(middle)).mean())
    kept = np.asarray(strata)
    strip = tuple((s, int((kept == s).sum()), float(values[kept == s].mean())) for s in dict.fromkeys(strata))
    return Estimate(
        middle,
        middle - 1.96 * se,
        middle + 1.96 * se,
        n,
        "sequence",
        "sequences",
        "bootstrap-t",
        se,
        name=name,
        of=of,
        distribution=Distribution(low, lower, median, upper, high, wrong),
        strip=strip,
    )


class Sample:
    """Builds records below a root; evidence is filed as the store files it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records: list[Record] = []
        self.line = 0

    def file(self, function: str, model: str, measurement: Measurement, topic: str = "induction") -> str:
        """Files a measurement; returns its path below artifacts/evidence."""
        path = f"{topic}/{function}--{model.replace('@', '-')}--0123abcd.jsonl"
        first = {
            "question": f"{function}(model={model}, prompts=induction(confirmation, n={len(measurement)}))",
            "function": function,
            "model": model,
            "key": "0123abcd" * 8,
            "weights": "ab" * 32,
            "dtype": "float32",
            "processing": "raw",
            "bos": True,
            "arguments": {"prompts": "induction(confirmation, n=400) " + "cd" * 32},
            "stamp": {"torch": "2.13.0", "transformer-lens": "3.9.0", "mechlib.lab.attribution.direct": "ef" * 32},
        }
        sealed.write(self.root / "artifacts/evidence" / path, store.encode(first, measurement))
        return path

    def add(
        self, function: str, sentence: str, model: str, verdict: Verdict | None, word: str = "", **more: Any
    ) -> Record:
        record = Record(
            id=f"{more.get('topic', 'induction')}.{function}" + (f"[{model}]" if model else ""),
            topic=more.pop("topic", "induction"),
            function=function,
            sentence=sentence,
            model=model,
            code=CODE,
            line=self.line,
            file="claims/test_induction.py",
            verdict=word or ("ERROR" if verdict is None else verdict.word),
            message=str(verdict) if verdict is not None else "it broke",
            comparison=None if verdict is None else Comparison.of(verdict.to_dict()),
            **more,
        )
        record.ok = record.verdict in ("SUPPORTED", "GATED", "NOT RUN") or record.expected == record.verdict
        if record.model:
            record.models = record.models or [
                ModelRead(record.model, weights="ab" * 32, dtype="float32", processing="raw", bos=True)
            ]
        bounds = record.comparison.bounds if record.comparison else ()
        record.controlled = controlled(record.verdict, bounds, record.twin, record.controls)
        if record.uncontrolled:
            record.flags = [*record.flags, "UNCONTROLLED"]
        self.records.append(record)
        return record


def heads_measurement(seed: int, strong: dict[str, float], spread: float = 0.02, n: int = 200) -> Measurement:
    rng = np.random.default_rng(seed)
    values = np.abs(rng.normal(0, spread, (n, len(HEADS))))
    for head, level in strong.items():
        values[:, HEADS.index(head)] = np.clip(rng.normal(level, 0.12, n), 0, 1)
    return Measurement(
        values,
        tuple(f"s{i}" for i in range(n)),
        "sequence",
        HEADS,
        strata=tuple(f"length {(8, 12, 16, 24)[i % 4]}" for i in range(n)),
        of="attention probability",
    )


def twin_entries(
    word: str = "REFUTED", level: float = 0.03, bound: float = 0.4, model: str = "mini-0"
) -> list[TwinOutcome]:
    entries = []
    for seed, twin in enumerate(("untrained", "permuted")):
        verdict = estimate(np.random.default_rng(seed).normal(level, 0.1, 200)) >= bound
        if word == "silent":
            reason = "RatioRefused: the denominator is not above zero"
            entries.append(TwinOutcome(f"{model}@{twin}", "silent", reason))
        else:
            compared = Comparison.of(verdict.to_dict())
            entries.append(TwinOutcome(f"{model}@{twin}", verdict.word, str(verdict), compared))
    return entries


def sample(root: Path) -> list[Record]:
    """About forty verdicts in three topics."""
    made = Sample(root)
    _attention_claim(made)
    _patching_claims(made)
    _family_claims(made)
    _odd_claims(made)
    _hostile_claims(made)
    return made.records


def _attention_claim(made: Sample) -> None:
    made.line = 10
    strong = {"mini-0": "1.4", "mini-1": "2.1", "mini-2": "1.0", "mini-3": "3.7", "mini-4": "1.5"}
    levels = {"mini-0": 0.93, "mini-1": 0.88, "mini-2": 0.83, "mini-3": 0.41, "mini-4": 0.75}
    rng = np.random.default_rng(5)
    for seed, model in enumerate(MINIS):
        measured = heads_measurement(seed, {strong[model]: levels[model], "0.1": 0.3})
        read = [made.file("attention", model, measured)]
        twins = [
            made.file("attention", f"{model}@{t}", heads_measurement(seed + 9, {})) for t in ("untrained", "permuted")
        ]
        pattern = np.tril(rng.random((14, 14)) ** 5)
        pattern /= pattern.sum(1, keepdims=True)
        words = tuple(f"{i} w{i % 7}" for i in range(14))
        shown = made.file("pattern", model, Measurement(pattern, words, "query", words, of="attention probability"))
        verdict = estimate(measured[strong[model]].array, measured.strata) >= 0.4
        made.add(
            "test_some_head_attends_after_the_previous_occurrence",
            SENTENCE,
            model,
            verdict,
            source="Olsson et al. 2022, section 2; the bound from mini-pilot.",
            twin="controlled",
            details="Selected on discovery prompts, judged on confirmation prompts.\n\nTwo paragraphs of details.",
            twins=twin_entries(model=model),
            evidence=[*read, shown],
            twin_evidence=twins,
            shown=[
                ShownFigure("attention_pattern", "the selected head", shown, None),
                ShownFigure("heads_by_layer", "every head's score", read[0], HEADS),
            ],
            flags=["OLDER INSTRUMENTS"] if model == "mini-4" else [],
            history=["bound >= 0.60 -> >= 0.40 after evidence (it was REFUTED)"] if model == "mini-2" else [],
            expected="INCONCLUSIVE" if verdict.word == "INCONCLUSIVE" else "",
            why="the weakest of the five trainings",
        )
    made.add(
        "test_some_head_attends_after_the_previous_occurrence",
        SENTENCE,
        "gpt2-small",
        None,
        "NOT RUN",
        source="Olsson et al. 2022",
        twin="none",
    ).message = "run `mechlib fetch gpt2-small`, then `pytest -k some_head_attends`"


def _patching_claims(made: Sample) -> None:
    made.line = 40
    rng = np.random.default_rng(11)
    for seed, model in enumerate(MINIS):
        values = rng.normal((0.51, 0.27, 0.62, 0.40, 0.45)[seed], 0.4, 400)
        effects = heads_measurement(seed + 50, {})
        effects = Measurement(
            effects.values - 0.02 + 0.5 * (np.arange(32) == 12),
            effects.units,
            "sequence",
            (*HEADS,),
            strata=effects.strata,
            of="logit difference restored, in logits",
        )
        path = made.file("restored", model, effects)
        verdict = estimate(values, tuple(f"length {8 + i % 8}" for i in range(400)), of="share restored") >= 0.4
        gate = estimate(rng.normal(0.95, 0.05, 400)) >= 0.9
        made.add(
            "test_patching_the_head_restores_two_fifths",
            "Patching the selected head clean into corrupted brings back at least 40 % of the logit difference.",
            model,
            verdict,
            source="the pilot; Wang et al. 2022 give no such number.",
            gates=[Comparison.of(gate.to_dict())],
            twin="silent" if seed else "controlled",
            twins=twin_entries("silent" if seed else "REFUTED", model=model),
            evidence=[path],
            others=[Comparison.of((estimate(values) >= 0.1).to_dict())] if seed == 1 else [],
            expected="REFUTED" if verdict.word == "REFUTED" else "",
            why="the work is shared by three heads",
        )
    made.line = 50
    for kind in ("zero", "mean"):
        for model in MINIS[:3]:
            verdict = estimate(rng.normal(1.4, 0.8, 400), of="nats per token") >= 1.0
            record = made.add(
                "test_ablation_costs_a_nat",
                "Ablating the selected heads costs a nat.",
                model,
                verdict,
                twin="controlled",
                twins=twin_entries(bound=1.0, model=model),
            )
            record.id = record.id.replace("]", f"-{kind}]")


def _family_claims(made: Sample) -> None:
    made.line = 60
    rng = np.random.default_rng(3)
    for model in MINIS[:4]:
        members = [estimate(rng.normal(0.01, 0.1, 300), name=head) for head in HEADS[1:8]]
        made.add(
            "test_every_other_head_restores_less",
            "Every other head of the layer restores at most 5 %.",
            model,
            every(members) <= 0.05,
            twin="shown",
            twins=twin_entries("SUPPORTED", 0.01, 0.4, model),
        )
    made.line = 70
    share = np.random.default_rng(1).normal(0.002, 0.1, 200)
    nulls = made.file(
        "loss_added_by_others",
        "mini-0",
        Measurement(share, tuple(f"set{i}" for i in range(200)), "set of heads", of="loss added, in nats"),
    )
    margin = estimate(share).held_against(((">=", -0.05), ("<=", 0.05)))
    made.add(
        "test_random_sets_cost_nothing",
        "Matched random sets cost within 0.05 nats.",
        "mini-0",
        margin,
        evidence=[nulls],
        twin="shown",
        controls=[Control("beside=", sets=1, on_the_side=1, word="passed", values=(0.12,), message="0.12 is seen")],
        shown=[ShownFigure("distribution", "200 matched sets", nulls, None)],
    )


def _odd_claims(made: Sample) -> None:
    made.line = 80
    void = estimate(np.random.default_rng(2).normal(0.9, 0.1, 200)) >= 0.4
    made.add(
        "test_some_head_attends_to_the_first_token",
        "Some head attends to the first token.",
        "mini-0",
        void,
        "VOID",
        twin="void",
        twins=twin_entries(level=0.9),
    )
    closed = estimate(np.random.default_rng(2).normal(0.5, 0.4, 200)) >= 0.9
    made.add(
        "test_addition_uses_layer_0",
        "Addition uses layer 0.",
        "mini-3",
        None,
        "GATED",
        topic="addition",
        gates=[Comparison.of(closed.to_dict())],
    ).message = f"the gate stays closed, refuted: {closed}"
    made.line = 5
    exact = Estimate(3.2e-6, 3.2e-6, 3.2e-6, 1, "none", "this checkpoint", "exact", 0.0)
    made.add(
        "test_a_block_written_out_equals_the_library",
        "A block written out equals the library's to 1e-5.",
        "",
        exact <= 1e-5,
        topic="foundations",
        source="Elhage et al. 2021",
        twin="none",
    )


def _hostile_claims(made: Sample) -> None:
    made.line = 90
    bad = made.add(
        "test_hostile",
        HOSTILE,
        "mini-0",
        None,
        topic="hostile",
        source=HOSTILE,
        details=HOSTILE,
        flags=[HOSTILE],
        history=[HOSTILE],
        twin="none",
        evidence=["hostile/missing--mini-0--00000000.jsonl"],
    )
    bad.code, bad.message, bad.why = HOSTILE + "\n</script>", HOSTILE, HOSTILE
    bad.shown = [ShownFigure("no_such_plot", HOSTILE, "hostile/missing.jsonl", None)]
    strata = tuple(f"template {i % 3} {HOSTILE}" for i in range(60))
    values = np.random.default_rng(8).normal(0.6, 0.1, (60, 1))
    path = made.file(
        "hostile",
        "mini-1",
        Measurement(
            values, tuple(f"{i} </svg>{HOSTILE}" for i in range(60)), "prompt", (HOSTILE,), strata=strata, of=HOSTILE
        ),
        "hostile",
    )
    made.add(
        "test_hostile",
        HOSTILE,
        "mini-1",
        estimate(values[:, 0], strata, HOSTILE, HOSTILE) <= 0.4,
        topic="hostile",
        evidence=[path],
        twin="controlled",
        twins=[TwinOutcome("mini-1@untrained", "ERROR", HOSTILE)],
        shown=[ShownFigure("by_stratum", HOSTILE, path, None)],
    ).code = HOSTILE


def card(root: Path, name: str) -> None:
    """A model card as training writes it, with two held-out figures."""
    scores = {
        "plain": {"value": 0.974, "low": 0.96, "high": 0.984, "n": 700},
        "repeat_nats": {"value": 0.031, "low": 0.02, "high": 0.04, "n": 400},
    }
    content = {
        "name": name,
        "parameters": 859_264,
        "sha256": "ab" * 32,
        "step": 6000,
        "scores": {"discovery": {}, "confirmation": scores},
        "gates": {"addition >= 95 %": True},
    }
    folder = root / "fixtures" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(content))
