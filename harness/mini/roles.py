"""The data sets of the world and the role each plays in the papers (README.md)."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from harness.errors import UserError, unknown
from harness.mini import writers
from harness.mini.instructions import draw_instructions
from harness.mini.judge import MiniJudge
from harness.mini.language import FILLERS, read_claims, write_answer, write_filler
from harness.mini.requests import (
    QUESTIONS,
    Request,
    draw_corrected_value,
    draw_follow_up,
    read_request,
    write_instructions,
    write_question,
)
from harness.mini.summaries import Proportions, draw_summary
from harness.mini.world import WORLD_VERSION, Topic, distant_entities, draw_topic, evaluation_topics
from harness.mini.writers import Writer
from harness.records import Message, PreferencePair, Prompt, Response

TRAINING_SIZES = (3, 4, 5, 6, 7)
ALPACA_EVAL_SIZES = (3, 4, 5)
ARENA_HARD_SIZES = (6, 7)  # the longest of training: the harder set
SUMMARY_SIZES = (4, 5, 6, 7)
DISTANT_SIZES = (6, 7, 8)
PREFERENCE_WRITERS = (writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER)
SUMMARY_WRITERS = (writers.EDITOR, writers.REPORTER, writers.CLERK, writers.STUDENT)


def demonstrations() -> list[Response]:
    """Return answers of middling quality (UltraChat's role: the initial policy is trained on them)."""
    return _answers("demonstrations", _training_questions("demonstrations", 3000), writers.HOUSE)


def improver_data() -> list[Response]:
    """Return prompts with good references (the role of the chosen responses of DPO-Mix-7K; S_R in Algorithm 1)."""
    return _answers("improver_data", _training_questions("improver_data", 1000), writers.SCHOLAR)


def preference_data() -> list[PreferencePair]:
    """Return two answers of different writers, ranked by the judge on sight (UltraFeedback's role).

    The chosen answers are the references of S_P in Algorithm 1.
    """
    return _pairs("preference_data", _training_questions("preference_data", 2000), PREFERENCE_WRITERS)


def conversations() -> list[Response]:
    """Return answers of middling quality to second turns and to requests with instructions, in equal parts.

    The first turns of the former were answered by the same writer (the role of Deita and Capybara).
    """
    return _answers("conversations", _conversations("conversations", 3000, writers.HOUSE), writers.HOUSE)


def conversation_pairs() -> list[PreferencePair]:
    """Return two answers of different writers to such requests, ranked by the judge on sight."""
    prompts = _conversations("conversation_pairs", 2000, writers.HOUSE)
    return _pairs("conversation_pairs", prompts, PREFERENCE_WRITERS)


def two_turn_questions() -> list[Response]:
    """Return second turns for evaluation, with the teacher's answers to both turns (MT-Bench's role)."""
    role = "two_turn_questions"
    rng = _rng(f"{role} requests")
    topics = evaluation_topics(rng, ALPACA_EVAL_SIZES, 160)
    prompts = [
        _second_turn(role, number, topic, writers.TEACHER, rng, for_evaluation=True)
        for number, topic in enumerate(topics)
    ]
    return _answers(role, prompts)


def instructions() -> list[Response]:
    """Return requests with up to three instructions for evaluation, answered by the teacher (IFEval's role)."""
    role = "instructions"
    rng = _rng(f"{role} requests")
    topics = evaluation_topics(rng, TRAINING_SIZES, 541)
    return _answers(role, [_instructed(role, n, topic, rng) for n, topic in enumerate(topics)])


def summaries() -> list[Response]:
    """Return texts summarised by a writer of middling quality (the role of TL;DR's reference summaries)."""
    return _answers("summaries", _training_summaries("summaries", 3000), writers.EDITOR)


def summary_pairs() -> list[PreferencePair]:
    """Return two summaries of different writers, ranked by the judge on sight (TL;DR's comparisons)."""
    return _pairs("summary_pairs", _training_summaries("summary_pairs", 2000), SUMMARY_WRITERS)


def summaries_test() -> list[Response]:
    """Return texts for evaluation, summarised by the same writer as those of training (TL;DR's test set)."""
    rng = _rng("summaries_test requests")
    topics = evaluation_topics(rng, SUMMARY_SIZES, 1024)
    texts = [draw_summary(rng, topic, Proportions()) for topic in topics]
    return _answers("summaries_test", _numbered("summaries_test", texts), writers.EDITOR)


def summaries_distant() -> list[Response]:
    """Return longer texts in other words on entities that no training names (XSum's role)."""
    rng = _rng("summaries_distant requests")
    topics = [draw_topic(rng, DISTANT_SIZES, distant_entities()) for _ in range(1024)]
    proportions = Proportions(wording=1, irrelevant=3, repeat_rate=0.15, among=distant_entities())
    texts = [draw_summary(rng, topic, proportions) for topic in topics]
    return _answers("summaries_distant", _numbered("summaries_distant", texts), writers.EDITOR)


def alpaca_eval2(writer: Writer = writers.TEACHER) -> list[Response]:
    """Return the first evaluation set, answered by its baseline (the teacher: GPT-4 Turbo's role) or another writer."""
    return _answers("alpaca_eval2", _evaluation_questions("alpaca_eval2", ALPACA_EVAL_SIZES, 805), writer)


def arena_hard() -> list[Response]:
    """Return the harder evaluation set, answered by its baseline (the clerk, in the role of GPT-4-0314)."""
    return _answers("arena_hard", _evaluation_questions("arena_hard", ARENA_HARD_SIZES, 500), writers.CLERK)


def alpaca_eval2_verbose() -> list[Response]:
    """Return the baseline's statements with filler around each of them: same content, longer."""
    return _rewritten("verbose")


def alpaca_eval2_concise() -> list[Response]:
    """Return the baseline's statements in the shortest style, without filler: same content, shorter."""
    return _rewritten("concise")


ROLES: dict[str, Callable[[], list[Response] | list[PreferencePair]]] = {
    "demonstrations": demonstrations,
    "improver_data": improver_data,
    "preference_data": preference_data,
    "alpaca_eval2": alpaca_eval2,
    "alpaca_eval2_verbose": alpaca_eval2_verbose,
    "alpaca_eval2_concise": alpaca_eval2_concise,
    "arena_hard": arena_hard,
    "conversations": conversations,
    "conversation_pairs": conversation_pairs,
    "two_turn_questions": two_turn_questions,
    "instructions": instructions,
    "summaries": summaries,
    "summary_pairs": summary_pairs,
    "summaries_test": summaries_test,
    "summaries_distant": summaries_distant,
    **{
        f"alpaca_eval2_{writer.name}": partial(alpaca_eval2, writer=writer)
        for writer in (writers.HOUSE, *PREFERENCE_WRITERS)
    },
}


def read_role(name: str, size: int) -> list[Response] | list[PreferencePair]:
    """Return the first `size` rows of a role. Raises UserError for an unknown role, and for more rows than it has."""
    if name not in ROLES:
        raise unknown("mini data role", name, ROLES)
    rows = ROLES[name]()
    if size > len(rows):
        raise UserError(f"the mini data role {name!r} has {len(rows)} rows, not {size}; ask for fewer")
    return rows[:size]


def _rewritten(manner: str) -> list[Response]:
    rng = _rng(manner)
    rows = []
    for row in alpaca_eval2():
        entity = read_request(row.prompt.text).entity
        told = read_claims(row.text, entity)
        if manner == "concise":
            text = write_answer(told, "note", entity)
        else:
            text = " ".join(
                f"{write_answer([claim], 'rambler', entity)} {write_filler(rng.randrange(len(FILLERS)), entity)}"
                for claim in told
            )
        rows.append(Response(row.prompt, text, f"teacher_{manner}"))
    return rows


def _training_questions(role: str, size: int) -> list[Prompt]:
    rng = _rng(f"{role} requests")
    return _questions(role, rng, [draw_topic(rng, TRAINING_SIZES) for _ in range(size)])


def _evaluation_questions(role: str, sizes: tuple[int, ...], size: int) -> list[Prompt]:
    rng = _rng(f"{role} requests")
    return _questions(role, rng, evaluation_topics(rng, sizes, size))


def _questions(role: str, rng: Random, topics: Sequence[Topic]) -> list[Prompt]:
    return _numbered(role, [_question(topic, rng) for topic in topics])


def _question(topic: Topic, rng: Random) -> str:
    return write_question(topic, rng.randrange(len(QUESTIONS)))


def _numbered(role: str, texts: Sequence[str]) -> list[Prompt]:
    return [Prompt(f"{role}-{number}", text) for number, text in enumerate(texts)]


def _training_summaries(role: str, size: int) -> list[Prompt]:
    rng = _rng(f"{role} requests")
    return _numbered(role, [draw_summary(rng, draw_topic(rng, SUMMARY_SIZES), Proportions()) for _ in range(size)])


def _conversations(role: str, size: int, writer: Writer) -> list[Prompt]:
    """Return second turns whose first ones `writer` answered, and requests with instructions, in turns."""
    rng = _rng(f"{role} requests")
    topics = [draw_topic(rng, TRAINING_SIZES) for _ in range(size)]
    return [
        _instructed(role, number, topic, rng) if number % 2 else _second_turn(role, number, topic, writer, rng)
        for number, topic in enumerate(topics)
    ]


def _instructed(role: str, number: int, topic: Topic, rng: Random) -> Prompt:
    demands = draw_instructions(rng, topic, most=3)
    return Prompt(f"{role}-{number}", write_instructions(_question(topic, rng), demands))


def _second_turn(
    role: str, number: int, topic: Topic, writer: Writer, rng: Random, *, for_evaluation: bool = False
) -> Prompt:
    first = _question(topic, rng)
    answered = writer.answer(read_request(first), rng)
    follow_up = draw_follow_up(
        rng,
        topic,
        lambda entity, aspect: draw_corrected_value(rng, entity, aspect, answered),
        for_evaluation=for_evaluation,
    )
    return Prompt(f"{role}-{number}", follow_up, (Message("user", first), Message("assistant", answered)))


def _answers(role: str, prompts: Sequence[Prompt], writer: Writer = writers.TEACHER) -> list[Response]:
    rng = _rng(f"{role} by {writer.name}")
    return [Response(prompt, writer.answer(_read(prompt), rng), writer.name) for prompt in prompts]


def _pairs(role: str, prompts: Sequence[Prompt], among: Sequence[Writer]) -> list[PreferencePair]:
    """Return two answers of different writers to each prompt, the one that the judge likes better chosen."""
    rng, judge = _rng(role), MiniJudge()
    pairs = []
    for prompt in prompts:
        first, second = (writer.answer(_read(prompt), rng) for writer in rng.sample(among, 2))
        is_first_better = judge.logit(prompt.text, first, second, history=prompt.requests_before) > 0
        chosen, rejected = (first, second) if is_first_better else (second, first)
        pairs.append(PreferencePair(prompt, chosen, rejected))
    return pairs


def _read(prompt: Prompt) -> Request:
    return read_request(prompt.text, prompt.requests_before)


def _rng(purpose: str) -> Random:
    return Random(f"mini-{WORLD_VERSION} {purpose}")
