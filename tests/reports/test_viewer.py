"""The pair viewer: what its page carries, and what a reader can do with it in a real browser."""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reports import viewer
from reports.viewer import Pair, Side, Verdict, viewer_html, viewer_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.reports.browser import OpenPage

pytest_plugins = ["tests.reports.browser"]

METHODS = ("SFT", "DPO", "SGPO")
OUTCOMES = ("win", "tie", "loss")

NASTY = {
    "closing tags": "</script></style></textarea><!-- <script>document.title = 'broken'</script>",
    "image": "<img src=x onerror=\"document.title = 'broken'\"> <svg onload=alert(1)>",
    "template": "{{ 7 * 7 }} {% raw %} ${1 + 1} &amp; &lt; &#39; \\u0041 \\n",
    "quotes": "\"'`´“”‘’«»",
    "separators": "a\u2028b\u2029c\u0085d\x0ce",
    "emoji": "👩🏽‍🔬 🏳️‍🌈 e\u0301 🇫🇷",
    "right to left": "שלום עולם \u202eabc\u202c مرحبا",
    "no spaces": "我喜欢吃苹果，也喜欢吃梨。ภาษาไทย",
    "one long word": "x" * 3000,
    "blank": " \n\t ",
    "empty": "",
    "prototype": "constructor __proto__ toString hasOwnProperty",
}


def verdict(shown: str, outcome: str, **changes: Any) -> Verdict:
    usual = Verdict(shown, "A>>B", 0.25, outcome, f"The judge on {shown}.\n[[A>>B]]")  # type: ignore[arg-type]
    return replace(usual, **changes)


def pair(place: int, **changes: Any) -> Pair:
    method, outcome = METHODS[place % 3], OUTCOMES[place // 3 % 3]
    usual = Pair(
        id=f"pair/{place}",
        facets={"model": "qwen" if place % 2 else "llama", "method": method, "verdict": outcome},
        prompt=f"Question {place}: what is it?",
        left=Side("baseline", f"The answer to {place} is a red house."),
        right=Side(method, f"The answer to {place} is a green big house."),
        verdicts=(verdict("baseline first", outcome), verdict("method first", "tie", preference=None)),
    )
    return replace(usual, **changes)


def page_of(pairs: Sequence[Pair]) -> str:
    return viewer_page(pairs, title="Pairs & pages", heading="All <pairs>")


def unpacked(html: str) -> list[Any]:
    """What the page carries: the index, then the chunks."""
    [data] = re.findall(r'<script type="text/plain" class="pv-data">\n(.*?)\n</script>', html, flags=re.DOTALL)
    return [json.loads(gzip.decompress(base64.b64decode(line))) for line in data.split("\n")]


# ---- what the page carries -------------------------------------------------------------------------------------------


def test_keeps_each_text_once_and_in_order_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "CHUNK", 60)
    pairs = [pair(0), replace(pair(1), prompt=pair(0).prompt, left=pair(0).left), pair(2)]
    index, *chunks = unpacked(viewer_html(pairs, heading="x"))
    texts = [text for chunk in chunks for text in chunk]
    assert len(set(texts)) == len(texts)
    assert index["chunks"] == [len(chunk) for chunk in chunks]
    assert len(chunks) > 2
    for given, kept in zip(pairs, index["pairs"], strict=True):
        assert texts[kept["prompt"]] == given.prompt
        assert texts[kept["left"]["text"]] == given.left.text
        assert texts[kept["right"]["text"]] == given.right.text
        assert [texts[each["reply"]] for each in kept["verdicts"]] == [each.reply for each in given.verdicts]
    assert index["pairs"][0]["prompt"] == index["pairs"][1]["prompt"] == 0


def test_is_the_same_bytes_each_time() -> None:
    pairs = [pair(place) for place in range(20)]
    assert page_of(pairs) == page_of(pairs)


def test_escapes_what_stands_outside_the_data() -> None:
    html = viewer_html([pair(0)], heading="<b>&", note="</p><script>")
    assert "&lt;b&gt;&amp;" in html and "&lt;/p&gt;&lt;script&gt;" in html
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([pair(0), pair(0)], "two pairs have the id 'pair/0'"),
        ([pair(0), pair(1, facets={"model": "qwen"})], r"pair 'pair/1' has the facets \['model'\]"),
        ([pair(0, id="\ud800")], "surrogates not allowed"),
    ],
)
def test_refuses_pairs_it_could_not_tell_apart_or_link_to(pairs: list[Pair], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        viewer_html(pairs, heading="x")


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def many() -> str:
    return page_of([pair(place) for place in range(900)])


def found(page: "Page") -> str:
    return page.inner_text(".pv-count")


def opened_id(page: "Page") -> str:
    page.wait_for_selector(".pv-dialog[open]")
    return page.inner_text(".pv-facts dd >> nth=-1")


def wait_for_count(page: "Page", count: str) -> None:
    page.wait_for_function("count => document.querySelector('.pv-count').textContent === count", arg=count)


def test_lists_all_pairs_but_draws_only_those_in_sight(open_page: "OpenPage", many: str) -> None:
    page = open_page(many)
    page.wait_for_selector(".pv-row")
    assert page.inner_text("h2") == "All <pairs>"
    assert found(page) == "900 pairs"
    assert page.locator(".pv-row").count() < 40
    assert page.locator(".pv-row").first.inner_text().split("\n") == [
        "Question 0: what is it?", "▲ win", "= tie", "llama · SFT",
    ]  # fmt: skip
    page.evaluate("document.querySelector('.pv-list').scrollTop = 1e9")
    page.get_by_text("Question 899: what is it?").wait_for()
    last = page.locator(".pv-row").last
    assert (last.get_attribute("aria-posinset"), last.get_attribute("aria-setsize")) == ("900", "900")


def test_filters_and_counts_what_each_choice_would_show(open_page: "OpenPage", many: str) -> None:
    page = open_page(many)
    method, outcome = page.get_by_role("combobox", name="method"), page.get_by_role("combobox", name="verdict")
    assert method.locator("option").all_inner_texts() == ["all (900)", "SFT (300)", "DPO (300)", "SGPO (300)"]
    method.select_option(index=3)
    assert found(page) == "300 of 900 pairs"
    assert outcome.locator("option").all_inner_texts() == ["all (300)", "win (100)", "tie (100)", "loss (100)"]
    outcome.select_option(index=1)
    assert found(page) == "100 of 900 pairs"
    assert method.locator("option").all_inner_texts() == ["all (300)", "SFT (100)", "DPO (100)", "SGPO (100)"]
    assert "SGPO" in page.locator(".pv-row").first.inner_text()
    page.get_by_role("button", name="Show all").click()
    assert found(page) == "900 pairs"
    assert method.input_value() == ""


def test_searches_prompts_and_both_answers_whatever_the_case(open_page: "OpenPage") -> None:
    texts = ("In the PROMPT", "on the left", "on the right")
    pairs = [
        pair(0, prompt=texts[0]),
        pair(1, left=Side("baseline", texts[1])),
        pair(2, right=Side("SGPO", texts[2])),
        pair(3, verdicts=(verdict("baseline first", "win", reply="only the judge says so"),)),
    ]
    page = open_page(page_of(pairs))
    box = page.get_by_label("Search prompts and answers")
    for words, count in (
        ("the prompt", "1 of 4 pairs"),
        ("ON THE LEFT", "1 of 4 pairs"),
        ("on the", "2 of 4 pairs"),
        ("only the judge", "0 of 4 pairs"),
        (" ", "4 pairs"),
    ):
        box.fill(words)
        wait_for_count(page, count)
    box.fill("only the judge")
    page.get_by_text("No pair matches.").wait_for()
    box.fill("on the right")
    wait_for_count(page, "1 of 4 pairs")
    page.locator(".pv-row").click()
    assert opened_id(page) == "pair/2"


def test_opens_a_pair_by_click_with_all_there_is_to_read(open_page: "OpenPage", many: str) -> None:
    page = open_page(many)
    page.get_by_text("Question 4: what is it?").click()
    assert opened_id(page) == "pair/4"
    assert page.evaluate("location.hash") == "#pair=pair%2F4"
    assert page.inner_text(".pv-place") == "Pair 5 of 900"
    assert page.locator(".pv-text").all_inner_texts() == [
        "Question 4: what is it?",
        "The answer to 4 is a red house.",
        "The answer to 4 is a green big house.",
        "The judge on baseline first.\n[[A>>B]]",
        "The judge on method first.\n[[A>>B]]",
    ]
    cards = page.locator(".pv-card p").all_inner_texts()
    assert [card.replace("\n", " ") for card in cards] == [
        "= tie baseline first label A>>B DPO better with probability 0.250",
        "= tie method first label A>>B",
    ]
    page.get_by_role("button", name="Close").click()
    page.wait_for_function("location.hash === ''")
    assert page.locator(".pv-dialog[open]").count() == 0


def test_marks_the_words_that_differ_until_told_not_to(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, fragment="#pair=pair%2F4")
    opened_id(page)
    assert page.locator(".pv-answers del").all_inner_texts() == ["red"]
    assert page.locator(".pv-answers ins").all_inner_texts() == ["green big"]
    line = "([selector]) => getComputedStyle(document.querySelector(selector)).textDecorationLine"
    assert page.evaluate(line, [".pv-answers del"]) == "line-through"
    assert page.evaluate(line, [".pv-answers ins"]) == "underline"
    assert page.locator(".pv-words").first.inner_text() == "1 of 9 words and signs only here: struck through"
    page.get_by_label("Mark differences").uncheck()
    page.wait_for_function("!document.querySelector('.pv-answers ins, .pv-answers del')")
    page.keyboard.press("j")
    page.wait_for_function("document.querySelector('.pv-place').textContent === 'Pair 6 of 900'")
    assert page.locator(".pv-answers :is(ins, del)").count() == 0
    page.get_by_label("Mark differences").check()
    page.wait_for_selector(".pv-answers ins")


def test_goes_through_the_pairs_by_keyboard_alone(open_page: "OpenPage", many: str) -> None:
    page = open_page(many)
    page.wait_for_selector(".pv-row")
    page.locator(".pv-list").focus()
    for key in ("j", "ArrowDown", "ArrowDown", "k"):
        page.keyboard.press(key)
    chosen = page.locator(".pv-row[aria-selected=true]")
    assert "Question 2" in chosen.inner_text()
    assert page.get_attribute(".pv-list", "aria-activedescendant") == chosen.get_attribute("id")
    page.keyboard.press("Enter")
    assert opened_id(page) == "pair/2"
    for key, place in (("j", 4), ("ArrowRight", 5), ("k", 4), ("ArrowLeft", 3), ("k", 2), ("k", 1)):
        page.keyboard.press(key)
        page.wait_for_function(f"document.querySelector('.pv-place').textContent === 'Pair {place} of 900'")
    assert page.get_by_role("button", name="Previous").is_disabled()
    assert page.evaluate("location.hash") == "#pair=pair%2F0"
    page.keyboard.press("Escape")
    page.wait_for_function("location.hash === ''")
    assert page.evaluate("document.activeElement.className") == "pv-list"
    page.keyboard.press("End")
    page.keyboard.press(" ")
    assert opened_id(page) == "pair/899"
    assert page.get_by_role("button", name="Next").is_disabled()


def test_back_closes_a_pair_and_forward_opens_it_again(open_page: "OpenPage", many: str) -> None:
    page = open_page(many)
    page.get_by_text("Question 4: what is it?").click()
    opened_id(page)
    page.keyboard.press("j")
    page.wait_for_function("location.hash === '#pair=pair%2F5'")
    page.go_back()
    page.wait_for_selector(".pv-dialog", state="hidden")
    page.go_forward()
    assert opened_id(page) == "pair/5"
    page.keyboard.press("Escape")  # goes back, and so leaves no entry of its own
    page.wait_for_function("location.hash === ''")
    page.go_forward()
    assert opened_id(page) == "pair/5"


def test_a_link_opens_its_pair_even_one_that_the_filters_hide(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, fragment="#pair=pair%2F450")
    assert opened_id(page) == "pair/450"
    assert page.inner_text(".pv-place") == "Pair 451 of 900"
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="method").select_option(index=3)
    page.evaluate("location.hash = '#pair=pair%2F3'")
    assert opened_id(page) == "pair/3"
    assert page.inner_text(".pv-place") == "Not among the 300 pairs that the filters show"
    page.get_by_role("button", name="Next").click()
    page.wait_for_function("document.querySelector('.pv-place').textContent === 'Pair 2 of 300'")
    assert opened_id(page) == "pair/5"


def test_says_that_a_link_leads_nowhere(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, fragment="#pair=%E0%A4%A<b>")
    page.wait_for_selector(".pv-row")
    assert page.inner_text(".pv-message").startswith("The link names a pair that is not here: ")
    assert page.locator(".pv-dialog[open]").count() == 0


def test_copies_the_link(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, fragment="#pair=pair%2F7", permissions=["clipboard-read", "clipboard-write"])
    opened_id(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert page.url.endswith("#pair=pair%2F7")


def test_shows_any_text_as_text(open_page: "OpenPage") -> None:
    pairs = [
        Pair(name, {text: text for text in (NASTY["image"],)}, text, Side(text, text), Side(text, text + " more"), (
            Verdict(text, text, 1.0, "failed", text),
        ))
        for name, text in NASTY.items()
    ]  # fmt: skip
    page = open_page(page_of(pairs))
    for number, (name, text) in enumerate(NASTY.items(), 1):
        page.evaluate("id => (location.hash = '#pair=' + encodeURIComponent(id))", name)
        page.wait_for_function(f"document.querySelector('.pv-place').textContent === 'Pair {number} of {len(NASTY)}'")
        shown = page.evaluate("[...document.querySelectorAll('.pv-text')].map((box) => box.textContent)")
        assert shown == [text or "(empty)", text or "(empty)", text + " more", text or "(empty reply)"]
        assert page.locator(".pv-answers ins").all_text_contents() == ["more"]
        assert page.locator(".pv-answers del").count() == 0
    assert page.title() == "Pairs & pages"
    assert page.locator("img, svg").count() == 0


def test_keeps_half_a_surrogate_pair_to_itself(open_page: "OpenPage") -> None:
    page = open_page(page_of([pair(0, prompt="a\ud83d b", left=Side("l", "\udc00"), right=Side("r", "\udc00 and"))]))
    page.locator(".pv-row").click()
    opened_id(page)
    points = "[...document.querySelectorAll('.pv-text')].map((box) => [...box.textContent].map((c) => c.codePointAt()))"
    prompt, left, right, *_ = page.evaluate(points)
    assert prompt == [0x61, 0xD83D, 0x20, 0x62]
    assert left == [0xDC00]
    assert right[:2] == [0xDC00, 0x20]
    assert page.locator(".pv-answers ins").all_text_contents() == ["and"]


def test_compares_answers_of_fifty_thousand_characters(open_page: "OpenPage") -> None:
    words = [f"w{place * place % 9973}" for place in range(10_000)]
    left = " ".join(words)
    right = " ".join("new" if place % 1000 == 500 else word for place, word in enumerate(words))
    page = open_page(page_of([pair(0, left=Side("l", left), right=Side("r", right)), pair(1)]))
    page.locator(".pv-row").first.click()
    page.wait_for_selector(".pv-answers ins")
    assert page.locator(".pv-answers ins").all_text_contents() == ["new"] * 10
    assert page.locator(".pv-answers .pv-text").all_text_contents() == [left, right]


def test_the_marked_words_are_the_fewest(open_page: "OpenPage") -> None:
    """Against a naive longest common subsequence, on texts of few words so that many alignments compete."""
    import random

    rng = random.Random(0)
    texts = [
        (" ".join(rng.choices("abcd", k=rng.randrange(1, 30))), " ".join(rng.choices("abcd", k=20))) for _ in range(15)
    ]
    page = open_page(
        page_of([pair(i, left=Side("l", left), right=Side("r", right)) for i, (left, right) in enumerate(texts)])
    )
    page.locator(".pv-row").first.click()
    for place, (left, right) in enumerate(texts):
        page.wait_for_function(
            f"document.querySelector('.pv-place').textContent === 'Pair {place + 1} of {len(texts)}'"
        )
        boxes = page.evaluate(
            """["del", "ins"].map((tag, side) => [...document.querySelectorAll(".pv-answers .pv-text")[side].childNodes]
              .filter((node) => node.nodeName !== tag.toUpperCase()).map((node) => node.textContent).join(" "))"""
        )
        kept_left, kept_right = (box.split() for box in boxes)
        assert kept_left == kept_right
        assert len(kept_left) == common_length(left.split(), right.split())
        page.keyboard.press("j")


def common_length(left: list[str], right: list[str]) -> int:
    """The length of a longest common subsequence, by the textbook's table."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_fits_a_phone(open_page: "OpenPage", dark: bool) -> None:
    wide = "w" * 400
    pairs = [
        pair(0),
        Pair(
            wide,
            {"model": wide, "method": wide, "verdict": "win"},
            wide,
            Side(wide, wide),
            Side(wide, f"{wide} {wide}"),
            (verdict(wide, "win", label=wide, reply=wide), verdict("method first", "loss")),
        ),
    ]
    page = open_page(page_of(pairs), width=360, height=740, dark=dark)
    page.wait_for_selector(".pv-row")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    page.locator(".pv-row").nth(1).click()
    opened_id(page)
    assert page.evaluate(overflow) == 0
    assert (
        page.evaluate("(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.querySelector('.pv-body'))")
        == 0
    )
    left, right = (page.locator(".pv-answers .pv-text").nth(side).bounding_box() for side in (0, 1))
    assert left and right and left["x"] == right["x"] and right["y"] >= left["y"] + left["height"]
    background = page.evaluate("getComputedStyle(document.querySelector('.pv-dialog')).backgroundColor")
    assert background == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")


def test_puts_the_answers_side_by_side_where_there_is_room(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, fragment="#pair=pair%2F0")
    opened_id(page)
    left, right = (page.locator(".pv-answers .pv-text").nth(side).bounding_box() for side in (0, 1))
    assert left and right and left["y"] == right["y"] and right["x"] >= left["x"] + left["width"]


def test_shows_no_pairs(open_page: "OpenPage") -> None:
    page = open_page(page_of([]))
    page.get_by_text("No pair matches.").wait_for()
    assert found(page) == "0 pairs"
    page.locator(".pv-list").press("Enter")
    assert page.locator(".pv-dialog[open]").count() == 0


def test_two_viewers_on_a_page_do_not_disturb_each_other(open_page: "OpenPage") -> None:
    second = viewer_html([pair(place, id=f"other/{place}") for place in range(3)], heading="Others")
    page = open_page(viewer_page([pair(0)], title="Two", heading="First", before=second), fragment="#pair=other%2F1")
    page.wait_for_selector(".pv-dialog[open]")
    assert page.locator(".pv-count").all_inner_texts() == ["3 pairs", "1 pair"]
    assert page.locator(".pv-dialog[open]").count() == 1


def test_says_what_is_missing(open_page: "OpenPage", many: str) -> None:
    page = open_page(many, java_script_enabled=False)
    assert "allow JavaScript" in page.inner_text("noscript .pv-message")
    old = open_page(many.replace("<head>", "<head><script>delete window.DecompressionStream</script>"))
    assert "it has no DecompressionStream" in old.inner_text(".pv-message[role=alert]")
    broken = many.replace('class="pv-data">\n', 'class="pv-data">\nAAAA')
    damaged = open_page(broken, faulty=True)
    damaged.wait_for_selector(".pv-message[role=alert]")
    assert "cannot be read; it may be damaged" in damaged.inner_text(".pv-message[role=alert]")
