"""What a paper reports of a sentence, and the words that the sentence ends with where it is asked of another model."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

Replication = Literal["REPLICATED", "CONTRADICTED", "UNDECIDED", "NOT ASKABLE", "NOT RUN"]
# In the order in which a reader wants them counted.
REPLICATIONS: tuple[Replication, ...] = get_args(Replication)
REPLICATION_MEANINGS: dict[Replication, str] = {
    "REPLICATED": "supported, registered before it was measured, controlled, and so after Holm's correction over "
    "the table",
    "CONTRADICTED": "refuted, registered so, after Holm's correction too; the same code supports the sentence on a "
    "planted or small model, and exceeds the bound elsewhere in this model; where it says that some part does it, "
    "no other part that was asked exceeds it either",
    "UNDECIDED": "anything else that was asked: an open interval, a closed gate, a refusal, a control that was not "
    "passed, what was explored before it was registered, a refutation that the instrument may owe to itself",
    "NOT ASKABLE": "the sentence has no operation that could be measured here",
    "NOT RUN": "nothing is filed, and the weights are not on this machine",
}


class Reported(Struct, frozen=True):
    """The number that a paper gives, beside which the claim's own stands.

    value     in the unit of the claim's estimate, a share as .993; None where the paper gives none
    where     the paper and the place in it, to read
    unit      what the value is of: "logits", "of 144 heads"; "" for a share
    sentence  the published sentence, where several claims ask it or it reads otherwise; "" for the claim's own
    primary   whether it was named before confirmation as one of the few that the audit rests on
    exists    whether it says that some part does it, so that any other part that does makes it true
    """

    value: float | None
    where: str
    unit: str = ""
    sentence: str = ""
    primary: bool = False
    exists: bool = False

    @property
    def number(self) -> str:
        """ "3.56 logits", "0.993"; empty where the paper gives no number."""
        return "" if self.value is None else f"{self.value:g} {self.unit}".strip()

    @property
    def counts_as(self) -> str:
        """What the claim counts as, for its line in the register: its number, its rank, its sentence."""
        said = [self.number or "no number", *(["primary"] if self.primary else [])]
        said += [*(["of some part"] if self.exists else []), self.sentence]
        return "; ".join(part for part in said if part)
