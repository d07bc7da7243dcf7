"""Models on the hub, from reference to checkpoint folder; against the stand-in hub."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engine.store import Store
from harness.errors import UserError
from harness.files import file_digest
from harness.models import hub as hub_module
from harness.models.hf import load_checkpoint
from harness.models.references import checkpoint_folder, checkpoint_of
from harness.steps.data import model
from tests.hub_server import COMMIT, MODELS, HubServer, serving, use_hub, way_offline
from tests.steps.given import made

NAME = "maker/tiny"
UNKNOWN_COMMIT = "f" * 40


@pytest.fixture
def published(base: Path, tmp_path: Path) -> Path:
    """The packaged Llama in a folder of the hub, among files that nobody needs."""
    folder = shutil.copytree(base, tmp_path / "hub" / MODELS / NAME)
    (folder / "README.md").write_text("about")
    (folder / "consolidated.safetensors").write_bytes(b"the same in another format")
    (folder / "original").mkdir()
    (folder / "original" / "model.safetensors").write_bytes(b"the same again")
    return folder


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(tmp_path / "hub") as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Keeps this process off the hub, until the test ends."""
    return way_offline(monkeypatch)


def test_a_model_without_a_commit_is_resolved_once_and_not_fetched_before_it_is_needed(hub: HubServer) -> None:
    assert model(NAME).key == model(NAME).key == model(f"{NAME}@{COMMIT}").key
    assert model(NAME).params["reference"] == f"{NAME}@{COMMIT}"
    assert hub.requests == [f"GET /api/models/{NAME}"]


def test_a_commit_is_its_own_fingerprint_and_nothing_is_asked(hub: HubServer) -> None:
    assert model(f"{NAME}@{COMMIT}").params["fingerprint"] == COMMIT
    assert hub.requests == []


def test_the_step_fetches_what_is_needed_and_keeps_the_digests(hub: HubServer, base: Path, store: Store) -> None:
    pointer = made(store, model(NAME))
    folder = checkpoint_of(pointer.folder)
    names = {path.name for path in base.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    assert pointer.json("reference.json") == {
        "reference": f"{NAME}@{COMMIT}",
        "fingerprint": COMMIT,
        "files": {name: file_digest(base / name) for name in names},
    }
    load_checkpoint(folder)


def test_a_fetched_model_is_found_without_asking(hub: HubServer, store: Store) -> None:
    pointer = made(store, model(f"{NAME}@{COMMIT}"))
    asked = len(hub.requests)
    assert (checkpoint_of(pointer.folder) / "config.json").is_file()
    assert len(hub.requests) == asked


def test_a_folder_of_the_same_name_wins(
    hub: HubServer, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base, tmp_path / NAME)
    assert checkpoint_folder(NAME) == Path(NAME)
    assert hub.requests == []


def test_a_model_of_the_hub_can_be_given_another_chat_format(hub: HubServer, base: Path, store: Store) -> None:
    folder = checkpoint_of(made(store, model(NAME, closing_token="<|user|>")).folder)
    _, tokenizer = load_checkpoint(folder)
    assert tokenizer.eos_token == "<|user|>"
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == tokenizer.eos_token_id
    assert (folder / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    assert not (folder / "model.safetensors").is_symlink(), "the cache may be emptied"


@pytest.mark.parametrize("reference", [NAME, f"{NAME}@{COMMIT}"])
def test_offline_a_fetched_model_is_there(
    hub: HubServer, store: Store, tmp_path: Path, offline: Callable[[], None], reference: str
) -> None:
    made(store, model(NAME))
    offline()
    hub_module._newest.cache_clear()
    asked = len(hub.requests)
    again = Store(tmp_path / "another store")
    assert (checkpoint_of(made(again, model(reference)).folder) / "model.safetensors").is_file()
    assert len(hub.requests) == asked


@pytest.mark.parametrize("reference", [NAME, f"{NAME}@{COMMIT}"])
def test_offline_a_model_that_was_not_fetched_is_one_line_that_names_prefetch(
    hub: HubServer, store: Store, offline: Callable[[], None], reference: str
) -> None:
    offline()
    with pytest.raises(
        UserError, match=r"the model maker/tiny.* is not completely in the local cache.*run `harness prefetch`"
    ):
        made(store, model(reference))


def test_offline_half_a_model_is_none(hub: HubServer, store: Store, offline: Callable[[], None]) -> None:
    pointer = made(store, model(NAME))
    (checkpoint_of(pointer.folder) / "model.safetensors").unlink()
    offline()
    with pytest.raises(UserError, match="not completely in the local cache"):
        checkpoint_of(pointer.folder)


def test_a_hub_that_fails_leaves_what_was_fetched(hub: HubServer, store: Store, tmp_path: Path) -> None:
    made(store, model(NAME))
    hub.failing = True
    hub_module._newest.cache_clear()
    made(Store(tmp_path / "another store"), model(NAME))


def without(name: str) -> Callable[[HubServer, Path], object]:
    return lambda _, folder: (folder / name).unlink()


def with_weights_as_bin(_: HubServer, folder: Path) -> None:
    (folder / "consolidated.safetensors").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def gated(hub: HubServer, _: Path) -> None:
    hub.gated.add(NAME)


def failing(hub: HubServer, _: Path) -> None:
    hub.failing = True


def untouched(_: HubServer, __: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "reference", "complaint"),
    [
        (untouched, f"{NAME}@{UNKNOWN_COMMIT}", f"the model {NAME} on the hub has no revision '{UNKNOWN_COMMIT}'"),
        (untouched, f"{NAME}@v1", "the revision 'v1' of maker/tiny is not a commit of 40 hexadecimal digits"),
        (untouched, "maker/tny", "the hub has no model maker/tny, .* no such folder or file here"),
        (gated, NAME, "the model maker/tiny is gated: accept its terms .*HF_TOKEN"),
        (gated, f"{NAME}@{COMMIT}", "the model maker/tiny is gated"),
        (failing, NAME, r"maker/tiny is not completely in the local cache.* cannot be asked \(HfHubHTTPError\)"),
        (with_weights_as_bin, NAME, r"has no weights as \.safetensors but as \.bin"),
        (without("config.json"), NAME, r"is not a model that can be loaded: config\.json missing"),
        (without("tokenizer_config.json"), NAME, r"tokenizer_config\.json missing"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(
    hub: HubServer,
    published: Path,
    store: Store,
    spoil: Callable[[HubServer, Path], object],
    reference: str,
    complaint: str,
) -> None:
    spoil(hub, published)
    with pytest.raises(UserError, match=complaint) as raised:
        made(store, model(reference))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("reference", [NAME, f"{NAME}@{COMMIT}"])
def test_a_cache_that_cannot_be_written_to_is_one_line(
    hub: HubServer, tmp_path: Path, store: Store, reference: str
) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(UserError, match=rf"cannot write to the hub's cache {tmp_path}/cache \(.*; set HF_HOME"):
        made(store, model(reference))


def test_a_dead_endpoint_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as closed:
        pass
    use_hub(monkeypatch, closed.url, tmp_path / "cache")
    with pytest.raises(UserError, match=rf"the hub at {closed.url} cannot be asked \(ConnectError\)"):
        model(NAME)


def test_a_folder_that_lacks_a_part_of_its_weights_is_no_model(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "checkpoint")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    with pytest.raises(UserError, match=r"is not a model folder: model-00002-of-00002\.safetensors missing"):
        checkpoint_folder(str(folder))
