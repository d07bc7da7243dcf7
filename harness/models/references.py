"""Model references, and the checkpoint folders and generators behind them.

- `mini:qwen2`, `mini:llama`: the packaged base models; `mini:teacher`: the embedded oracle;
- `openai:MODEL`, `openai:MODEL@URL`: a teacher at the OpenAI API, or at an endpoint like it;
- `stored:FILE.jsonl`: a teacher whose answers are stored (`harness.models.stored_teacher`);
- `gguf:PACKAGE/FILE.gguf`, `gguf:/folder/FILE.gguf`: a GGUF file in an installed package or a folder;
- the path of a Hugging Face checkpoint folder;
- `owner/name`, `owner/name@COMMIT`: a model on the Hugging Face hub (`harness.models.hub`), where no such folder is.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from harness.config.yaml_files import named_config
from harness.engine.artifacts import Tracker
from harness.engine.compute import Compute
from harness.engine.store import RECORD
from harness.errors import UserError, unknown
from harness.files import file_digest, link_or_copy
from harness.mini.identity import world_digest
from harness.models.checkpoint_files import reading
from harness.models.generator import Engine, Generator
from harness.models.gguf import GGUF, convert_gguf, gguf_file
from harness.models.hub import hub_repository, require_planned
from harness.models.hub_models import fetch_model, lacking_files
from harness.models.openai_teacher import OPENAI, teacher_endpoint
from harness.models.stored_teacher import STORED, StoredTeacher

MINI_MODELS = Path(__file__).parents[1] / "mini" / "models"
TEACHER = "mini:teacher"
WITHOUT_WEIGHTS = (TEACHER, STORED, OPENAI)
"""How the references of teachers begin that this machine runs no model for."""
GENERATION = "generation_config.json"
REFERENCE_FILE = "reference.json"
"""In an artifact, points to a model that lives elsewhere; without it the artifact's folder is the checkpoint."""


def located(reference: str) -> str:
    """Return the same reference, in which the path of a folder is absolute."""
    return str(Path(reference).absolute()) if Path(reference).is_dir() else reference


def checkpoint_folder(reference: str) -> Path:
    """Return the folder that holds the checkpoint; one of the hub is fetched unless it is there.

    Raises UserError where the reference leads to none.
    """
    if reference.startswith("mini:"):
        name = reference.removeprefix("mini:")
        known = sorted(path.name for path in MINI_MODELS.iterdir())
        if name not in known:
            raise unknown("model", reference, [f"mini:{other}" for other in known])
        return MINI_MODELS / name
    if on_hub := hub_repository("model", reference):
        return fetch_model(on_hub) if lacking_files(on_hub.folder) else on_hub.folder
    if lacking := lacking_files(Path(reference)):
        raise UserError(
            f"{reference} is not a model folder: {', '.join(lacking)} missing (expected a Hugging Face checkpoint)"
        )
    return Path(reference)


def fetch_reference(reference: str, track: Callable[[int, str], Tracker]) -> None:
    """Fetch all files of a model of the hub; `track` opens a progress display. Other models are not fetched."""
    if on_hub := hub_repository("model", reference):
        fetch_model(on_hub, track)


def file_digests(reference: str) -> dict[str, str]:
    """Return the SHA-256 of each file of the model; none for the embedded teacher, and for one at an endpoint."""
    if reference == TEACHER or reference.startswith(OPENAI):
        return {}
    return {path.name: file_digest(path) for path in _files(reference)}


def needs_preparation(reference: str) -> bool:
    """Return whether the reference leads to no checkpoint folder as it is, so that one has to be made in the store."""
    return reference.startswith(GGUF)


def chat_template_text(name: str) -> str:
    """Return the chat template ``configs/chat_templates/<name>.jinja``. Raises UserError for an unknown name."""
    return named_config("chat template", name, "chat_templates/*.jinja").read_text(encoding="utf-8")


def prepare(reference: str, folder: Path, chat_template: str, closing_token: str) -> None:
    """Make `folder` a checkpoint folder of the model, with another chat format where one is given.

    `chat_template` is the template's text; `closing_token` becomes the EOS of the tokenizer and of generation, so that
    training and every engine agree on what ends an answer. Raises UserError where the model cannot be read, and for a
    closing token that the tokenizer does not have.
    """
    from harness.models.hf import silence_libraries

    silence_libraries()
    if reference.startswith(GGUF):
        convert_gguf(gguf_file(reference), folder)
    else:
        _link_files(checkpoint_folder(reference), folder)
    if chat_template or closing_token:
        set_chat_format(reference, folder, chat_template, closing_token)


def _link_files(source: Path, folder: Path) -> None:
    """Copy the small files, and link the weights; copy them too on another file system."""
    for path in source.iterdir():
        if path.is_file() and path.name not in (RECORD, REFERENCE_FILE):
            (link_or_copy if path.suffix == ".safetensors" else shutil.copyfile)(path.resolve(), folder / path.name)


def set_chat_format(reference: str, folder: Path, chat_template: str, closing_token: str) -> None:
    """Give the tokenizer in `folder` another template and closing token, as `prepare` does; weights are not needed."""
    from transformers import GenerationConfig

    from harness.models.hf import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if closing_token:
        if closing_token not in tokenizer.get_vocab():
            raise UserError(
                f"the tokenizer of {reference} has no token {closing_token!r}; name one of its special tokens"
            )
        tokenizer.eos_token = closing_token
    if chat_template:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    declared = (folder / GENERATION).is_file()
    with reading(f"{GENERATION} of {reference}"):
        generation = GenerationConfig.from_pretrained(folder) if declared else GenerationConfig()
    generation.eos_token_id = tokenizer.eos_token_id
    generation.save_pretrained(folder)


def model_fingerprint(reference: str) -> str:
    """Return the identity of the model's content: its commit on the hub, a digest of its files, or of the world's code.

    Of a model at an endpoint no more is known than its name and where it is.
    """
    return _known_content(reference) or _digest(file_digests(reference))


def require_unchanged(reference: str, planned: str, files: Mapping[str, str] | None = None) -> None:
    """Raise UserError where the model is not the one whose fingerprint a plan took.

    `files` are its `file_digests`, if they are at hand.
    """
    found = _known_content(reference) or _digest(files or file_digests(reference))
    if found != planned:
        raise UserError(f"{reference} has changed since this run looked at it; run the same command again")


def _known_content(reference: str) -> str | None:
    """Return the identity of a model's content without a look at its files; None for files on this machine."""
    if reference == TEACHER:
        return world_digest()
    if reference.startswith(OPENAI):
        return str(teacher_endpoint(reference))
    on_hub = hub_repository("model", reference)
    return on_hub.commit if on_hub else None


def _files(reference: str) -> list[Path]:
    if reference.startswith(STORED):
        return [_stored_file(reference)]
    if reference.startswith(GGUF):
        return [gguf_file(reference)]
    folder = checkpoint_folder(reference)
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != RECORD)


def _stored_file(reference: str) -> Path:
    path = Path(reference.removeprefix(STORED))
    if not path.is_file():
        made = "run `harness data split` (docs/small.md), or " if str(path).startswith("data/small/") else ""
        raise UserError(f"there is no file {path} with the teacher's stored answers; {made}name another teacher")
    return path


def _digest(files: Mapping[str, str]) -> str:
    digest = sha256()
    for name, content in files.items():
        digest.update(name.encode() + bytes.fromhex(content))
    return digest.hexdigest()


def resolve(folder: Path) -> str:
    """Return the reference that an artifact's folder stands for: the one in its `reference.json`, or the folder itself.

    Raises UserError where that was a folder, which this machine does not have.
    """
    pointer = folder / REFERENCE_FILE
    if not pointer.is_file():
        return str(folder)
    stored = json.loads(pointer.read_text())
    reference: str = stored["reference"]
    if "fingerprint" in stored:
        require_planned(reference, stored["fingerprint"])
    return reference


def checkpoint_of(folder: Path) -> Path:
    """Return the checkpoint folder that a model artifact's folder stands for."""
    return checkpoint_folder(resolve(folder))


def load_generator(reference: str, engine: Engine = "transformers", compute: Compute | None = None) -> Generator:
    """Return the model behind `reference`, ready to answer; a checkpoint is run by `engine`, as `compute` says.

    Raises UserError where the reference leads to no model, or the engine is not there or has not what it needs.
    """
    if reference == TEACHER:
        from harness.models.embedded import EmbeddedTeacher

        return EmbeddedTeacher()
    if reference.startswith(STORED):
        return StoredTeacher(_stored_file(reference))
    folder = checkpoint_folder(reference)
    if engine == "vllm":
        from harness.models.vllm import VllmGenerator

        return VllmGenerator(folder, (compute or Compute()).needs("generation").gpus)
    from harness.models.hf import TransformersGenerator

    return TransformersGenerator(folder)
