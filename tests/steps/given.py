"""Artifacts that tests are given: rows and models that no step of the harness made."""

from collections.abc import Iterable

from harness.engine.artifacts import Artifact, Output, ancestry, step
from harness.engine.store import Store
from harness.records import PreferencePair, Prompt, Response


@step()
def given_responses(out: Output, *, rows: tuple[Response, ...]) -> None:
    """These `Response` rows."""
    out.write_rows(rows)


@step()
def given_pairs(out: Output, *, rows: tuple[PreferencePair, ...]) -> None:
    """These `PreferencePair` rows."""
    out.write_rows(rows)


def answers(texts: dict[str, str], writer: str = "somebody") -> Artifact:
    """Responses to prompts with these ids; the prompt's text names the id."""
    return given_responses(rows=tuple(Response(Prompt(id, f"prompt {id}"), text, writer) for id, text in texts.items()))


def made(store: Store, target: Artifact) -> Artifact:
    """The artifact, built with all it needs in this process, and bound."""
    for artifact in ancestry([target]):
        store.build(artifact)
    return store.bind(target)


def texts(rows: Iterable[Response]) -> dict[str, str]:
    """Each response's text by the id of its prompt."""
    return {row.prompt.id: row.text for row in rows}
