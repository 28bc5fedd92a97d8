"""The meaning of a function moves with what it does and with nothing else."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from mechlib.evidence.code_hash import EvidenceRefused, check, meaning, source_of
from mechlib.evidence.modules import digest, normalised
from tests.helpers.toys import module

FIXED = '''
def fixed(model: str, scale: float = -1.5, *, names: tuple[str, ...] = ("a", "b")) -> dict[str, list[float]]:
    """A docstring."""
    import math as m
    from a.b import c as d

    def inner(x, /, *rest, key=None, **more):
        """Another."""
        return [y ** 2 for y in (x, *rest) if y not in (1, 2.0, 3j, b"b", True, None, ...)]

    class Local:
        """A third."""
        field: int = 1

    with open(model, "rb") as file, open(f"{scale!r:>{10}} and {names[0]}" "tail") as other:
        try:
            while (n := len(file.read(1_000))) and not n < 5 <= 6:
                n -= 1 if n else ~n
        except (OSError, ValueError) as error:
            raise RuntimeError from error
        finally:
            del other
    match scale:
        case {"a": [1, *others], **rest} | Local(field=2) if others:
            pass
        case None | -1:
            ...
    global_names = lambda a, b=2: (a, *names, {**rest}, {1, 2}, names[::2], d(m.pi))
    return {"x": inner(1)} | global_names(1)
'''
# On Python 3.11, 3.12, 3.13 and 3.14: a filed answer must not be lost by changing the interpreter.
FIXED_HASH = "259a9fc6571cdf662eb3e1fba6744cfb8a1e1c04cafe24c62432918d7132b566"


def of(text: str, tmp_path: Path, name: str = "f") -> str:
    function = getattr(module(tmp_path, text), name)
    return meaning(function, source_of(function))


def refusal(text: str, tmp_path: Path, name: str = "f") -> str:
    function = getattr(module(tmp_path, text), name)
    with pytest.raises(EvidenceRefused) as caught:
        check(function, source_of(function))
    return str(caught.value)


def test_the_hash_of_a_fixed_function_is_the_same_on_every_python():
    assert digest(normalised(ast.parse(FIXED))) == FIXED_HASH


def test_comments_docstrings_and_layout_do_not_move_the_meaning(tmp_path):
    bare = "def f(x: int):\n    return g(x) + 1\n\ndef g(x):\n    return [x, 2]\n"
    dressed = '''
    # A comment.


    def g(x):
        "What g does."
        # Another.
        return [
            x,
            2,
        ]

    def f(
        x: int,
    ):
        """What f does.

        At length.
        """
        return (g(x)) + 0x1
    '''
    assert of(bare, tmp_path) == of(dressed, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "x + 2"),
        ("x + 1", "x - 1"),
        ("x + 1", "x + 1.0"),
        ("x + 1", "x + True"),
        ("times(x", "times(-x"),
        ("y * 3", "y * 4"),
        ("y: y", "y: 2 * y"),
        ("return deep(z)", "return deep(z) + 1"),
        ("f(x, k=1)", "f(x, k=2)"),
        ("import math", "import cmath as math"),
        ("from json import dumps", "from pickle import dumps"),
    ],
)
def test_what_changes_a_number_moves_the_meaning(tmp_path, old, new):
    text = """
    import math
    from json import dumps

    def f(x, k=1):
        return [(lambda y: y)(times(x + 1)) for _ in dumps(math.pi)]

    def times(y):
        def nested():
            z = y * 3
            return deeper(z)
        return nested()

    def deeper(z):
        return deep(z)

    def deep(z):
        return z if z else deeper(z - 1)
    """
    assert old in text
    assert of(text, tmp_path) != of(text.replace(old, new), tmp_path)


def test_functions_that_are_not_called_do_not_matter(tmp_path):
    text = "def f(x):\n    return x\n"
    assert of(text, tmp_path) == of(text + "def unrelated():\n    return 1\nK = 3\n", tmp_path)


def test_the_decorator_is_not_part_of_the_meaning(tmp_path):
    plain = of("def f(x):\n    return x\n", tmp_path)
    function = module(tmp_path, "@evidence\ndef f(x):\n    return x\n").f.__wrapped__
    assert meaning(function, source_of(function)) == plain


def test_an_edit_after_the_function_was_made_is_not_taken_for_it(tmp_path):
    loaded = module(tmp_path, "def f(x):\n    return x + 1\n")
    source = source_of(loaded.f)
    before = meaning(loaded.f, source)
    (tmp_path / "test_toy.py").write_text("def f(x):\n    return x + 2\n")
    assert meaning(loaded.f, source) == before


@pytest.mark.parametrize(
    ("text", "name", "cure"),
    [
        ("K = 3\ndef f(x):\n    return x + K\n", "f", "reads the global K: make it an argument"),
        ("K = [3]\ndef f(x):\n    return [y for y in K]\n", "f", "reads the global K"),
        ("K = 3\ndef f(x):\n    return g(x)\ndef g(x):\n    return K\n", "f", "g reads the global K"),
        ("K = 3\ndef f(x):\n    class A:\n        y = K\n    return A\n", "f", "reads the global K"),
        ("K = 3\ndef f(x):\n    global K\n    K = x\n", "f", "sets the global K: return it instead"),
        ("g = lambda x: x\ndef f(x):\n    return g(x)\n", "f", "calls g, which is a lambda"),
        ("f = lambda x: x\n", "f", "was given a lambda"),
        ("def outer(k):\n    def f(x):\n        return k\n    return f\nf = outer(1)\n", "f", "closes over k"),
        ("def outer():\n    def f(x):\n        return 1\n    return f\nf = outer()\n", "f", "function inside another"),
        ("class A:\n    def f(self):\n        return 1\nf = A.f\n", "f", "is a method"),
        ("def f(x):\n    yield x\n", "f", "is a generator"),
        ("async def f(x):\n    return x\n", "f", "is async"),
        ("async def f(x):\n    yield x\n", "f", "is async"),
        ("def f(*x):\n    return x\n", "f", "takes *x"),
        ("def f(**x):\n    return x\n", "f", "takes **x"),
        ("def f(x, /):\n    return x\n", "f", "name every argument"),
        ("class A:\n    pass\ndef f(x):\n    return A()\n", "f", "reads the class A of its own file"),
        ("from functools import partial\ng = partial(int, base=2)\ndef f(x):\n    return g(x)\n", "f", "global g"),
        ("from functools import cache\n@cache\ndef g(x):\n    return x\ndef f(x):\n    return g(x)\n", "f", "global g"),
        ("def same(x):\n    return x\n@same\ndef g(x):\n    return x\ndef f(x):\n    return g(x)\n", "f", "decorated"),
        ("@evidence\ndef g(x):\n    return x\ndef f(x):\n    return g(x)\n", "f", "g, which is evidence itself"),
    ],
)
def test_what_the_source_does_not_show_is_refused_with_the_cure(tmp_path, text, name, cure):
    assert cure in refusal(text, tmp_path, name)


@pytest.mark.parametrize("order", ["@evidence\n@other\n", "@other\n@evidence\n"])
def test_a_second_decorator_is_refused_above_and_below(tmp_path, order):
    with pytest.raises(EvidenceRefused, match="another decorator"):
        module(tmp_path, f"def other(x):\n    return x\n{order}def f(x):\n    return x\n")


def test_builtins_imports_helpers_and_attributes_named_like_globals_are_allowed(tmp_path):
    text = """
    import os.path
    from collections import Counter
    from functools import cache
    from mechlib.prompts.promptset import Prompt
    K = 3

    def f(x: Counter):
        assert x.K
        K = [np.exp(0), Measurement, Prompt, Counter(), os.path.sep, len(x), cache]
        return helper(K)

    def helper(y):
        yield y
    """
    function = module(tmp_path, text).f
    check(function, source_of(function))


def test_a_function_defined_further_down_is_found_when_the_meaning_is_asked_for(tmp_path):
    text = "@evidence\ndef f(x):\n    return later(x)\n\ndef later(x):\n    return K\n\nK = 3\n"
    function = module(tmp_path, text).f.__wrapped__
    with pytest.raises(EvidenceRefused, match="later reads the global K"):
        meaning(function, source_of(function))


def test_docstrings_of_modules_and_classes_are_skipped_and_other_strings_are_not():
    def shape(text: str) -> str:
        return digest(normalised(ast.parse(textwrap.dedent(text))))

    assert shape("'''one'''\nclass A:\n    '''two'''\n    x = 1") == shape("class A:\n    x = 1")
    assert shape("x = 'one'") != shape("x = 'two'")
    assert shape("u'one'[0]") == shape("'one'[0]")
