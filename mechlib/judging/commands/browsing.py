"""`mechlib features`: the features of a dictionary looked at, in the terminal, on a page, or filed for the report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlib.checkpoints.checkpoint import WeightsMissing
from mechlib.checkpoints.dictionaries import CARD, card, cards, named
from mechlib.checkpoints.fetch import CannotFetch
from mechlib.judging.commands.saying import printed

if TYPE_CHECKING:
    from mechlib.lab.activation_cache.rows import TokenRows
    from mechlib.lab.features.dictionaries import Dictionary
    from mechlib.lab.models.loading import Model
    from mechlib.prompts.promptset import PromptSet

TOKENS = 25_000  # of the model's own texts that are read where none are on file
SEED = 999_001  # of these: no other texts are drawn with it


def add_command(commands: Any) -> None:
    """The subparser of `mechlib features`, which runs `run`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "features", help="what features of a dictionary are active on and write: in the terminal, or as a page"
    )
    parser.add_argument("model", metavar="MODEL", help="as `mechlib models` lists them, or a directory")
    parser.add_argument("--sae", required=True, metavar="NAME_OR_DIR", help="as after-2-seed-0, or a folder of one")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="how many features to list; default 20")
    parser.add_argument("--feature", type=int, metavar="N", help="this one in full")
    parser.add_argument("--token", metavar="WORD", help="those active on it, and those that raise its logit")
    parser.add_argument(
        "--contrast", nargs=2, type=Path, metavar=("WITH", "WITHOUT"), help="files, a text a line: those that tell them"
    )
    parser.add_argument("--text", nargs="+", type=Path, default=[], metavar="FILE", help="what to read; each a text")
    parser.add_argument(
        "--tokens", type=int, metavar="N", help=f"how many to read; default all on file, else {TOKENS:,} of its own"
    )
    parser.add_argument("--windows", type=int, default=6, metavar="N", help="texts shown of each feature; default 6")
    parser.add_argument(
        "--entries", type=int, default=8, metavar="N", help="tokens, logits and near features shown of each; default 8"
    )
    parser.add_argument("--page", type=Path, metavar="OUT.html", help="write the page, all features on it")
    parser.add_argument(
        "--json", type=Path, metavar="OUT.json", help="file what the page is built of, as artifacts/features/ has it"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Looks at features; the exit status. What cannot be done is one line on stderr."""
    from mechlib.lab.hooks import HookDidNotFire, NoSuchHook

    refusals = (ValueError, OSError, ImportError, WeightsMissing, CannotFetch, NoSuchHook, HookDidNotFire)
    return printed(_looked(options), refusals)


def _looked(options: argparse.Namespace) -> Iterator[str]:
    from mechlib.lab.features.browsing.cards import feature_cards
    from mechlib.lab.models.loading import load
    from mechlib.report.features.terminal import by_concept, headline, in_full, listed, with_token

    for name in ("top", "windows", "entries", "tokens"):
        if (asked := getattr(options, name)) is not None and asked < 1:
            raise ValueError(f"--{name} {asked}: ask for 1 or more")
    said = [_lines(file) for file in options.contrast or ()]  # before a model is loaded
    own = [_text(file) for file in options.text]
    model = load(options.model)
    dictionary = _dictionary(model, options.sae)
    texts, few = _texts(model, own, options.tokens)
    every = options.page or options.json or options.token or not (options.feature is not None or options.contrast)
    chosen: Sequence[int] | None = None
    found = _contrasted(model, dictionary, said)[: options.top] if said else []
    if not every:
        chosen = [options.feature] if options.feature is not None else [entry["feature"] for entry in found]
    made = feature_cards(model, dictionary, texts, chosen, options.windows, options.entries, few)
    if options.page or options.json:
        yield from _written(made, options.page, options.json)
    yield headline(made)
    by_number = {one["feature"]: one for one in made["cards"]}
    if options.feature is not None:
        if options.feature not in by_number:
            made_of_it = feature_cards(model, dictionary, texts, [options.feature], tokens=few)
            by_number |= {one["feature"]: one for one in made_of_it["cards"]}
        yield from in_full(made, by_number[options.feature])
    elif said:
        yield from listed(
            made, [(by_number[one["feature"]], _told(one)) for one in found if one["feature"] in by_number]
        )
    elif options.token:
        own_cards = with_token(made["cards"], options.token)
        if not own_cards:
            raise ValueError(f"no feature is much active on {options.token!r}, and none raises it: try another token")
        yield from listed(made, own_cards[: options.top])
    else:
        yield from listed(made, [(one, "") for one in by_concept(made["cards"])[: options.top]])


def _told(one: Mapping[str, Any]) -> str:
    return f"AUROC {one['auroc']:.2f}, in {one['with']:.0%} of texts with and {one['without']:.0%} without"


def _dictionary(model: Model, name: str) -> Dictionary:
    """The dictionary in a folder, or of this name: "after-2-seed-0", or "after-2" for that of seed 0."""
    from mechlib.lab.features.loading import load_sae
    from mechlib.lab.features.shipped import dictionary_of
    from mechlib.lab.models.loading import checkpoint_of

    if Path(name).is_dir():
        return load_sae(Path(name), model)
    described = checkpoint_of(model).name
    there = sorted(one.parent.name for one in cards(described).glob(f"*/{CARD}"))
    layer = name.removeprefix("after-")
    wanted = named(int(layer)) if layer.isdecimal() else name
    if wanted not in there or (said := card(described, wanted)) is None:
        have = f"there are {', '.join(there)}" if there else "`mechlib sae train` makes one"
        raise FileNotFoundError(f"{described} has no dictionary {name!r}, and no folder is called so: {have}")
    return dictionary_of(model, f"{wanted} {said['weights_sha256'][:8]}")


def _texts(model: Model, own: Sequence[str], tokens: int | None) -> tuple[PromptSet | TokenRows, int | None]:
    """What is read, and how much of it: given texts, the model's own on file for discovery, else new ones."""
    from mechlib.lab.activation_cache.rows import text_rows
    from mechlib.lab.activation_cache.sampling import sampled_rows
    from mechlib.lab.models.loading import checkpoint_of
    from mechlib.prompts.texts import texts

    if own:
        return text_rows(model, own), tokens
    try:
        return texts(checkpoint_of(model).name, split="discovery"), tokens
    except FileNotFoundError:
        return sampled_rows(model, seed=SEED), tokens or TOKENS


def _contrasted(model: Model, dictionary: Dictionary, said: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    from mechlib.lab.features.browsing.contrast import contrasting
    from mechlib.prompts.promptset import Prompt, PromptSet

    with_concept, without = (
        PromptSet(name, "discovery", tuple(Prompt(line, answer="") for line in lines))
        for name, lines in zip(("with", "without"), said, strict=True)
    )
    return contrasting(model, dictionary, with_concept, without)


def _written(made: Mapping[str, Any], page_file: Path | None, json_file: Path | None) -> Iterator[str]:
    from mechlib.report.features.filing import as_text, packed
    from mechlib.report.features.page import page

    small = packed(made)
    html = page(small)  # what is filed has a page
    for file, text in ((page_file, html), (json_file, as_text(small))):
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            except OSError as error:
                raise OSError(f"{file} cannot be written ({error.strerror}): choose another place") from None
            yield f"{file}: {len(made['cards']):,} features, {len(text.encode()):,} bytes"


def _lines(file: Path) -> list[str]:
    found = list(dict.fromkeys(line.strip() for line in _text(file).splitlines() if line.strip()))
    if not found:
        raise ValueError(f"{file} has no text: write one a line")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text in UTF-8: convert it") from None
    except OSError as error:
        raise OSError(f"{file} cannot be read ({error.strerror}): name another file") from None
