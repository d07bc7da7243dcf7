import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.artifacts import Artifact, Tracker, ancestry
from harness.engine.compute import Compute
from harness.engine.progress import Event, Note
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.roles import read_role
from harness.models import hf
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, ignore
from harness.models.openai_teacher import NO_ANSWER
from harness.recipes.loading import load_recipe
from harness.records import Message, Prompt, Response
from harness.steps.data import data, model
from harness.steps.respond import longest_first, prompt_seed, refine, respond
from harness.steps.train import improver_examples
from tests.steps.given import answers, given_responses, made, texts

PAPER = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=40)


class FakeGenerator:
    """Repeats the last message with its seed; counts how often it is asked, and can fall over."""

    name = "fake"

    def __init__(self, falls_over_at: int | None = None) -> None:
        self.closed = 0
        self.asked: list[tuple[tuple[Conversation, ...], Sampling, tuple[int, ...]]] = []
        self.falls_over_at = falls_over_at

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        advance(1)
        if len(self.asked) == self.falls_over_at:
            raise InterruptedError
        self.asked.append((tuple(conversations), sampling, tuple(seeds)))
        return [
            Completion(f"{said[-1].content} / {seed}", (1, 2), "stop")
            for said, seed in zip(conversations, seeds, strict=True)
        ]

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        return 4

    def close(self) -> None:
        self.closed += 1


def use(monkeypatch: pytest.MonkeyPatch, generator: FakeGenerator) -> None:
    monkeypatch.setattr("harness.steps.respond.load_generator", lambda reference, engine, compute: generator)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeGenerator:
    generator = FakeGenerator()
    use(monkeypatch, generator)
    return generator


def asked(count: int) -> Artifact:
    return answers({str(i): "" for i in range(count)})


@given(lengths=st.lists(st.integers(0, 20), max_size=50))
def test_every_prompt_has_its_place_and_the_longest_come_first(lengths: list[int]) -> None:
    order = longest_first(lengths)
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(i < j for i, j in pairwise(order) if lengths[i] == lengths[j])


def test_each_prompt_of_each_run_and_each_rendering_of_it_has_a_seed_of_its_own() -> None:
    seeds = {prompt_seed(seed, f"{id}", message) for seed in range(20) for id in range(20) for message in ("x", "y")}
    assert len(seeds) == 800
    assert all(0 <= seed < 2**63 for seed in seeds)  # what torch and vLLM take


def test_every_prompt_is_answered_with_the_sampling_asked_for(store: Store, fake: FakeGenerator) -> None:
    rows = made(store, respond(model=model("mini:llama"), prompts=asked(10), sampling=PAPER, seed=5)).rows(Response)
    assert sorted(row.prompt.id for row in rows) == sorted(str(i) for i in range(10))
    assert all(row.text.startswith(f"{row.prompt.text} / ") for row in rows)
    assert {(row.writer, row.token_ids, row.finish_reason) for row in rows} == {("fake", (1, 2), "stop")}
    assert [len(messages) for messages, _, _ in fake.asked] == [4, 4, 2]
    assert [sampling for _, sampling, _ in fake.asked] == [PAPER] * 3
    for conversations, _, seeds in fake.asked:
        ids = [said[-1].content.removeprefix("prompt ") for said in conversations]
        assert list(seeds) == [prompt_seed(5, id, f"prompt {id}") for id in ids]


def test_answers_that_were_cut_off_are_counted(store: Store) -> None:
    cut = respond(model=model("mini:llama"), prompts=asked_of_the_world(4), sampling=Sampling(0.0, 1.0, 2), seed=0)
    assert store.record(made(store, cut))["counts"]["cut_off"] == 4


def asked_of_the_world(count: int) -> Artifact:
    return data("mini:alpaca_eval2", count)


def test_a_killed_run_goes_on_with_the_same_bytes(
    store: Store, tmp_path: Path, fake: FakeGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = respond(model=model("mini:llama"), prompts=asked(18), sampling=PAPER, seed=1)
    undisturbed = (made(Store(tmp_path / "undisturbed"), artifact).folder / "rows.jsonl").read_bytes()
    complete = len(fake.asked)
    seen = 0
    for fall in (2, 1):  # two runs are killed, after two batches and after one more
        broken = FakeGenerator(falls_over_at=fall)
        use(monkeypatch, broken)
        with pytest.raises(InterruptedError):
            made(store, artifact)
        seen += len(broken.asked)
    last = FakeGenerator()
    use(monkeypatch, last)
    assert (made(store, artifact).folder / "rows.jsonl").read_bytes() == undisturbed
    assert seen + len(last.asked) == complete == 5


def test_a_real_model_goes_on_with_the_same_bytes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "BATCH_SIZE", 4)
    artifact = respond(model=model("mini:llama"), prompts=asked_of_the_world(10), sampling=PAPER, seed=1)
    whole = made(Store(tmp_path / "undisturbed"), artifact).folder
    log = (whole / "rows.jsonl").read_bytes()
    for parent in ancestry([artifact])[:-1]:
        store.build(parent)
    partial = store.folder(artifact).with_name(f".partial-{artifact.key}")
    partial.mkdir(parents=True)
    first_batch = b"".join(log.splitlines(keepends=True)[:4])
    torn = log[len(first_batch) :][:100]  # what was being written when the power went
    (partial / "rows.jsonl").write_bytes(first_batch + torn)
    (partial / ".rows.jsonl.mark").write_text(str(len(first_batch)))
    store.build(artifact)
    assert (store.folder(artifact) / "rows.jsonl").read_bytes() == log
    assert len(log.splitlines()) == 10


def test_nothing_is_loaded_when_every_answer_is_there(store: Store, fake: FakeGenerator) -> None:
    artifact = made(store, respond(model=model("mini:llama"), prompts=asked(8), sampling=PAPER, seed=1))
    store.folder(artifact).rename(store.folder(artifact).with_name(f".partial-{artifact.key}"))
    before = len(fake.asked)
    assert len(made(store, artifact).rows(Response)) == 8
    assert len(fake.asked) == before


@pytest.mark.parametrize("change", ["seed", "sampling", "model"])
def test_what_changes_the_answers_changes_the_artifact(change: str) -> None:
    arguments = {"model": model("mini:llama"), "prompts": asked(2), "sampling": PAPER, "seed": 0}
    other = {**arguments, change: {"seed": 1, "sampling": PAPER.greedy(), "model": model("mini:qwen2")}[change]}
    assert respond(**arguments).key != respond(**other).key  # type: ignore[arg-type]


def test_drafts_are_refined_with_the_reference_of_their_prompt(store: Store, fake: FakeGenerator) -> None:
    drafts, references = answers({"a": "draft a", "b": "draft b"}), answers({"b": "right b", "a": "right a"})
    refined = refine(
        model=model("mini:teacher"),
        template="{request} | {reference} | {draft}",
        references=references,
        drafts=drafts,
        sampling=PAPER,
        seed=2,
    )
    rows = made(store, refined).rows(Response)
    assert {row.prompt.text for row in rows} == {"prompt a", "prompt b"}  # not the refine prompt
    assert {id: text.rpartition(" / ")[0] for id, text in texts(rows).items()} == {
        id: f"prompt {id} | right {id} | draft {id}" for id in "ab"
    }


def test_a_template_without_the_reference_never_shows_it(store: Store, fake: FakeGenerator) -> None:
    template = load_recipe("mini").prompt_set().methods["training"]
    drafts, references = answers({"a": "draft a"}), answers({"a": "right a"})
    [row] = made(
        store,
        refine(
            model=model("mini:llama"), template=template, references=references, drafts=drafts, sampling=PAPER, seed=0
        ),
    ).rows(Response)
    assert "right" not in row.text
    assert "draft a" in row.text


@pytest.mark.parametrize("name", ["target", "refining"])
def test_the_prompts_that_refine_show_request_reference_and_draft(store: Store, fake: FakeGenerator, name: str) -> None:
    template = load_recipe("mini").prompt_set().methods[name]
    references, drafts = read_role("improver_data", 3), read_role("demonstrations", 3)
    by_prompt = {row.prompt.id: row for row in references if isinstance(row, Response)}
    made(
        store,
        refine(
            model=model("mini:teacher"),
            template=template,
            references=data("mini:improver_data", 3),
            drafts=respond(model=model("mini:llama"), prompts=data("mini:improver_data", 3), sampling=PAPER, seed=0),
            sampling=PAPER,
            seed=0,
        ),
    )
    messages = [said[-1].content for batch, _, _ in fake.asked[1:] for said in batch]
    assert len(messages) == len(drafts) == 3
    for row in by_prompt.values():
        [message] = [message for message in messages if row.prompt.text in message]
        assert row.text in message
        assert f"{row.prompt.text} / {prompt_seed(0, row.prompt.id, row.prompt.text)}" in message  # its draft


def test_progress_counts_each_row_once_though_some_end_before_their_batch(
    store: Store, fake: FakeGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(Tracker, "advance", lambda self, count=1: heard.append(count))
    made(store, respond(model=model("mini:teacher"), prompts=asked(10), sampling=PAPER, seed=0))
    assert heard == [1, 3, 1, 3, 1, 1]


def test_the_generator_is_closed_however_the_step_ends(
    store: Store, fake: FakeGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store, respond(model=model("mini:teacher"), prompts=asked(2), sampling=PAPER, seed=0))
    assert fake.closed == 1
    broken = FakeGenerator(falls_over_at=0)
    use(monkeypatch, broken)
    with pytest.raises(InterruptedError):
        made(store, respond(model=model("mini:teacher"), prompts=asked(3), sampling=PAPER, seed=0))
    assert broken.closed == 1


@pytest.mark.parametrize(("cut", "told"), [(2, []), (3, ["3 of 100 answers are cut off at the limit of 40 tokens"])])
def test_the_user_hears_of_it_where_more_than_two_per_cent_are_cut_off(
    store: Store, monkeypatch: pytest.MonkeyPatch, cut: int, told: list[str]
) -> None:
    class CutsOff(FakeGenerator):
        def complete(self, conversations: Sequence[Conversation], *_: object) -> list[Completion]:
            return [
                Completion("x", (), "length" if int(said[-1].content.split()[-1]) < cut else "stop")
                for said in conversations
            ]

    use(monkeypatch, CutsOff())
    artifact = respond(model=model("mini:teacher"), prompts=asked(100), sampling=PAPER, seed=0)
    for parent in ancestry([artifact])[:-1]:
        store.build(parent)
    heard: list[Event] = []
    store.build(artifact, heard.append)
    assert [event.text for event in heard if isinstance(event, Note)] == told
    assert store.record(artifact)["counts"]["cut_off"] == cut


class LeavesOut(FakeGenerator):
    """Has no answer to prompts whose number `leaves_out` holds of."""

    def __init__(self, leaves_out: Callable[[int], bool], falls_over_at: int | None = None) -> None:
        super().__init__(falls_over_at)
        self.leaves_out = leaves_out

    def complete(self, conversations: Sequence[Conversation], *asked: object) -> list[Completion]:
        completions = super().complete(conversations, *asked)  # type: ignore[arg-type]
        numbers = [int(said[-1].content.split()[1]) for said in conversations]
        return [
            Completion("", (), f"{NO_ANSWER}it is {'odd' if number % 2 else 'even'}")
            if self.leaves_out(number)
            else done
            for number, done in zip(numbers, completions, strict=True)
        ]


def test_what_an_endpoint_leaves_unanswered_has_no_row_and_is_counted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = respond(model=model("mini:teacher"), prompts=asked(18), sampling=PAPER, seed=0)
    use(monkeypatch, LeavesOut(lambda number: number % 3 == 0))
    for parent in ancestry([artifact])[:-1]:
        store.build(parent)
    heard: list[Event] = []
    store.build(artifact, heard.append)
    rows = store.bind(artifact).rows(Response)
    assert sorted(int(row.prompt.id) for row in rows) == [number for number in range(18) if number % 3]
    assert store.record(artifact)["counts"]["unanswered"] == 6
    told = [event.text for event in heard if isinstance(event, Note)]
    assert len(told) == 1
    assert re.fullmatch(r"6 of 18 prompts have no answer \((\d+, ){5}…\): it is (odd|even) \(3 of them\)", told[0])

    killed = Store(tmp_path / "killed")
    use(monkeypatch, LeavesOut(lambda number: number % 3 == 0, falls_over_at=3))
    with pytest.raises(InterruptedError):
        made(killed, artifact)
    use(monkeypatch, LeavesOut(lambda number: number % 3 == 0))
    again = made(killed, artifact)
    assert (again.folder / "rows.jsonl").read_bytes() == (store.folder(artifact) / "rows.jsonl").read_bytes()
    assert killed.record(again)["counts"]["unanswered"] == 6


def test_an_improver_learns_from_the_prompts_that_are_answered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = answers({str(i): f"draft {i}" for i in range(6)})
    use(monkeypatch, LeavesOut(lambda number: number == 2))
    target = refine(
        model=model("mini:teacher"),
        template="{request} {reference} {draft}",
        references=drafts,
        drafts=drafts,
        sampling=PAPER,
        seed=0,
    )
    rows = made(store, improver_examples(template="{draft}", drafts=drafts, targets=[target])).rows(Response)
    assert sorted(row.prompt.text for row in rows) == [f"draft {i}" for i in (0, 1, 3, 4, 5)]


def test_an_endpoint_that_answers_nothing_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LeavesOut(lambda number: True))
    with pytest.raises(UserError, match=r"answers none of 5 prompts \(it is even\): take another teacher"):
        made(store, respond(model=model("mini:teacher"), prompts=asked(5), sampling=PAPER, seed=0))


def test_a_turn_before_the_prompt_is_shown_and_the_engine_is_the_samplings(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    generator = FakeGenerator()

    def load(reference: str, engine: str, compute: Compute) -> FakeGenerator:
        loaded.append((reference, engine, compute))
        return generator

    monkeypatch.setattr("harness.steps.respond.load_generator", load)
    before = (Message("user", "hello"), Message("assistant", "yes?"))
    prompts = given_responses(rows=(Response(Prompt("a", "and now?", before), "", "nobody"),))
    sampling = Sampling(0.7, 0.9, 40, "vllm")
    made(store, respond(model=model("mini:teacher"), prompts=prompts, sampling=sampling, seed=0))
    assert loaded == [("mini:teacher", "vllm", Compute())]
    [(conversations, _, _)] = generator.asked
    assert conversations == ((*before, Message("user", "and now?")),)
