"""The key: it moves with the model's files, with helpers of one's own, with what the model sees, and with no more."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mechlib.evidence import EvidenceUse, NoEvidence, Store, using
from mechlib.faces import by_face
from mechlib.prompts.promptset import PromptSet
from tests.evidence.test_decorator import asked, toy
from tests.helpers import toys
from tests.helpers.toys import prompts

root = toys.root

# --- the model's files --------------------------------------------------------------------------------------------

CONFIG = {
    "n_layer": 4,
    "rope_theta": 1e4,
    "transformers_version": "5.0.0",
    "_name_or_path": "/tmp/a",
    "dtype": "float32",
}


@pytest.fixture
def folder(root: Path) -> Path:
    folder = root / "fixtures" / "mini-0"
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"transformers_version": "5.7.1"},
        {"_name_or_path": "mini-0"},
        {"dtype": "float16"},
        {"torch_dtype": "bfloat16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_configuration_says_of_its_file_does_not_move_the_key(root, folder, change):
    asked(root, "mini-0", prompts())
    (folder / "config.json").write_text(json.dumps({**CONFIG, **change}))
    assert not asked(root, "mini-0", prompts()).measured


def test_the_order_and_layout_of_a_configuration_do_not_move_the_key(root, folder):
    asked(root, "mini-0", prompts())
    (folder / "config.json").write_text(json.dumps(dict(reversed(CONFIG.items())), indent=4))
    assert not asked(root, "mini-0", prompts()).measured


@pytest.mark.parametrize("model", ["mini-0", "mini-0@permuted"])
@pytest.mark.parametrize(
    "change", [{"rope_theta": 1e6}, {"n_layer": 5}, {"attn_implementation": "eager"}, {"rope_theta": None}]
)
def test_any_other_value_of_a_configuration_is_another_model(root, folder, model, change):
    first = asked(root, model, prompts())
    (folder / "config.json").write_text(json.dumps({**CONFIG, **change}))
    second = asked(root, model, prompts())
    assert second.measured and second.change == "config changed"
    assert first.provenance["weights"] == second.provenance["weights"]


def test_another_tokenizer_is_another_model(root, folder):
    asked(root, "mini-0", prompts())
    (folder / "tokenizer.json").write_text('{"added_tokens": []}')
    assert asked(root, "mini-0", prompts()).change == "tokenizer changed"


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_both_files_of_a_tokenizer_in_two_count(root, folder, file):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text("{}")
    (folder / "merges.txt").write_text("a b\n")
    asked(root, "mini-0", prompts())
    (folder / file).write_text('{"a": 1}\n')
    assert asked(root, "mini-0", prompts()).change == "tokenizer changed"


def test_files_that_no_model_is_made_from_do_not_move_the_key(root, folder):
    asked(root, "mini-0", prompts())
    for name in ("README.md", "generation_config.json", "merges.txt"):
        (folder / name).write_text("{}")
    assert not asked(root, "mini-0", prompts()).measured


# --- helpers of one's own -----------------------------------------------------------------------------------------

ABOVE = """
from own_helpers import scaled

@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    return Measurement(np.array([scaled(len(row.clean)) for row in prompts]), [row.fingerprint for row in prompts])
"""
INSIDE = """
@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    from own_helpers import scaled

    return Measurement(np.array([scaled(len(row.clean)) for row in prompts]), [row.fingerprint for row in prompts])
"""
OWN = {
    "own_helpers.py": '''"""Mine."""
from math import floor as whole

from own.deep import added

def scaled(x):
    return 2.0 * x + added(x) + whole(0.5)

def idle():
    return 1
''',
    "own/__init__.py": "",
    "own/deep.py": """
from .nouns import Zero

def added(x):
    from . import digits
    return Zero().value + digits.NONE
""",
    "own/nouns.py": "class Zero:\n    value = 0.0\n",
    "own/digits.py": "NONE = 0\n",
}


@pytest.fixture
def own(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module and a package of one's own, which evidence functions of the house import."""
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name, text in OWN.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    yield root
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("own", "own_helpers")]:
        del sys.modules[name]


def edited(own: Path, text: str, name: str, old: str, new: str) -> tuple[EvidenceUse, EvidenceUse]:
    """The same question before and after an edit of one's own code."""
    assert old in OWN[name]
    (own / name).write_text(OWN[name])
    forget()
    first = asked(own, "mini-0", prompts(), text=text)
    (own / name).write_text(OWN[name].replace(old, new))
    forget()
    return first, asked(own, "mini-0", prompts(), text=text)


@pytest.mark.parametrize("text", [ABOVE, INSIDE], ids=["imported above", "imported inside"])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("own_helpers.py", "2.0 * x", "3.0 * x"),
        ("own_helpers.py", "floor", "ceil"),
        ("own/deep.py", "digits.NONE", "1"),
        ("own/nouns.py", "0.0", "1.0"),
        ("own/digits.py", "0", "1"),
    ],
    ids=["a helper", "what it imports", "what it calls", "a class that this reads", "what this imports inside itself"],
)
def test_an_edited_function_of_ones_own_package_is_another_question(own, text, name, old, new):
    first, second = edited(own, text, name, old, new)
    assert second.measured and second.change == "the function changed"
    assert first.measurement.array[0] != second.measurement.array[0]


@pytest.mark.parametrize("text", [ABOVE, INSIDE], ids=["imported above", "imported inside"])
@pytest.mark.parametrize(
    ("old", "new"),
    [('"""Mine."""', '"""What is mine."""'), ("    return 2.0", '    """Scaled."""\n    # Twice.\n    return 2.0')],
    ids=["a docstring of the file", "a docstring and a comment"],
)
def test_words_about_it_do_not_move_the_key(own, text, old, new):
    assert not edited(own, text, "own_helpers.py", old, new)[1].measured


def test_of_a_module_that_is_imported_inside_everything_counts_and_of_one_above_what_is_called(own):
    assert edited(own, INSIDE, "own_helpers.py", "return 1", "return 2")[1].measured
    assert not edited(own, ABOVE, "own_helpers.py", "return 1", "return 2")[1].measured


@pytest.mark.parametrize("text", [ABOVE, INSIDE], ids=["imported above", "imported inside"])
def test_frozen_says_that_the_function_changed(own, text):
    asked(own, "mini-0", prompts(), text=text)
    (own / "own/deep.py").write_text(OWN["own/deep.py"].replace("digits.NONE", "1"))
    forget()
    with pytest.raises(NoEvidence, match="since the function changed"):
        asked(own, "mini-0", prompts(), text=text, mode="frozen")


def test_a_constant_of_ones_own_package_is_refused_above_and_counts_inside(own):
    (own / "own_helpers.py").write_text("K = 2.0\n")
    constant = INSIDE.replace("import scaled", "import K").replace("scaled(len(row.clean))", "K")
    asked(own, "mini-0", prompts(), text=constant)
    (own / "own_helpers.py").write_text("K = 3.0\n")
    forget()
    assert asked(own, "mini-0", prompts(), text=constant).change == "the function changed"
    above = ABOVE.replace("import scaled", "import K").replace("scaled(len(row.clean))", "K")
    with pytest.raises(TypeError, match="scores reads the global K: make it an argument"):
        asked(own, "mini-0", prompts(), text=above)


# --- prompts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "known", [{"cluster": "a template"}, {"labels": (("length", "3"),)}, {"cluster": "t", "labels": (("a", "b"),)}]
)
def test_what_is_only_known_of_prompts_does_not_move_the_key(root, known):
    first = asked(root, "mini-0", prompts())
    named = PromptSet("toy", "confirmation", tuple(replace(row, **known) for row in prompts()))
    second = asked(root, "mini-0", named)
    assert not second.measured and second.key == first.key


@pytest.mark.parametrize("seen", [{"corrupted": "x"}, {"distractor": "x"}, {"answer": "x"}, {"glue": ""}])
def test_what_the_model_sees_of_one_prompt_moves_it(root, seen):
    asked(root, "mini-0", prompts())
    first, *others = prompts()
    assert asked(root, "mini-0", PromptSet("toy", "confirmation", (replace(first, **seen), *others))).measured


MEASURED = """
@evidence
def scores(model: str, prompts: PromptSet) -> Measurement:
    return Measurement(np.array([{value} for row in prompts]), [row.fingerprint for row in prompts])
"""


def key_of(own: Path, text: str) -> str:
    forget()
    return asked(own, "mini-0", prompts(), text=text).key


def test_the_value_of_a_helpers_default_counts_where_the_source_gives_a_name(own):
    text = "from own.digits import NONE\n\ndef at(x, by=NONE):\n    return x + by\n" + MEASURED.format(value="at(1.0)")
    assert edited(own, text, "own/digits.py", "0", "1")[1].measured


def test_which_name_means_which_helper_counts(own):
    text = "from own_helpers import scaled as p, idle as q\n" + MEASURED.format(value="p(q())")
    (own / "own_helpers.py").write_text("def scaled(x=3):\n    return 2.0 * x\n\ndef idle(x=1):\n    return 1.0 + x\n")
    assert key_of(own, text) != key_of(own, text.replace("scaled as p, idle as q", "scaled as q, idle as p"))


def test_a_name_that_two_files_import_differently_counts_in_both(own):
    (own / "own_helpers.py").write_text("from math import floor as r\n\ndef scaled(x):\n    return r(x)\n")
    text = "from math import ceil as r\nfrom own_helpers import scaled\n" + MEASURED.format(value="r(scaled(1.5))")
    assert key_of(own, text) != key_of(own, text.replace("ceil", "trunc"))


def test_every_module_behind_a_dotted_import_counts(own):
    (own / "own/other.py").write_text("N = 1\n")
    text = "import own.digits\nimport own.other\n" + MEASURED.format(value="own.digits.NONE + own.other.N")
    first = key_of(own, text)
    (own / "own/digits.py").write_text("NONE = 5\n")
    second = key_of(own, text)
    (own / "own/other.py").write_text("N = 2\n")
    assert len({first, second, key_of(own, text)}) == 3


def test_a_star_names_an_instrument_by_its_face():
    assert by_face("mechlib.lab.models.loading.load") == "mechlib.lab.load"
    assert by_face("mechlib.parts.heads.heads") == "mechlib.heads"
    assert by_face("math.floor") == "math.floor"


def test_two_functions_of_one_name_in_a_topic_are_refused_before_either_is_lost(own):
    one, other = (MEASURED.format(value=value) for value in ("1.0", "2.0"))
    with using(Store(own, say=lambda line: None)):
        toy(own, one).scores("mini-0", prompts())
        with pytest.raises(ValueError, match="two evidence functions of the topic toy are called scores"):
            toy(own, other).scores("mini-0", prompts())
