"""Measurements: one value a unit and column, checked where they are made."""

import math
import operator

import numpy as np
import pytest

from mechlib.measurement import Measurement
from mechlib.parts.heads import EmptySelection, Head, Selection, heads
from mechlib.prompts.promptset import Prompt, PromptSet

GRID = Measurement(np.arange(12.0).reshape(3, 4), ("a", "b", "c"), columns=("0.0", "0.1", "1.0", "total"))


def test_columns_are_chosen_by_name_by_head_and_by_selection():
    assert GRID["total"].array.tolist() == [3, 7, 11]
    assert GRID[Head(0, 1)].array.tolist() == [1, 5, 9]
    assert GRID[heads("1.0 0.0")].columns == ("0.0", "1.0")
    chosen = GRID[Selection((Head(1, 0), Head(0, 0)), frozenset())]
    assert chosen.values.tolist() == [[0, 2], [4, 6], [8, 10]]
    assert GRID[["total", "0.0"]].values.tolist() == [[3, 0], [7, 4], [11, 8]]
    assert GRID.without(heads("0.0 0.1")).columns == ("1.0", "total")
    assert GRID.head_columns == ("0.0", "0.1", "1.0")


def test_choosing_columns_keeps_everything_else():
    m = Measurement(
        np.ones((2, 2)), ("a", "b"), "pair", ("0.0", "0.1"), ("t", "u"), ("8", "9"), True, "right", source="x.jsonl"
    )
    chosen = m[Head(0, 1)]
    assert (chosen.units, chosen.unit, chosen.clusters, chosen.strata) == (m.units, "pair", m.clusters, m.strata)
    assert (chosen.yes_no, chosen.of, chosen.source) == (True, "right", "x.jsonl")


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(KeyError, match=r"no column 7\.7: there are 0\.0"):
        GRID[Head(7, 7)]
    with pytest.raises(KeyError, match=r"no column 0: columns go by name, 0\.0, .*; rows are `\.values`"):
        GRID[0]
    with pytest.raises(EmptySelection):
        GRID[[]]
    with pytest.raises(EmptySelection):
        GRID[Selection((), frozenset())]
    with pytest.raises(ValueError, match="4 columns"):
        _ = GRID.array


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_refused_by_name(bad):
    values = np.ones((3, 2))
    values[1, 1] = bad
    with pytest.raises(ValueError, match=rf"{bad} for sequence b in column 0\.1"):
        Measurement(values, ("a", "b", "c"), unit="sequence", columns=("0.0", "0.1"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"units": ("a", "b")}, "shape"),
        ({"units": ("a", "a", "b")}, "repeated units"),
        ({"values": np.ones((3, 2)), "columns": ("x", "x")}, "repeated columns"),
        ({"clusters": ("t",)}, "1 clusters for 3 units"),
        ({"clusters": ("t", "", "t")}, "1 of 3 units have no cluster"),
        ({"strata": ("s", "s")}, "2 strata for 3 units"),
        ({"values": [0, 1, 2], "yes_no": True}, "other than 0 and 1"),
        ({"values": np.empty((0, 1)), "units": ()}, "nothing was measured"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Measurement(**({"values": np.ones(3), "units": ("a", "b", "c")} | fields))


def test_a_vector_is_one_column_of_float64():
    m = Measurement(np.arange(3, dtype=np.float16), ("a", "b", "c"))
    assert (m.values.shape, m.values.dtype, m.columns) == ((3, 1), np.float64, ("value",))
    assert len(m) == 3


PROMPTS = PromptSet(
    "sums",
    "confirmation",
    tuple(Prompt(f"{a} + 9", str(a + 9), labels=(("carry", "carry" if a else "no carry"),)) for a in range(4)),
)
SUMS = Measurement(np.arange(4.0), tuple(row.fingerprint for row in PROMPTS), prompts=(PROMPTS,))


def test_strata_come_from_a_label_of_each_units_own_prompt_whatever_the_order():
    order = [2, 0, 3, 1]
    shuffled = Measurement(SUMS.values[order], tuple(SUMS.units[row] for row in order), prompts=(PROMPTS,))
    by = shuffled.by("carry")
    assert by.strata == ("carry", "no carry", "carry", "carry")
    assert by.stratum("no carry").array.tolist() == [0]
    assert (by.values.tolist(), by.units) == (shuffled.values.tolist(), shuffled.units)


def test_a_label_that_prompts_do_not_have_is_refused_with_those_they_have():
    with pytest.raises(ValueError, match="no label 'tens': this prompt has carry"):
        SUMS.by("tens")
    with pytest.raises(ValueError, match="prompt a is none of the prompts"):
        GRID.by("carry")


def test_the_interaction_is_what_is_lost_together_less_what_each_loses_alone():
    # the first unit loses 1 and 2 alone and 7 together: 4 more; the second 3 and 1, and 2 together: 2 less
    m = Measurement([[9, 8, 3, 10], [2, 4, 3, 5]], ("a", "b"), columns=("0.0", "0.1", "together", "intact"))
    assert m.interaction("together", heads("0.0 0.1"), "intact").array.tolist() == [4, -2]
    losses = m.with_columns({name: m["intact"].array - m[name].array for name in ("0.0", "0.1", "together")})
    assert losses.interaction("together", ["0.0", "0.1"]).array.tolist() == [4, -2]
    assert m.interaction("0.0", ["0.0"], "intact").array.tolist() == [0, 0], "one part interacts with nothing"
    right = Measurement([[1, 1, 0, 1], [0, 0, 0, 1]], ("a", "b"), columns=m.columns, yes_no=True)
    found = right.interaction("together", ["0.0", "0.1"], "intact")
    assert found.array.tolist() == [1, -1] and not found.yes_no


def test_an_interaction_names_the_column_that_is_missing():
    with pytest.raises(KeyError, match="no column intact"):
        GRID.interaction("total", ["0.0"], "intact")
    with pytest.raises(EmptySelection):
        GRID.interaction("total", [])


def test_heads_of_a_layer_that_no_column_is_of_are_refused_with_the_columns_there_are():
    with pytest.raises(EmptySelection, match="no column is a head of layer 7: there are "):
        GRID.in_layer(7)


def test_several_columns_are_averaged_unit_by_unit():
    m = Measurement([[1.0, 3.0, 9.0], [2.0, 6.0, 9.0]], units=("a", "b"), columns=("0.0", "0.1", "total"))
    assert m.averaged(heads("0.0 0.1")).array.tolist() == [2, 4]
    with pytest.raises(EmptySelection):
        m.averaged([])


def test_clusters_can_stand_as_strata():
    m = Measurement([1.0, 2.0, 3.0], units=("a", "b", "c"), clusters=("s", "t", "s"), strata=("x", "x", "y"))
    assert m.by_cluster().stratum("s").array.tolist() == [1, 3]
    with pytest.raises(ValueError, match="no clusters"):
        GRID.by_cluster()


def test_values_that_are_a_number_are_counted():
    chosen = Measurement([1.0, 2.0, 1.0], units=("a", "b", "c"), of="number given").equal_to(1)
    assert chosen.yes_no and chosen.array.tolist() == [1, 0, 1] and chosen.of == "number given is 1"


@pytest.mark.parametrize("compared", [operator.ge, operator.gt, operator.le, operator.lt])
@pytest.mark.parametrize("bound", [0.1, np.float64(0.1), np.arange(2)])
def test_a_measurement_is_never_compared_as_a_whole(compared, bound):
    values = Measurement(np.arange(2.0), ("a", "b"))
    for sides in ((values, bound), (bound, values)):
        with pytest.raises(TypeError, match=r"has 2 values, one for each prompt.*did you mean mean\(measurement\) >= "):
            compared(*sides)


@pytest.mark.parametrize("calculate", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_measurements_are_not_calculated_with(calculate):
    values = Measurement(np.arange(2.0), ("a", "b"))
    for sides in ((values, values), (values, 0.5), (np.float64(0.5), values)):
        with pytest.raises(TypeError, match=r"did you mean difference\(a, b\) of two"):
            calculate(*sides)
    with pytest.raises(TypeError, match="did you mean"):
        abs(-values)
