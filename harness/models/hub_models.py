"""A checkpoint on the Hugging Face hub: which of its files are needed, and whether they are all there."""

from collections.abc import Callable
from pathlib import Path

from harness.engine.artifacts import Tracker
from harness.errors import UserError
from harness.models.checkpoint_files import read_object
from harness.models.hub import NotFetched, Repository

DESCRIPTION = ("config.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"


def lacking_files(folder: Path) -> list[str]:
    """Return the files that a checkpoint needs and the folder lacks."""
    missing = [name for name in DESCRIPTION if not (folder / name).is_file()]
    if missing:
        return missing
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        return [name for name in _shards(index) if not (folder / name).is_file()]
    return [] if list(folder.glob("*.safetensors")) else ["*.safetensors"]


def _shards(index: Path) -> list[str]:
    """Return the files that the weights are spread over."""
    try:
        return sorted(set(read_object(index)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{index} does not say which files hold the weights; download it again") from None


def model_files(on_hub: Repository) -> dict[str, int]:
    """Return the sizes in bytes of the files that are fetched of a model: weights, configuration, tokenizer, template.

    Raises UserError where there are no weights as safetensors.
    """
    there = on_hub.files()
    kinds = (".safetensors", ".json", ".jinja", ".txt", ".model")
    flat = {name: size for name, size in there.items() if "/" not in name and name.endswith(kinds)}
    # other formats of the same weights are left out: `consolidated*` is Mistral's own
    wanted = {name: size for name, size in flat.items() if not name.startswith("consolidated")}
    missing = [name for name in DESCRIPTION if name not in wanted]
    if missing:
        raise UserError(f"{on_hub.title} is not a model that can be loaded: {', '.join(missing)} missing")
    if not any(name.endswith(".safetensors") for name in wanted):
        others = " but as .bin" if any(name.endswith(".bin") for name in there) else ""
        raise UserError(
            f"{on_hub.title} has no weights as .safetensors{others}; take another revision, or a converted folder"
        )
    return wanted


def fetch_model(on_hub: Repository, track: Callable[[int, str], Tracker] | None = None) -> Path:
    """Return the model's folder with all files that are needed; as it is where the hub cannot be asked.

    Raises UserError for what cannot be fetched.

    `track` opens a progress display for (amount of work, unit): `Output.track`.
    """
    try:
        sizes = model_files(on_hub)
    except NotFetched:
        if lacking_files(on_hub.folder):
            raise
        return on_hub.folder
    progress = track(sum(map(megabytes, sizes.values())), "MB") if track else None
    return on_hub.fetch(sizes, lambda name: progress.advance(megabytes(sizes[name])) if progress else None)


def megabytes(size: int) -> int:
    """Return bytes in megabytes, rounded up, the unit of progress."""
    return -(-size // 10**6)
