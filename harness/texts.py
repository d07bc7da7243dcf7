"""The requirements on a text that is stored, sent and shown."""

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
