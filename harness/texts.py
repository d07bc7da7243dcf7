"""The requirements on a text that is stored, sent and shown, and the writing of amounts."""

import reprlib
from collections.abc import Iterable

_MAX_NAMES = 12


def has_lone_surrogate(text: str) -> bool:
    """Return whether `text` holds a lone half of a surrogate pair, which JSON can hold and no encoding can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def format_names(names: Iterable[str]) -> str:
    """Format the names of columns for an error: the first ones, each shortened; with blanks around it, in quotes."""
    texts = [reprlib.repr(name) if name.strip() != name or not name else reprlib.repr(name)[1:-1] for name in names]
    return ", ".join(texts[:_MAX_NAMES]) + (", …" if len(texts) > _MAX_NAMES else "") or "none"


def counted(number: float, one: str, several: str = "") -> str:
    """Write a number with its noun: ``1 GPU``, ``8 GPUs``, ``2 processes``."""
    return f"{number:g} {one if number == 1 else several or one + 's'}"


def gigabytes(size: float) -> str:
    """Format bytes on a disk, in decimal units: ``4.2 MB``, ``29 MB``, ``1.5 GB``, ``728 GB``."""
    if size < 1e9:
        return f"{size / 1e6:.2g} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.1f} GB" if size < 1e10 else f"{size / 1e9:,.0f} GB"
