"""The models that claims are about, by name.

Five trainings of one recipe ship with the record and carry the claims. `mini-pilot`, a sixth, is for looking and for
setting bounds, and `mini-half`, a checkpoint of mini-0 that answers about three of five sums, for right against wrong;
both are named where they are asked. Models of the Hub are judged where their evidence is filed or their weights are:
`mechlib fetch NAME`. Three pretrained models come with the package index (`mechlib models`), as 4-bit values: published
sentences are asked of them, and of two minis beside them, for a sentence that fails everywhere may be a fault of ours.
"""

MINIS = ("mini-0", "mini-1", "mini-2", "mini-3", "mini-4")
PRETRAINED = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b")
AUDITED = (*PRETRAINED, "mini-0", "mini-1")
HUB = (
    "gpt2-small",
    "pythia-70m",
    "pythia-160m",
    "pythia-410m",
    "pythia-1b",
    "pythia-1.4b",
    "pythia-2.8b",
    "qwen2.5-0.5b",
    "qwen2.5-3b",
)
UP_TO_A_BILLION = ("gpt2-small", "pythia-70m", "pythia-160m", "pythia-410m", "pythia-1b")
