"""What a model reference means.

`mini:qwen2` and `mini:llama` are the packaged base models, `mini:teacher` the embedded oracle; anything else is the
path of a Hugging Face checkpoint folder.
"""

import json
from hashlib import sha256
from pathlib import Path

from harness.backends.interfaces import Generator
from harness.core.config import CONFIGS
from harness.core.errors import UserError, unknown
from harness.core.store import RECORD
from harness.mini.identity import world_digest

MINI_MODELS = Path(__file__).parents[1] / "mini" / "models"
TEACHER = "mini:teacher"
GGUF = "gguf:"
REFERENCE_FILE = "reference.json"
"""In an artifact, points to a model that lives elsewhere; without it the artifact's folder is the checkpoint."""


def checkpoint_folder(reference: str) -> Path:
    """The folder that holds the checkpoint. Raises UserError where the reference leads to none."""
    if reference.startswith("mini:"):
        name = reference.removeprefix("mini:")
        known = sorted(path.name for path in MINI_MODELS.iterdir())
        if name not in known:
            raise unknown("model", reference, [f"mini:{other}" for other in known])
        return MINI_MODELS / name
    folder = Path(reference)
    missing = [name for name in ("config.json", "tokenizer_config.json") if not (folder / name).is_file()]
    if missing or not list(folder.glob("*.safetensors")):
        lacking = ", ".join(missing or ["*.safetensors"])
        raise UserError(f"{reference} is not a model folder: {lacking} missing (expected a Hugging Face checkpoint)")
    return folder


def needs_preparation(reference: str) -> bool:
    """Whether the reference leads to no checkpoint folder as it is, so that one has to be made in the store."""
    return reference.startswith(GGUF)


def chat_template_text(name: str) -> str:
    """The chat template ``configs/chat_templates/<name>.jinja``. Raises UserError for an unknown name."""
    templates = {path.stem: path for path in (CONFIGS / "chat_templates").glob("*.jinja")}
    if name not in templates:
        raise unknown("chat template", name, templates)
    return templates[name].read_text(encoding="utf-8")


def prepare(reference: str, folder: Path, chat_template: str, closing_token: str) -> None:
    """Makes `folder` a checkpoint folder of the model, with another chat format where one is given."""
    raise NotImplementedError


def fingerprint(reference: str) -> str:
    """What identifies the model's content: a digest of its files, or of the world's code for the teacher."""
    if reference == TEACHER:
        return world_digest()
    files = (path for path in checkpoint_folder(reference).iterdir() if path.is_file() and path.name != RECORD)
    return _digest(sorted(files))


def _digest(paths: list[Path]) -> str:
    digest = sha256()
    for path in paths:
        digest.update(path.name.encode() + sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def resolve(folder: Path) -> str:
    """The reference that an artifact's folder stands for: the one in its `reference.json`, or the folder itself."""
    pointer = folder / REFERENCE_FILE
    return json.loads(pointer.read_text())["reference"] if pointer.is_file() else str(folder)


def checkpoint_of(folder: Path) -> Path:
    """The checkpoint folder that a model artifact's folder stands for."""
    return checkpoint_folder(resolve(folder))


def load_generator(reference: str) -> Generator:
    """The model behind `reference`, ready to answer."""
    if reference == TEACHER:
        from harness.backends.embedded import EmbeddedTeacher

        return EmbeddedTeacher()
    from harness.backends.hf import TransformersGenerator

    return TransformersGenerator(checkpoint_folder(reference))
