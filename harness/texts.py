"""What a text must be so that it can be stored, sent and shown, and how amounts are written."""

import reprlib
from collections.abc import Iterable

_MOST_NAMES = 12


def holds_half_character(text: str) -> bool:
    """Whether `text` holds half a surrogate pair alone, which JSON can and no encoding of a file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def names_shown(names: Iterable[str]) -> str:
    """The names of columns as an error lists them: the first ones, each shortened; with blanks around it, in quotes."""
    shown = [reprlib.repr(name) if name.strip() != name or not name else reprlib.repr(name)[1:-1] for name in names]
    return ", ".join(shown[:_MOST_NAMES]) + (", …" if len(shown) > _MOST_NAMES else "") or "none"


def counted(number: float, one: str, several: str = "") -> str:
    """Write a number with its noun: ``1 GPU``, ``8 GPUs``, ``2 processes``."""
    return f"{number:g} {one if number == 1 else several or one + 's'}"


def gigabytes(size: float) -> str:
    """Write bytes on a disk as they are sold: ``4.2 MB``, ``29 MB``, ``1.5 GB``, ``728 GB``."""
    if size < 1e9:
        return f"{size / 1e6:.2g} MB" if size < 1e7 else f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.1f} GB" if size < 1e10 else f"{size / 1e9:,.0f} GB"
