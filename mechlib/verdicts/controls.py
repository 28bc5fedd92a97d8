"""What a claim about a part came to with the part exchanged for others: the word of R31, and the numbers behind it."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

ControlWord = Literal["passed", "weak", "void", "no set", "by kind", "not measured", "error", "none"]
# In the order in which a reader wants them counted.
CONTROL_WORDS: tuple[ControlWord, ...] = get_args(ControlWord)


class Control(Struct, frozen=True):
    """One selection of a claim, exchanged for matched ones while everything else is held.

    kind         what it was exchanged for: "heads of its layer, then of the nearest", "random circuits on paths", ...
    part         what was exchanged, to read: "2.3", "1.2 2.3 2.5", "layer 2"; "" where the claim names no part
    word         passed        at most one in twenty: (k + 1) / (m + 1) <= .05
                 weak          between the two: nothing is shown either way, and no headline rests on it
                 void          more of them hold than chance explains, or most others of the same layer do
                 no set        the model has too few others to control this part
                 by kind       the estimate holds its own null, or no other set is of its kind
                 not measured  nothing is filed, and nothing may be measured
                 error         the exchange failed: `message` says where
                 none          the claim names no part
    sets         m, matched sets that were asked, and `on_the_side` k of them whose point estimate is as claimed
    in_layer     (k, m) among the disjoint sets of the same layer; None for a group, a layer, a circuit
    values       the point estimate with each set, in the order of the file; of a set that was silent there is none
    rank         the place of the chosen set's own estimate among these, 1 where it is the most extreme as claimed
    evidence     the file that these are read from, below the folder of evidence
    message      one line: the numbers, or the cure
    measured     whether they were measured in this run, `reproduced` how many sets came out as filed under --fresh
    flags        words of caution, as evidence has them
    """

    kind: str
    part: str = ""
    sets: int = 0
    on_the_side: int = 0
    in_layer: tuple[int, int] | None = None
    word: ControlWord = "none"
    values: tuple[float, ...] = ()
    rank: int | None = None
    evidence: str = ""
    message: str = ""
    measured: bool = False
    reproduced: int = 0
    flags: tuple[str, ...] = ()
