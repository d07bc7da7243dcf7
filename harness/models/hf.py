"""Generation and likelihoods with transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.errors import UserError
from harness.models.chat import answer_ids, closing_ids, completion, prompt_ids
from harness.models.chat_template import require_working
from harness.models.checkpoint_files import CONFIG, read_object, reading, require_plausible
from harness.models.context_length import answer_token_limits, context_length
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, ignore

if TYPE_CHECKING:
    import torch

STEPS_BETWEEN_LOOKS = 16
"""How often rows that have ended are looked for, to go on without them: each look waits for the device."""

BATCH_SIZE = 256
BATCH_TOKENS = 40_960  # of a batch, which bounds memory where answers may be long
CPU_TOKENS = 16_384  # of what is drawn together without a GPU, which is slower beyond the processor's own memory
LOGITS_AT_ONCE = 2**29  # of one forward pass: 2 GiB in single precision
SOFTMAX_AT_ONCE = 2**25  # logits whose log-softmax is taken at once: 128 MiB in single precision


def load_checkpoint(folder: Path) -> tuple[Any, Any]:
    """Return (model, tokenizer) of a checkpoint folder.

    Raises UserError as `load_model` does, and where the folder has no chat template.
    """
    silence_libraries()
    with reading(f"the model in {folder}"):
        tokenizer = _load_tokenizer(folder)
    model = load_pretrained(folder)
    prepare_tokenizer(tokenizer, model.get_input_embeddings().num_embeddings, folder)
    return model.to(_device()), tokenizer


def load_pretrained(folder: Path, device: str = "cpu") -> Any:
    """Return the model of a checkpoint folder; on the device "meta", its weights are looked for and not read.

    Raises UserError where transformers cannot read it, and where it lacks weights (which would be drawn at random).
    """
    require_plausible(folder)
    model, found = _from_pretrained(folder, "meta")  # weights that do not fit the config would be made, at any size
    if absent := sorted([*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]):
        raise UserError(
            f"cannot load the model in {folder}: config.json asks for {len(absent)} weights that are missing or of "
            f"another shape, such as {absent[0]}"
        )
    return model if device == "meta" else _from_pretrained(folder, device)[0]


def _from_pretrained(folder: Path, device: str) -> tuple[Any, Any]:
    """Return (model, the report on which of its weights were found)."""
    from transformers import AutoModelForCausalLM

    where = {} if device == "cpu" else {"device_map": device}
    with reading(f"the model in {folder}"):
        loaded: tuple[Any, Any] = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True, **where
        )
    return loaded


def load_config(folder: Path) -> Any:
    """Return the model's configuration, as transformers has it. Raises UserError where it cannot read that."""
    from transformers import AutoConfig

    require_plausible(folder)
    with reading(f"the model in {folder}"):
        return AutoConfig.from_pretrained(folder).get_text_config()


def prepare_tokenizer(tokenizer: Any, vocabulary: int, folder: Path) -> None:
    """Set the closing token as the pad token where there is no other.

    Raises UserError for a tokenizer that a model with so large a `vocabulary` cannot use, or that cannot render a
    message or end an answer.
    """
    if len(tokenizer) > vocabulary:
        raise UserError(f"the tokenizer in {folder} has {len(tokenizer)} tokens, and the model only {vocabulary}")
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer in {folder} has no chat template; add chat_template.jinja, or give the model of the scale a"
            " chat_template, one of configs/chat_templates"
        )
    require_working(tokenizer)
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"the tokenizer in {folder} has no eos_token, so that no answer would end; name one in its config"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a checkpoint folder. Raises UserError where transformers cannot read it."""
    with reading(f"the tokenizer in {folder}"):
        return _load_tokenizer(folder)


def _load_tokenizer(folder: Path) -> Any:
    """Return the folder's tokenizer, read as it is where it is complete in `tokenizer.json`.

    AutoTokenizer would replace it by the class that it expects for some model types (Qwen2).
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    declared = read_object(folder / "tokenizer_config.json").get("tokenizer_class")
    if (folder / CONFIG).is_file():  # which AutoTokenizer reads too
        require_plausible(folder)
    is_generic = declared in ("TokenizersBackend", "PreTrainedTokenizerFast")
    return (PreTrainedTokenizerFast if is_generic else AutoTokenizer).from_pretrained(folder, padding_side="left")


def silence_libraries() -> None:
    """Turn off the libraries' own progress bars and advice: a step reports through its `Output`."""
    import warnings

    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class TransformersGenerator:
    """A checkpoint that answers conversations through its chat template."""

    def __init__(self, folder: Path) -> None:
        from transformers import GenerationConfig

        self.name = folder.name
        self.model, self._tokenizer = load_checkpoint(folder)
        self.model.eval()
        self.ends = closing_ids(self._tokenizer, folder)
        """The tokens that end an answer."""
        self.model.generation_config = GenerationConfig()  # the checkpoint's own would fill in what is not said
        self._limit = context_length(self.model.config)

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one completion a conversation, from one left-padded batch, or from several without much memory."""
        prompts = [prompt_ids(self._tokenizer, conversation) for conversation in conversations]
        token_limits = answer_token_limits(conversations, prompts, sampling.max_new_tokens, self._limit, self.name)
        drawn = self.continuations(prompts, sampling, seeds, advance)
        return [
            completion(self._tokenizer, ids, self.ends, most) for ids, most in zip(drawn, token_limits, strict=True)
        ]

    def continuations(
        self,
        beginnings: Sequence[list[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[list[int]]:
        """Return the tokens drawn after each beginning: up to one of `ends`, and what fills up the row after it.

        None has more tokens than the context leaves behind the shortest beginning.
        """
        parts = self._parts([len(ids) + sampling.max_new_tokens for ids in beginnings])
        return [row for part in parts for row in self._draw_or_halve(beginnings[part], sampling, seeds[part], advance)]

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        """Return a batch size that keeps a forward pass busy and fits into memory."""
        return max(1, min(BATCH_SIZE, BATCH_TOKENS // max_new_tokens))

    def close(self) -> None:
        """Give the model's memory back."""
        del self.model

    def _parts(self, lengths: Sequence[int]) -> list[slice]:
        """Cut rows of so many tokens, answers included, into those that are drawn together."""
        return length_buckets(lengths, CPU_TOKENS) if self.model.device.type == "cpu" else [slice(None)]

    def _draw_or_halve(
        self, prompts: Sequence[list[int]], sampling: Sampling, seeds: Sequence[int], advance: ProgressCallback
    ) -> list[list[int]]:
        """Return the tokens drawn for each prompt. What does not fit into memory is drawn in two halves.

        Raises UserError where not even one prompt fits.
        """
        import torch

        try:
            return self._draw_batch(prompts, sampling, seeds, advance)
        except torch.OutOfMemoryError as error:
            if len(prompts) == 1:
                raise UserError(
                    f"{self.model.device} has too little memory for {self.name} to answer a prompt of "
                    f"{len(prompts[0])} tokens: {str(error).splitlines()[0]}"
                ) from None
        torch.cuda.empty_cache()
        middle = len(prompts) // 2
        halves = (slice(0, middle), slice(middle, None))
        return [row for half in halves for row in self._draw_or_halve(prompts[half], sampling, seeds[half], advance)]

    def _draw_batch(
        self, prompts: Sequence[list[int]], sampling: Sampling, seeds: Sequence[int], advance: ProgressCallback
    ) -> list[list[int]]:
        """Draw `STEPS_BETWEEN_LOOKS` tokens at a time: between two looks, rows that have ended leave the batch."""
        import torch

        device = self.model.device
        encoded = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(device)
        places, uniforms = torch.arange(len(prompts), device=device), _uniforms(sampling, seeds).to(device)
        rows = _Rows(places, encoded["input_ids"], encoded["attention_mask"], uniforms)
        most = min(sampling.max_new_tokens, self._limit - min(map(len, prompts)))
        drawn = torch.full((len(prompts), most), self._tokenizer.pad_token_id, device=device)
        ends = torch.tensor(self.ends, device=device)
        with torch.inference_mode():
            for start in range(0, most, STEPS_BETWEEN_LOOKS):
                tokens = rows.extend(self._generate(rows, sampling, min(STEPS_BETWEEN_LOOKS, most - start)))
                drawn[rows.places, start : start + tokens.shape[1]] = tokens
                left = (~torch.isin(tokens, ends).any(dim=1)).nonzero().flatten()
                advance(len(tokens) - len(left))
                if not len(left):
                    break
                if len(left) < len(tokens):
                    rows.keep(left)
        return cast(list[list[int]], drawn.tolist())

    def _generate(self, rows: "_Rows", sampling: Sampling, steps: int) -> Any:
        """Return what transformers' `generate` does, of at most `steps` more tokens."""
        from transformers import GenerationConfig

        settings = GenerationConfig(
            max_new_tokens=steps,
            do_sample=False,
            eos_token_id=self.ends,
            pad_token_id=self._tokenizer.pad_token_id,
            return_dict_in_generate=True,
        )
        return self.model.generate(
            input_ids=rows.ids,
            attention_mask=rows.mask,
            past_key_values=rows.cache,
            generation_config=settings,
            logits_processor=[_draw(sampling, rows.uniforms)] if sampling.temperature else [],
        )


@dataclass(slots=True)
class _Rows:
    """The rows of a batch that have not ended, and what their next tokens depend on."""

    places: "torch.Tensor"  # of the rows in the batch
    ids: "torch.Tensor"  # [rows, width], the prompt and what has been drawn
    mask: "torch.Tensor"  # [rows, width], 0 where a prompt is padded
    uniforms: "torch.Tensor"  # [tokens still to be drawn, rows]
    cache: Any = None  # transformers' of keys and values

    def extend(self, output: Any) -> "torch.Tensor":
        """Take over what `generate` has drawn, and return it: [rows, tokens]."""
        import torch

        tokens: torch.Tensor = output.sequences[:, self.ids.shape[1] :]
        self.ids, self.cache = output.sequences, output.past_key_values
        self.mask = torch.cat([self.mask, torch.ones_like(tokens)], dim=1)
        self.uniforms = self.uniforms[tokens.shape[1] :]
        return tokens

    def keep(self, indices: "torch.Tensor") -> None:
        """Leave out all rows but these."""
        self.places, self.ids, self.mask = self.places[indices], self.ids[indices], self.mask[indices]
        self.uniforms = self.uniforms[:, indices]
        if self.cache is not None:  # models without attention have their own kind, and read the rows anew
            self.cache.reorder_cache(indices)


def _uniforms(sampling: Sampling, seeds: Sequence[int]) -> "torch.Tensor":
    """Return random numbers in [0, 1) for all tokens that may be drawn, each row's from its own seed: [tokens, rows].

    transformers draws a batch from one stream, so that a row's text would depend on what stands beside it.
    """
    import torch

    streams = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.rand(sampling.max_new_tokens, generator=stream) for stream in streams], dim=1)


def _draw(sampling: Sampling, uniforms: "torch.Tensor") -> Any:
    """Draw each row's next token with the next of `uniforms`, and leave no other choice to greedy decoding."""
    import torch
    from transformers import LogitsProcessor

    numbers = iter(uniforms)

    class Draw(LogitsProcessor):
        def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
            tokens = nucleus_tokens(scores, next(numbers), sampling.temperature, sampling.top_p)
            return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)

    return Draw()


def nucleus_tokens(
    logits: "torch.Tensor", uniforms: "torch.Tensor", temperature: float, top_p: float
) -> "torch.Tensor":
    """Draw tokens of the nucleus by inverse transform: logits [rows, vocabulary], uniforms in [0, 1) [rows] -> [rows].

    The nucleus holds the likeliest tokens up to the one with which their probability reaches `top_p`.
    """
    probabilities, tokens = (logits.float() / temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    cumulative = probabilities.cumsum(dim=-1)
    size = (cumulative - probabilities < top_p).sum(dim=-1)
    mass = cumulative.gather(1, size[:, None] - 1)
    place = (cumulative <= uniforms[:, None] * mass).sum(dim=-1).minimum(size - 1)
    return tokens.gather(1, place[:, None]).squeeze(1)


class Likelihoods:
    """Log-likelihoods of completions under a checkpoint, computed in float32 whatever its weights are stored in.

    In bfloat16 a likelihood depends on what else is in the batch, by up to half a per cent.
    """

    def __init__(self, folder: Path) -> None:
        model, self._tokenizer = load_checkpoint(folder)
        self._model = model.float().eval()
        self.limit = context_length(model.config)
        """How many tokens a conversation and its completion may have."""

    def negative_log_likelihoods(
        self, conversations: Sequence[Conversation], completions: Sequence[str], are_ended: Sequence[bool] | None = None
    ) -> list[tuple[float | None, int]]:
        """Return (summed negative log-likelihood in nats, tokens) of each completion, given its conversation.

        The first is None where both together have more than `limit` tokens: the model cannot tell.

        The conversation is rendered as for training and generation (`harness.models.chat`). The completion's closing
        token (the tokenizer's EOS) counts as one of its tokens, so that an empty completion has one. One of which
        `are_ended` says that its writer did not end it has none, unless it has no other token. The conversation's
        tokens do not count. Completions of like length should stand together: forward passes hold neighbours, as many
        as `LOGITS_AT_ONCE` allows, and at least one.
        """
        ended = [True] * len(completions) if are_ended is None else are_ended
        rows = [self._encode(*each) for each in zip(conversations, completions, ended, strict=True)]
        most_tokens = LOGITS_AT_ONCE // self._model.config.get_text_config().vocab_size
        held = [row for row in rows if len(row[0]) <= self.limit]
        parts = length_buckets([len(ids) for ids, _ in held], most_tokens)
        measured = iter([pair for part in parts for pair in self._measure(held[part])])
        return [next(measured) if len(ids) <= self.limit else (None, len(ids) - start) for ids, start in rows]

    def _measure(self, rows: Sequence[tuple[list[int], int]]) -> list[tuple[float, int]]:
        """Return (summed negative log-likelihood, tokens) of token ids from the given start on: one forward pass."""
        import torch

        width = max(len(ids) for ids, _ in rows)
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows], device=self._model.device)
        inside = torch.tensor(
            [[start <= i < len(ids) for i in range(width)] for ids, start in rows], device=self._model.device
        )
        lengths = torch.tensor([[i < len(ids) for i in range(width)] for ids, _ in rows], device=self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=lengths.long()).logits
            losses = _token_losses(logits, ids) * inside[:, 1:]
        counts = inside[:, 1:].sum(1)
        return list(zip(losses.sum(1).tolist(), counts.tolist(), strict=True))

    def _encode(self, conversation: Conversation, completion: str, is_ended: bool) -> tuple[list[int], int]:
        prompt = prompt_ids(self._tokenizer, conversation)
        answer = answer_ids(self._tokenizer, completion, is_ended=is_ended)
        return [*prompt, *(answer or answer_ids(self._tokenizer, completion))], len(prompt)


def length_buckets(lengths: Sequence[int], most_tokens: int) -> list[slice]:
    """Cut rows of these lengths into runs of at most `most_tokens` tokens, padding included, or of one row."""
    runs: list[slice] = []
    start, width = 0, 0
    for row, length in enumerate(lengths):
        width = max(width, length)
        if row > start and (row + 1 - start) * width > most_tokens:
            runs.append(slice(start, row))
            start, width = row, length
    return [*runs, slice(start, len(lengths))] if lengths else []


def _token_losses(logits: "torch.Tensor", ids: "torch.Tensor") -> "torch.Tensor":
    """Return the cross-entropy of each next token: logits [rows, width, vocabulary], ids [rows, width].

    The result is [rows, width - 1].
    """
    import torch
    from torch.nn.functional import cross_entropy

    rows, width, vocabulary = logits.shape
    span = max(1, SOFTMAX_AT_ONCE // (rows * vocabulary))
    starts = range(0, width - 1, span)
    ends = [min(start + span, width - 1) for start in starts]
    losses = [
        cross_entropy(logits[:, start:end].float().transpose(1, 2), ids[:, start + 1 : end + 1], reduction="none")
        for start, end in zip(starts, ends, strict=True)
    ]
    return torch.cat(losses, dim=1)
