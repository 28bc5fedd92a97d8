"""Published sentences on minis and on pretrained models, with every way in which one can come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mechlib.statistics.families import every
from mechlib.verdicts.controls import Control
from mechlib.verdicts.record import Record
from mechlib.verdicts.reported import Reported
from mechlib.verdicts.verdict import Verdict
from tests.helpers.sample_record import MINIS, Sample, estimate

SMOLLM, GEMMA, QWEN = PRETRAINED = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b")
WANG = "Wang et al. 2022, arXiv:2211.00593, section 2"
NOT_ASKABLE = """
[[sentence]]
sentence = "Heads of indirect objects and of coloured objects are the same, but for a fifth."
value = 0.78
where = "Merullo et al. 2023, arXiv:2310.08744, abstract"
why = "coloured objects have no words of one token here"

[[sentence]]
sentence = "Adding is done in one middle layer."
where = "All for one 2025, arXiv:2509.09650"
why = "one layer was never the majority of its layers"
models = ["gemma3-270m"]
"""
SEEN = Control("control=", "layer 3", 1, 1, word="void", message="0.61 [0.5, 0.7] of layer 3")
PASSED = Control("heads of its layer", "23.3", 39, 0, word="passed", message="0 of 39 sets are as claimed")


def about(level: float, spread: float = 0.5, n: int = 384, of: str = "logits", seed: int = 0) -> np.ndarray:
    """Units around a level, the same for the same seed."""
    values = np.random.default_rng(seed).normal(level, spread, n)
    return values - values.mean() + level


class Published(Sample):
    """Builds the records of published sentences, topic "published"."""

    def say(self, name: str, sentence: str, model: str, verdict: Verdict | None, word: str = "", **more: Any) -> Record:
        """One claim on one model, controlled by its twins unless told otherwise."""
        said: dict[str, Any] = {"twin": "controlled", "registered": "0123abcd", "registration": "REGISTERED", **more}
        return self.add(f"test_{name}", sentence, model, verdict, word, **{"topic": "published", **said})


def published_sample(root: Path) -> list[Record]:
    """Six sentences that are asked, two that cannot be; files what cannot be asked below `root`."""
    (root / "claims").mkdir(parents=True, exist_ok=True)
    (root / "claims" / "not_askable.toml").write_text(NOT_ASKABLE, encoding="utf-8")
    made = Published(root)
    _preference(made)
    _heads(made)
    _layers(made)
    _weak(made)
    return made.records


def _preference(made: Published) -> None:
    """Held everywhere on the minis; replicated, contradicted, open."""
    made.line = 1
    paper = Reported(3.56, WANG, "logits", primary=True)
    sentence = "The indirect object leads by at least 2 logits on average."
    for seed, model in enumerate(MINIS):
        made.say("it_leads", sentence, model, estimate(about(3 + 0.2 * seed)) >= 2, reported=paper)
    made.say("it_leads", sentence, SMOLLM, estimate(about(4.97)) >= 2, reported=paper, controls=[PASSED])
    low = estimate(about(0.6)) >= 2
    made.say("it_leads", sentence, GEMMA, low, reported=paper, controls=[SEEN], expected="REFUTED")
    made.say("it_leads", sentence, QWEN, estimate(about(2.03)) >= 2, reported=paper, expected="INCONCLUSIVE")
    made.say("it_leads", sentence, "gpt2-small", None, "NOT RUN", reported=paper).message = "run `mechlib fetch`"


def _heads(made: Published) -> None:
    """Another function for the pretrained models than for the minis, one row: its sentence is the paper's."""
    paper = Reported(0.59, f"{WANG}.1", sentence="Name movers attend to the indirect object.", primary=True)
    made.line = 2
    looks = estimate(about(0.7, 0.2)) >= 0.4
    made.say("small_movers_look", "The strongest head looks at IO.", "mini-0", looks, reported=paper)
    made.line = 3
    sentence = "The chosen heads look at the indirect object by at least .4."
    made.say("movers_look", sentence, SMOLLM, estimate(about(0.1, 0.2)) >= 0.4, reported=paper, expected="REFUTED")
    made.say("movers_look", sentence, GEMMA, None, "GATED", reported=paper).message = "preference 0.52 >= 0.80"
    made.say("movers_look", sentence, QWEN, None, "NOT RUN", reported=paper).message = "run `mechlib fetch qwen`"


def _layers(made: Published) -> None:
    """A family of which one member fails and another is as claimed; an ERROR; a VOID."""
    made.line = 4
    paper = Reported(None, "Stolfo et al. 2023, arXiv:2305.15054, section 4")
    sentence = "Every chosen head moves an operand."
    small = [estimate(about(level, 0.3), name=name) for name, level in (("1.2", 0.8), ("1.5", 0.9))]
    made.say("heads_move", sentence, "mini-1", every(small) >= 0.5, reported=paper)
    found = [estimate(about(level, 0.3), name=name) for name, level in (("16.8", 0.8), ("16.11", 0.1))]
    made.say("heads_move", sentence, QWEN, every(found) >= 0.5, reported=paper, expected="REFUTED")
    made.say("heads_move", sentence, SMOLLM, None, "ERROR", reported=paper).message = "a total of 0.02"
    held = estimate(about(0.9, 0.3)) >= 0.5
    made.say("heads_move", sentence, GEMMA, held, "VOID", reported=paper, twin="void", expected="VOID")


def _weak(made: Published) -> None:
    """What is supported by nothing that could have failed, and what a correction takes away."""
    made.line = 5
    paper = Reported(0.04, "Hanna et al. 2023, arXiv:2305.00586, section 3")
    sentence = "The cutoff is sharp, by digit."
    made.say("the_cutoff_is_sharp", sentence, SMOLLM, estimate(about(0.2, 0.2)) >= 0.04, twin="silent", reported=paper)
    barely = estimate(about(0.052, 0.11)) >= 0.04
    made.say("the_cutoff_is_sharp", sentence, QWEN, barely, reported=paper)
    made.line = 6
    made.say("nothing_published", "A sentence of our own.", SMOLLM, estimate(about(1)) >= 0.5)
