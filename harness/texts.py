"""The requirements on a text that is stored, sent and shown."""

import reprlib
from collections.abc import Iterable

_MAX_NAMES = 12


def holds_half_character(text: str) -> bool:
    """Return whether `text` holds half a surrogate pair alone, which JSON can and no encoding of a file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def names_shown(names: Iterable[str]) -> str:
    """Return the names of columns as an error lists them: the first ones, each shortened; with blanks around it, in
    quotes."""
    shown = [reprlib.repr(name) if name.strip() != name or not name else reprlib.repr(name)[1:-1] for name in names]
    return ", ".join(shown[:_MAX_NAMES]) + (", …" if len(shown) > _MAX_NAMES else "") or "none"
