"""What the benchmarks of training speed have in common: random models and rows, TRL's trainers, plain sequences."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from harness.records import PreferencePair, Prompt, Response
from harness.training.losses import Dpo, LogProbabilities, Orpo, PreferenceLoss

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "[user]", "[assistant]", "[system]")
"""Tokens of a random model beside its words."""
REVISION = "{request} {example}"
CHAT = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} </s> {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def random_pairs(count: int, words: int, prompt: tuple[int, int], answer: tuple[int, int]) -> list[PreferencePair]:
    """Return pairs of random words, as many a prompt and an answer as drawn from these ranges."""
    random, lengths = Random(0), Random(1)

    def text(least: int, most: int) -> str:
        return " ".join(f"w{random.randrange(words)}" for _ in range(lengths.randint(least, most)))

    return [PreferencePair(Prompt(str(number), text(*prompt)), text(*answer), text(*answer)) for number in range(count)]


def save_random_model(config: Any, folder: Path, device: str = "cpu", dtype: str = "float32") -> None:
    """Save a model with drawn weights, and a tokenizer of words that fill its vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    names = [*SPECIAL, *(f"w{number}" for number in range(config.vocab_size - len(SPECIAL)))]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    wrapped.chat_template = CHAT
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)


class Silent:
    """A receiver of progress that shows none."""

    def advance(self, count: int = 1) -> None:
        """Do nothing."""


def trl_classes(loss: PreferenceLoss | None) -> tuple[Any, Any, dict[str, Any]]:
    """Return TRL's trainer, its configuration class, and the settings of the loss."""
    if loss is None:
        from trl import SFTConfig, SFTTrainer

        return SFTTrainer, SFTConfig, {}
    if isinstance(loss, Dpo):
        from trl import DPOConfig, DPOTrainer

        return DPOTrainer, DPOConfig, {"beta": loss.beta}
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    assert isinstance(loss, Orpo)
    return ORPOTrainer, ORPOConfig, {"beta": loss.weight}


def conversations(rows: Sequence[PreferencePair | Response]) -> Any:
    """Return the rows as TRL's trainers take them."""
    from datasets import Dataset

    def turns(prompt: Prompt) -> list[dict[str, str]]:
        earlier = [{"role": turn.role, "content": turn.content} for turn in prompt.history]
        return [*earlier, {"role": "user", "content": prompt.text}]

    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    return Dataset.from_list(
        [
            {"prompt": turns(row.prompt), "completion": said(row.text)}
            if isinstance(row, Response)
            else {"prompt": turns(row.prompt), "chosen": said(row.chosen), "rejected": said(row.rejected)}
            for row in rows
        ]
    )


def score_plainly() -> None:
    """Have our trainer score every sequence of a pair by itself from here on, in the reference's pass too."""
    from harness.training import preferences, reference, scoring

    def plain(scorer: Any, policy: Any, batch: Any) -> LogProbabilities:
        return plain_scores(policy, batch)

    scoring.SequenceScorer.__call__ = plain  # type: ignore[method-assign]
    assert preferences.SequenceScorer is reference.SequenceScorer is scoring.SequenceScorer
    for module in (preferences, reference):  # which is for token trees
        module.use_tree_attention = lambda *_: False


def plain_scores(policy: Any, batch: Any) -> LogProbabilities:
    """Return the log-probabilities of a batch's sequences, each a row of its own with all its logits."""
    import torch

    count, sequences = batch.tokens.numel(), batch.tokens.shape[1]
    members = [((batch.members >> number) & 1).nonzero(as_tuple=True) for number in range(sequences)]
    owners = torch.cat([batch.rows[tokens] * sequences + number for number, tokens in enumerate(members)])
    depths, tokens = (torch.cat([each[of] for of in members]) for each in (batch.depths, batch.input_ids))
    lengths = torch.bincount(owners, minlength=count)
    ids = batch.input_ids.new_zeros(count, int(lengths.max()))
    ids[owners, depths] = tokens
    mask = (torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]).long()
    logits = policy(input_ids=ids, attention_mask=mask, use_cache=False).logits.log_softmax(-1)
    scores = logits[batch.owners, batch.depths.flatten()[batch.places], batch.targets]
    sums = scores.new_zeros(count).index_add(0, batch.owners, scores)
    return LogProbabilities(sums.view(batch.tokens.shape), batch.tokens.clamp(min=1))
