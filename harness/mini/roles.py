"""The data sets of the world and the role each plays in the paper (README.md)."""

from collections.abc import Callable
from functools import partial
from random import Random

from harness.errors import UserError, unknown
from harness.mini import writers
from harness.mini.judge import MiniJudge
from harness.mini.language import FILLERS, REQUESTS, read_answer, read_request, write_answer, write_request
from harness.mini.world import WORLD_VERSION, Request, draw_request, evaluation_requests
from harness.mini.writers import Writer
from harness.records import PreferencePair, Prompt, Response

TRAINING_SIZES = (3, 4, 5, 6)
ALPACA_EVAL_SIZES = (3, 4, 5)
ARENA_HARD_SIZES = (6, 7)  # as long as the longest of training, and longer: the harder set
PREFERENCE_WRITERS = (writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER)


def demonstrations() -> list[Response]:
    """Return answers of middling quality (UltraChat's role: the initial policy is trained on them)."""
    return _answers("demonstrations", _training_requests("demonstrations", 3000), writers.HOUSE)


def improver_data() -> list[Response]:
    """Return prompts with good references (the role of the chosen responses of DPO-Mix-7K; S_R in Algorithm 1)."""
    return _answers("improver_data", _training_requests("improver_data", 1000), writers.SCHOLAR)


def preference_data() -> list[PreferencePair]:
    """Return two answers of different writers, ranked by the judge on sight (UltraFeedback's role).

    The chosen answers are the references of S_P in Algorithm 1.
    """
    rng, judge = _rng("preference_data"), MiniJudge()
    pairs = []
    for prompt, request in _training_requests("preference_data", 2000):
        first, second = (writer.answer(request, rng) for writer in rng.sample(PREFERENCE_WRITERS, 2))
        is_first_better = judge.logit(prompt.text, first, second) > 0
        chosen, rejected = (first, second) if is_first_better else (second, first)
        pairs.append(PreferencePair(prompt, chosen, rejected))
    return pairs


def alpaca_eval2(writer: Writer = writers.TEACHER) -> list[Response]:
    """Return the first evaluation set, answered by its baseline (the teacher: GPT-4 Turbo's role) or another writer."""
    return _answers("alpaca_eval2", _evaluation_requests("alpaca_eval2", ALPACA_EVAL_SIZES, 805), writer)


def arena_hard() -> list[Response]:
    """Return the harder evaluation set, answered by its baseline (the scholar, in the role of GPT-4-0314)."""
    requests = _evaluation_requests("arena_hard", ARENA_HARD_SIZES, 500)
    return _answers("arena_hard", requests, writers.SCHOLAR)


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
        told = [(s.aspect, s.value) for s in read_answer(row.text) if s.value]
        entity = read_request(row.prompt.text).entity
        if manner == "concise":
            text = write_answer(entity, told, "house")
        else:
            text = " ".join(
                f"{write_answer(entity, [item], 'rambler')} {rng.choice(FILLERS).format(entity=entity)}"
                for item in told
            )
        rows.append(Response(row.prompt, text, f"teacher_{manner}"))
    return rows


def _training_requests(role: str, size: int) -> list[tuple[Prompt, Request]]:
    rng = _rng(f"{role} requests")
    return _numbered(role, rng, [draw_request(rng, TRAINING_SIZES) for _ in range(size)])


def _evaluation_requests(role: str, sizes: tuple[int, ...], size: int) -> list[tuple[Prompt, Request]]:
    rng = _rng(f"{role} requests")
    return _numbered(role, rng, evaluation_requests(rng, sizes, size))


def _numbered(role: str, rng: Random, requests: list[Request]) -> list[tuple[Prompt, Request]]:
    return [
        (Prompt(f"{role}-{index}", write_request(request, rng.randrange(len(REQUESTS)))), request)
        for index, request in enumerate(requests)
    ]


def _answers(role: str, requests: list[tuple[Prompt, Request]], writer: Writer) -> list[Response]:
    rng = _rng(f"{role} by {writer.name}")
    return [Response(prompt, writer.answer(request, rng), writer.name) for prompt, request in requests]


def _rng(purpose: str) -> Random:
    return Random(f"mini-{WORLD_VERSION} {purpose}")
