"""What our generators add to the engine beneath: their time on a batch of prompts over the engine's own.

`OMP_NUM_THREADS=1 python benchmarks/generation_overhead.py FOLDER --engine transformers|vllm`

Both sides draw the same answers with the same parameters, in one process and in turn: ours from conversations to texts,
the engine from the token ids, that ours would make, to token ids. Answers have exactly `--tokens` tokens, for then both
sides do the same work whatever is drawn. The ratio of each repeat's pair is printed, and their median. Seconds are the
processor's where all of the work is this process's (transformers without a GPU), and the clock's elsewhere.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from harness.models.chat import prompt_ids
from harness.models.generator import Conversation, Sampling
from harness.models.references import load_generator
from harness.records import Message

WANTED = 1.10


def main() -> None:
    """Measures and prints; exits with 1 where the median ratio is above what is wanted."""
    arguments = _arguments()
    said = [_conversation(number) for number in range(arguments.prompts)]
    sampling = Sampling(0.7, 0.9, arguments.tokens, arguments.engine)
    generator = load_generator(str(arguments.model), arguments.engine)
    generator._ends = _no_ends(generator, arguments.engine)  # type: ignore[attr-defined]
    bare = (_bare_vllm if arguments.engine == "vllm" else _bare_transformers)(generator, said, sampling)
    sides = {"bare": bare, "ours": lambda: generator.complete(said, sampling, range(len(said)))}
    clock = _clock(generator, arguments.engine)
    for side in sides.values():
        side()  # what is done once in a process: kernels, caches
    ratios = []
    for repeat in range(arguments.repeats):
        order = list(sides) if repeat % 2 else list(sides)[::-1]
        seconds = {name: _seconds(sides[name], clock) for name in order}
        ratios.append(seconds["ours"] / seconds["bare"])
        print(f"{arguments.engine}: ours {seconds['ours']:.2f} s, bare {seconds['bare']:.2f} s, {ratios[-1]:.3f}")
    generator.close()
    print(f"{arguments.engine}: median ratio {median(ratios):.3f} (wanted: at most {WANTED})")
    raise SystemExit(median(ratios) > WANTED)


def _bare_transformers(generator: Any, said: list[Conversation], sampling: Sampling) -> Callable[[], Any]:
    """`model.generate` on the padded batch, drawing as it does by itself."""
    import torch
    from transformers import GenerationConfig

    tokenizer, model = generator._tokenizer, generator._model
    batch = tokenizer.pad({"input_ids": [prompt_ids(tokenizer, each) for each in said]}, return_tensors="pt")
    batch = batch.to(model.device)
    settings = GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=0,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=generator._ends,
        pad_token_id=tokenizer.pad_token_id,
    )

    def generate() -> Any:
        with torch.inference_mode():
            return model.generate(**batch, generation_config=settings).tolist()

    return generate


def _bare_vllm(generator: Any, said: list[Conversation], sampling: Sampling) -> Callable[[], Any]:
    """`LLM.generate` on the token ids."""
    from vllm import SamplingParams, TokensPrompt

    prompts = [TokensPrompt(prompt_token_ids=prompt_ids(generator._tokenizer, each)) for each in said]
    settings = [
        SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=generator._ends,
            detokenize=False,
        )
        for seed in range(len(said))
    ]
    return lambda: generator._engine.generate(prompts, settings, use_tqdm=False)


def _conversation(number: int) -> Conversation:
    words = " ".join(f"item {number + i}" for i in range(5 + 3 * (number % 7)))
    return (Message("user", f"Write a few sentences about these: {words}."),)


def _no_ends(generator: Any, engine: str) -> list[int]:
    """Closing tokens by which no answer ends: none, or, where one is asked for, one beyond the vocabulary."""
    return [] if engine == "vllm" else [len(generator._tokenizer)]


def _clock(generator: Any, engine: str) -> Callable[[], float]:
    alone = engine == "transformers" and generator._model.device.type == "cpu"
    return time.process_time if alone else time.perf_counter


def _seconds(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a checkpoint folder")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
