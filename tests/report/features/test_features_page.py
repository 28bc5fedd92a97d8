"""The page of features: nothing in a token can break it, it finds what it says, and it is built of a small file."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mechlib.report.features import page as pages
from mechlib.report.features.filing import NotFeatures, as_text, filed, packed, read
from mechlib.report.features.page import LARGEST, PageTooLarge, links, page, write_pages
from mechlib.report.features.terminal import bare, in_full, listed, visible, with_token

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "</script><img src=x onerror=alert(1)>", "<!--", "<script>", "]]>", "&amp;", '"', "'", "\u2028", "\u202e", "\\",
    "\x1b[31m", "\n", " ", "\xa0", "{{ 7 * 7 }}", "\ud83d",
)  # fmt: skip


def card(feature: int, token: str, concept=None, near=(), high=()) -> dict:
    window = {"text": 3, "at": 1, "tokens": [" a", token, " b"], "active": [0.0, 4.0 + feature, 0.01]}
    return {
        "feature": feature, "fired": 20, "mean": 2.345678, "largest": 4.0 + feature,
        "histogram": {"width": 0.25, "counts": [0, 3, 17]}, "windows": [window],
        "tokens": [(token, 15, 16), (" a", 5, 40)], "next": [(" b", 12, 30)], "concept": concept,
        "high": [*high, (" up", 1.236)], "low": [(" down", -0.5)], "near": [(other, 0.51234) for other in near],
    }  # fmt: skip


def made(*cards: dict) -> dict:
    return {
        "model": "mini-<0>", "sae": "after-2</title>", "weights": "1a2b3c4d", "hook": "blocks.2.hook_resid_post",
        "width": 128, "features": 512, "alive": len(cards), "texts": "texts & more", "rows": 5, "tokens": 1000,
        "direct": True, "cards": list(cards),
    }  # fmt: skip


class Elements(HTMLParser):
    """What a browser would make of a page, before its script runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.inside: dict[str, str] = {}
        self._script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._script = dict(attrs).get("id", "script") if tag == "script" else ""

    def handle_endtag(self, tag):
        self._script = ""

    def handle_data(self, data):
        if self._script:
            self.inside[self._script] = self.inside.get(self._script, "") + data


def test_no_token_makes_an_element_and_all_of_them_come_through():
    plain = page(packed(made(*(card(n, " word") for n in range(len(HOSTILE))))))
    hostile = page(packed(made(*(card(n, token) for n, token in enumerate(HOSTILE)))))
    seen, wanted = Elements(hostile), Elements(plain)
    assert seen.tags == wanted.tags and seen.tags.count("script") == 2
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert set(HOSTILE) <= set(json.loads(seen.inside["data"])["vocabulary"])
    block = hostile.split('id="data">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(block)
    assert "\x1b" not in block and "<title>Features of mini-&lt;0&gt;: after-2&lt;/title&gt;</title>" in hostile


def test_the_policy_lets_this_script_run_and_nothing_load():
    html = page(packed(made(card(0, " word"))))
    assert "default-src 'none'" in html and "unsafe" not in html.split("<style>")[0]
    for kind in ("style", "script"):
        text = html.split(f"<{kind}>")[1].split(f"</{kind}>")[0]
        assert f"{kind}-src 'sha256-{pages._hash(text)}'" in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in html and "insertAdjacentHTML" not in html


def test_packed_cards_say_what_the_cards_say_rounded():
    whole = made(card(7, " Mary", ("name", "on", 0.98765, 0.12345), near=(9,)), card(9, "\n"))
    small = json.loads(as_text(packed(whole)))
    words, first = small["vocabulary"], small["cards"][0]
    assert words[0] in (" a", " b") and set(words) == {" a", " b", " Mary", "\n", " up", " down"}
    number, fired, mean, largest, histogram, windows, tokens, following, concept, high, low, near = first
    assert (number, fired, mean, largest, histogram) == (7, 20, 2.35, 11.0, [0.25, 0, 3, 17])
    (text, at, value, steps, *ids), *_ = windows
    assert (text, at, value, steps) == (3, 1, 11.0, "0z1"), "what is active at all is seen"
    assert [words[one] for one in ids] == [" a", " Mary", " b"]
    assert tokens == [words.index(" Mary"), 15, 16, words.index(" a"), 5, 40]
    assert following == [words.index(" b"), 12, 30] and concept == ["name", "on", 0.988, 0.123]
    assert (high, low, near) == ([words.index(" up"), 1.24], [words.index(" down"), -0.5], [9, 0.512])


def test_two_writes_are_the_same_bytes():
    whole = made(*(card(n, token) for n, token in enumerate(HOSTILE[:-1])))
    assert page(packed(whole)) == page(json.loads(as_text(packed(whole))))


def test_a_page_beyond_3_mb_is_refused(monkeypatch):
    monkeypatch.setattr(pages, "LARGEST", 20_000)
    with pytest.raises(PageTooLarge, match="show fewer windows"):
        page(packed(made(*(card(n, " word") for n in range(200)))))


@pytest.mark.parametrize("text", ["no json", "[]", '{"model": "x"}', None, "too large"])
def test_a_damaged_file_has_no_page_and_says_why(tmp_path, monkeypatch, text):
    folder = tmp_path / "artifacts" / "features"
    folder.mkdir(parents=True)
    good = as_text(packed(made(card(0, " word"))))
    (folder / "good.json").write_text(good)
    other = json.dumps({**json.loads(good), "form": 99}) if text is None else text
    (folder / "bad.json").write_text(good + " " * 3_000_000 if text == "too large" else other)
    with pytest.raises(NotFeatures, match=r"bad\.json"):
        read(folder / "bad.json")
    (none, why), (name, said) = links(tmp_path)
    assert none == "" and "bad.json" in why and (name, said) == ("features-good.html", "mini-<0>, after-2</title>")
    write_pages(tmp_path, tmp_path)
    assert [file.name for file in tmp_path.glob("*.html")] == ["features-good.html"]


def test_what_is_filed_is_of_what_ships_and_its_pages_are_small():
    files = filed(ROOT)
    assert files
    for file in files:
        cards = read(file)
        html = page(cards)
        assert len(html.encode()) < LARGEST
        on_record = json.loads((ROOT / "fixtures" / "saes" / cards["model"] / cards["sae"] / "card.json").read_text())
        assert on_record["weights_sha256"][:8] == cards["weights"] and on_record["hook"] == cards["hook"]
        assert "(discovery" in cards["texts"]
        assert as_text(cards) == file.read_text(encoding="utf-8")


# --- the search, as the page's own script has it -------------------------------------------------------------------

STUB = """
const made = (name) => new Proxy({ name, kids: [], text: "", style: { setProperty() {} }, classList: { add() {} } }, {
  get: (own, key) => key in own ? own[key] : {
    append: (...more) => own.kids.push(...more), replaceChildren: (...more) => { own.kids = more; },
    setAttribute: (key, value) => { own[key] = value; },
    addEventListener: (event, act) => { own[`on ${event}`] = act; },
  }[key],
  set: (own, key, value) => { own[key === "textContent" ? "text" : key] = value; return true; },
});
const byId = {};
const at = (id) => (byId[id] ??= made(id));
Object.defineProperty(at("data"), "textContent", { value: DATA });
at("query").value = ""; at("order").value = "number";
globalThis.document = { getElementById: at, createElement: made, createElementNS: (space, name) => made(name) };
globalThis.location = { hash: "" };
globalThis.addEventListener = () => {};
SCRIPT
const said = (one) => typeof one === "string" ? one : one.text + one.kids.map(said).join("");
const answers = QUERIES.map(([query, order]) => {
  at("query").value = query; at("order").value = order; at("query")["on input"]();
  return at("list").kids.map((item) => [item.kids[0].href, said(item)]);
});
console.log(JSON.stringify([answers, said(at("feature"))]));
"""


@pytest.fixture(scope="module")
def asked():
    """What the page's script finds: features in their order, and what stands in the list."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the page's script is not run")
    cards = (
        card(3, " Mary", ("name", "on", 0.9, 0.5), near=(17,)), card(17, " 3"), card(8, " marys"),
        card(39, " it", high=((" Mary", 1.5),)), card(40, " up", high=((" Mary", 2.5),)),
        card(41, "<b>", ("number", "before", 0.9, 0.2)),
    )  # fmt: skip
    html = page(packed(made(*cards)))
    data, script = Elements(html).inside["data"], Elements(html).inside["script"]

    def ask(*queries):
        program = STUB.replace("SCRIPT", script).replace("DATA", json.dumps(data), 1)
        program = program.replace("QUERIES", json.dumps([[*query, "number"][:2] for query in queries]), 1)
        done = subprocess.run([node, "-"], input=program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers, shown = json.loads(done.stdout)
        return [[(int(href[2:]), text) for href, text in found] for found in answers], shown

    return ask


def test_a_feature_is_found_by_number_token_and_concept(asked):
    (number, token, capitals, concept, before, nothing, markup), _ = asked(
        ["17"], ["mary"], [" MARY "], ["name"], ["before number"], ["zebra"], ["<b>"]
    )
    assert [feature for feature, _ in number] == [17]
    assert [feature for feature, _ in token] == [3, 40, 39, 8] and token == capitals
    assert "active on Mary: 75 %" in token[0][1] and "raises Mary by 2.5" in token[1][1]
    assert [feature for feature, _ in concept] == [3] and [feature for feature, _ in before] == [41]
    assert nothing == [] and [feature for feature, _ in markup] == [41]


def test_without_a_question_all_stand_there_in_the_order_asked_for(asked):
    (numbered, by_concept), shown = asked(["", "number"], ["", "concept"])
    assert [feature for feature, _ in numbered] == [3, 8, 17, 39, 40, 41]
    assert [feature for feature, _ in by_concept][:2] == [41, 3]
    assert shown.startswith("Feature 3") and "on name: precision 90 %, recall 50 %" in shown


def test_a_number_is_also_a_token(asked):
    (found,), _ = asked(["3"])
    assert [feature for feature, _ in found] == [3, 17]


# --- in a terminal -------------------------------------------------------------------------------------------------


def test_no_token_reaches_the_terminal_as_more_than_signs():
    whole = made(*(card(n, token) for n, token in enumerate(HOSTILE)))
    lines = [*listed(whole, [(one, "") for one in whole["cards"]])]
    lines += [line for one in whole["cards"] for line in in_full(whole, one)]
    assert all(line.isprintable() for line in lines)
    assert visible("\x1b[31m") == "\\u001b[31m" and visible(" a\n") == " a↵"
    assert (bare(" Mary"), bare(" \n"), bare(" "), bare("\xa0")) == ("Mary", "␣↵", "␣", "\\u00a0")


def test_a_token_finds_in_the_same_order_as_the_page():
    whole = made(card(3, " Mary"), card(8, " marys"), card(40, " up", high=((" Mary", 2.5),)))
    found = with_token(whole["cards"], "mary ")
    assert [one["feature"] for one, _ in found] == [3, 40]
    assert found[0][1] == "75% of its activity is on it" and found[1][1] == "raises it by 2.5"
    assert [one["feature"] for one, _ in with_token(whole["cards"], "b")] == [3, 8, 40]
