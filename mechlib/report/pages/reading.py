"""What the words and signs of a row mean, each in a line: of register and history, of flags, of marks."""

from __future__ import annotations

from mechlib.evidence.lookup import OLDER, UNCHECKED, UNFILED
from mechlib.verdicts.words import AFTER_LOOKING, BY_HAND

# What the order of commits shows; the words are those of mechlib.judging.registration.
REGISTRATIONS = {
    "REGISTERED": "its line in the register was committed before any of its prompts had evidence on this model",
    "REGISTERED, PROMPTS SEEN": "its line came before its own evidence; another claim had shown some of its prompts",
    "AMENDED": "registered before its evidence, and a measurement was mended since; the reason opens below the row",
    "EXPLORATORY": "no line of the register came before its evidence: something found, and no prediction tested",
    "CLAIM FIRST": "older than the register of predictions: the claim was committed before its evidence",
    "TOGETHER": "older than that register: claim and evidence came in one commit, or some evidence before the claim",
    "EVIDENCE FIRST": "older than that register: its evidence was committed before the claim",
    "ORDER UNKNOWN": "git's history is not at hand, or is cut",
}
# What changed after evidence was seen: the words that mechlib.report.content.summary.change gives.
CHANGES = {
    "bound": "the number that it is held against",
    "question": "the expression that is compared with the bound",
    "evidence": "what it is judged by was measured anew: other prompts, mended code, other weights",
    "text": "something else of what was registered: its sentence, its prompts, what it calls",
    "word": "the verdict alone, or another line of its history",
}
FLAGS = {
    OLDER: "the code that measured it has changed since; the verdict stands until it is measured again",
    UNCHECKED: "its weights could not be compared with those that the evidence names",
    UNFILED: "which prompts it was measured on is not filed, so that they cannot be read again",
    "NOT REGISTERED": "its judgement could not be written to the register",
}
NAMES = {
    BY_HAND: "below a row: a part that the claim names, and no table, figure or section of a paper does",
    AFTER_LOOKING: "below a row: such a part, where evidence of this model and task is older than the claim",
}
DRAWS = {"other draws": "the same claim was judged on prompts of another seed too; how often, and what came of it"}
# What the column "controlled by" says: by what, and where that says nothing, why.
CONTROLS = {
    "twins": "it holds neither of the model as training starts nor of its weights, permuted",
    "matched parts": "other parts of the same size, kind and layers in the place of its own; how many sets do as well",
    "control=": "a control that the claim names",
    "beside=": "an absence beside an effect that the same instrument sees, one to three bounds large",
    "its own null": "its number is held against that of random sets already",
    "planted": "its models have weights that were set by hand",
    "void": "it holds of a control as well, or on a twin",
    "UNCONTROLLED": "supported, and nothing that could have failed was passed: counted apart, in no headline",
    "weak": "more sets do as well than one in twenty: nothing is shown either way",
    "no set": "the model has too few other parts of this kind",
    "not measured": "the control is not filed",
    "error": "the exchange of parts failed; below the row it says where",
}
MARKS = {
    "●": "a number on the claimed side with all of its interval; of a box or a strip, the mean",
    "✗": "a number on the other side",
    "○": "large and in colour: an interval across its bound (struck: VOID); small and grey, or in the column of "
    "controls: the twin as training starts",
    "◇": "the twin with each weight matrix permuted",
    "▼": "a paper's number",
    "◂ ▸": "a number beyond the drawn axis",
    "~": "supported and UNCONTROLLED, where claims stand over models",
}


def definitions() -> dict[str, dict[str, str]]:
    """Words as rows show them, and what each means, by what they are about."""
    return {
        "The order of commits": {word.lower(): said for word, said in REGISTRATIONS.items()},
        "Changed after evidence was seen": {f"changed: {word}": said for word, said in CHANGES.items()},
        "Cautions": {(word.lower() if word == OLDER else word): said for word, said in FLAGS.items()} | DRAWS | NAMES,
        "Controlled by": CONTROLS,
        "Marks": MARKS,
    }
