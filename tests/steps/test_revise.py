"""Revisions: what the model is asked, of which answers, and what they are declared to take."""

from pathlib import Path

import pytest

from harness.engine.artifacts import Artifact
from harness.engine.progress import Event, Note
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments.revisions import revision_seed, revisions
from harness.models.chat import revision_message
from harness.models.generator import Sampling
from harness.plan.steps import GraphEstimates
from harness.records import Message, Prompt, Response
from harness.steps.cost import Asking, Generation
from harness.steps.data import data, model
from harness.steps.respond import prompt_seed, respond
from harness.steps.revise import WITHOUT_ROOM, require_revision_prompt, revise
from tests.steps.given import given_responses, made, texts
from tests.steps.test_respond import FakeGenerator, use

TEMPLATE = "example : {example} request : {request}"
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=40)
POLICY = "mini:llama"


def revision(responses: Artifact, *, template: str = TEMPLATE, seed: int = 0) -> Artifact:
    return revise(model=model(POLICY), responses=responses, template=template, sampling=SAMPLING, seed=seed)


@pytest.fixture(scope="module")
def first() -> Artifact:
    return respond(model=model(POLICY), prompts=data("mini:arena_hard", 6), sampling=SAMPLING, seed=0)


def test_the_model_is_asked_with_its_answer_before_and_the_prompt_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = FakeGenerator()
    use(monkeypatch, generator)
    before = (Message("user", "hello"), Message("assistant", "yes ?"))
    asked = Prompt("a", "why {is} it ?", before)
    responses = given_responses(rows=(Response(asked, "red {request} .", "somebody"),))
    [row] = made(store, revision(responses, seed=3)).rows(Response)
    message = "example : red {request} . request : why {is} it ?"
    [(conversations, sampling, seeds)] = generator.asked
    assert conversations == ((*before, Message("user", message)),)
    assert (sampling, seeds) == (SAMPLING, (prompt_seed(3, "a", message),))
    assert (row.prompt, row.writer) == (asked, "fake")


def test_a_real_model_revises_its_answers_one_after_the_other(store: Store, first: Artifact) -> None:
    chain = revisions(model(POLICY), first, template=TEMPLATE, sampling=SAMPLING, seed=0, count=2)
    rows = [made(store, each).rows(Response) for each in chain]
    prompts = [{row.prompt.id: row.prompt for row in each} for each in rows]
    assert chain[0] == first and len(chain) == 3
    assert prompts[0] == prompts[1] == prompts[2] and len(prompts[0]) == 6
    assert texts(rows[0]) != texts(rows[1]) != texts(rows[2])
    assert chain[2].inputs["responses"] == chain[1]


def test_an_answer_that_leaves_no_room_is_counted_and_stays(store: Store, tmp_path: Path) -> None:
    long = Response(Prompt("long", "red"), "red " * 2000, "somebody", finish_reason="length")
    short = Response(Prompt("short", "red"), "red .", "somebody")
    target = revision(given_responses(rows=(short, long)))
    heard: list[Event] = []
    for each in (*target.parents(), target):
        store.build(each, heard.append)
    rows = {row.prompt.id: row for row in store.bind(target).rows(Response)}
    assert rows["long"] == long
    assert rows["short"].writer == "llama"
    counts = store.record(target)["counts"]
    assert (counts[WITHOUT_ROOM], counts["rows"], counts["cut_off"]) == (1, 2, 1 + (not rows["short"].is_ended))
    assert "1 of 2 answers stay as they are: load_model mini:llama does not hold" in str(
        next(event for event in heard if isinstance(event, Note) and "stay" in str(event))
    )
    alone = revision(given_responses(rows=(short,)))
    assert made(store, alone).rows(Response) == [rows["short"]]


def test_what_was_kept_is_not_asked_by_a_run_that_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [Response(Prompt(f"long {n}", "red"), "red " * 2000, "somebody") for n in range(3)]
    others = [Response(Prompt(f"{n}", "red"), "red .", "somebody") for n in range(9)]
    target = revision(given_responses(rows=(*kept, *others)))
    use(monkeypatch, FakeGenerator(falls_over_at=1))
    with pytest.raises(InterruptedError):
        made(store, target)
    last = FakeGenerator()
    use(monkeypatch, last)
    again = made(store, target)
    assert sum(len(conversations) for conversations, _, _ in last.asked) == 5
    assert {row.prompt.id: row.text for row in again.rows(Response) if row.text.startswith("red red")}.keys() == {
        row.prompt.id for row in kept
    }
    assert store.record(again)["counts"][WITHOUT_ROOM] == 3


def test_each_revision_is_drawn_anew(first: Artifact) -> None:
    chain = revisions(model(POLICY), first, template=TEMPLATE, sampling=SAMPLING, seed=0, count=5)
    seeds = {each.params["seed"] for each in chain[1:]}
    assert len(seeds) == 5 and seeds == {revision_seed(0, number) for number in range(1, 6)}
    assert not seeds & {revision_seed(1, number) for number in range(1, 6)}
    assert [each.label for each in chain[1:]] == [f"revision {number}" for number in range(1, 6)]


def test_no_revision_leaves_the_first_answers_and_fewer_there_cannot_be(first: Artifact) -> None:
    assert revisions(model(POLICY), first, template=TEMPLATE, sampling=SAMPLING, seed=0, count=0) == [first]
    with pytest.raises(ValueError, match="must not be negative"):
        revisions(model(POLICY), first, template=TEMPLATE, sampling=SAMPLING, seed=0, count=-1)


@pytest.mark.parametrize(
    "template", ["", "{request}", "{example}", "{request} {example} {draft}", "{request} {example"]
)
def test_a_prompt_without_request_or_answer_is_one_line(template: str, first: Artifact) -> None:
    with pytest.raises(UserError, match=r"needs the fields \{request\} and \{example\} and no other") as found:
        revisions(model(POLICY), first, template=template, sampling=SAMPLING, seed=0, count=1)
    assert "\n" not in str(found.value)


def test_a_cue_that_ends_template_and_request_is_there_once_at_the_end() -> None:
    template = "{request}\nEXAMPLE SUMMARY: {example}\nTL;DR:"
    cued, plain = "POST: it {is} red TL;DR: so\n\nTL;DR:", "POST: it is red"
    assert revision_message(template, cued, "red") == "POST: it {is} red TL;DR: so\nEXAMPLE SUMMARY: red\nTL;DR:"
    assert revision_message(template, plain, "red") == "POST: it is red\nEXAMPLE SUMMARY: red\nTL;DR:"
    assert revision_message("{request} {example}", cued, "red") == f"{cued} red"


def test_braces_around_the_fields_are_text() -> None:
    require_revision_prompt("{{json}} {request}\n{example}")


def test_a_revision_is_declared_with_one_answer_in_its_prompt_however_many_were_before(first: Artifact) -> None:
    graph = GraphEstimates(None)
    chain = revisions(model(POLICY), first, template=TEMPLATE, sampling=SAMPLING, seed=0, count=3)
    rows = [graph.rows(each) for each in chain]
    assert {each.count for each in rows} == {6}
    assert rows[1].prompt == rows[3].prompt == pytest.approx(rows[0].tokens, abs=8)
    assert rows[3].prompt > rows[0].prompt
    assert {type(graph.cost(each)) for each in chain} == {Generation}


def test_a_revision_at_an_endpoint_is_declared_as_requests() -> None:
    asked = revise(
        model=model("openai:gpt-4o"),
        responses=data("mini:arena_hard", 6),
        template=TEMPLATE,
        sampling=SAMPLING,
        seed=0,
    )
    cost = GraphEstimates(None).cost(asked)
    assert isinstance(cost, Asking) and (cost.purpose, cost.calls) == ("revisions", 6)
