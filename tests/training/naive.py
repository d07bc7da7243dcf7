"""Likelihoods and losses as the papers define them, one example after the other."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.mini.tokenizer import ASSISTANT, END, USER
from harness.models.generator import Conversation
from harness.models.hf import load_checkpoint
from harness.records import Message, PreferencePair


def alone(messages: Iterable[str]) -> list[Conversation]:
    """Each message as a conversation of its own."""
    return [(Message("user", message),) for message in messages]


class Naive:
    """A checkpoint whose log-probabilities are looked up one token at a time."""

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = load_checkpoint(folder)
        self.model.eval()

    def log_probabilities(self, request: str, answer: str) -> tuple[list[float], list[float]]:
        """Of each token of the message (but the first), and of each token of the answer with its closing one."""
        message = [USER, *request.split(), END, ASSISTANT]
        ids = self.tokenizer.convert_tokens_to_ids([*message, *answer.split(), END])
        with torch.inference_mode():
            log_p: Any = self.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        each = [float(log_p[position - 1, token]) for position, token in enumerate(ids) if position]
        return each[: len(message) - 1], each[len(message) - 1 :]

    def answer_log_probability(self, request: str, answer: str) -> float:
        """log π(answer | request)."""
        return math.fsum(self.log_probabilities(request, answer)[1])


def sequences_in(row: Mapping[str, Iterable[int]]) -> list[list[int]]:
    """The sequences that a row's token tree holds, walked token by token."""
    tokens = list(zip(row["ids"], row["depths"], row["members"], strict=True))
    sequences = []
    for number in range(int(max(members for _, _, members in tokens)).bit_length()):
        own = sorted((depth, token) for token, depth, members in tokens if members >> number & 1)
        assert [depth for depth, _ in own] == list(range(len(own)))
        sequences.append([token for _, token in own])
    return sequences


def targets_in(row: Mapping[str, Iterable[int]]) -> list[list[int]]:
    """The scored tokens of each sequence of a row's token tree."""
    scored = list(zip(row["owners"], row["targets"], strict=True))
    return [[token for owner, token in scored if owner == number] for number in range(len(sequences_in(row)))]


def dpo_margin(policy: Naive, reference: Naive, pair: PreferencePair) -> float:
    """log π/π_ref of the chosen answer minus that of the rejected one: the bracket of Eq. 6."""
    chosen, rejected = (
        policy.answer_log_probability(pair.prompt.text, answer)
        - reference.answer_log_probability(pair.prompt.text, answer)
        for answer in (pair.chosen, pair.rejected)
    )
    return chosen - rejected


def dpo_loss(margin: float, beta: float) -> float:
    """-log σ(β · margin)."""
    return math.log1p(math.exp(-beta * margin))
