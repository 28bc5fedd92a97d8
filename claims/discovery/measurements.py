"""Discovery: methods that find circuits are claims too, where the circuit is known.

The models here were written down weight by weight (`mechlib.checkpoints.planted`): an induction head with its
previous-token head, the duplicate-inhibit-copy circuit of indirect objects, an adder modulo ten whose sum an MLP makes;
*bias* is the adder whose MLP needs the constant output of one more head, *backup* has two inhibition heads each of
which is enough. Each stands among heads and MLPs that are as active as the circuit's and that nothing reads which
matters. So for every edge it is known whether it belongs to the circuit.

A unit is an embedding: one seed draws the rotation of the residual stream, the places of the circuit's heads and all
distractors. There are 20, the same for every claim, and what holds in 20 of 20 holds in at least 83 % (Clopper-
Pearson). What any code that works must find there is no claim: those twenty of twenty are tests of the instruments, on
two embeddings, in tests/lab/circuits/. So are what the sizes of gradients' scores and independence say of planted
circuits, which come out alike in all embeddings. Left is a sentence about random circuits, which are drawn anew for
each. The circuit is given, and judged on confirmation prompts. Bounds were set on embeddings from 100 on, of which none
is judged here.

Limits: nothing was trained. Embeddings differ in places and distractors, but what flows through the circuit is the same
in all of them but for the rotation: about distractors 20 embeddings are 20 trials, about sizes of effects they are one.

To be read in this order: test_hypotheses.
"""

KINDS = ("induction", "ioi", "adder")


def embeddings(kind: str, recipe: int) -> tuple[str, ...]:
    """Twenty models of one kind; the recipe of their weights is an argument, so that evidence is filed under it."""
    from mechlib.checkpoints import PLANTED_RECIPE

    if recipe != PLANTED_RECIPE:
        raise ValueError(f"recipe {recipe} of planted models is not at hand: theirs is {PLANTED_RECIPE}")
    return tuple(f"planted-{kind}-{seed}" for seed in range(20))
