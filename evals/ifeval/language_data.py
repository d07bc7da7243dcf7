"""NLTK's data, by which IFEval's checkers find words and sentences: looked for before lm-eval would download it."""

from collections.abc import Iterator
from io import StringIO

from harness.errors import UserError
from harness.network import is_offline

DATA = "punkt_tab"


def has_language_data() -> bool:
    """Return whether the data is on this machine: in a folder of NLTK_DATA, or where NLTK looks besides."""
    from nltk import data

    try:
        data.find(f"tokenizers/{DATA}/english/")
    except LookupError:
        return False
    return True


def require_language_data() -> None:
    """Fetch the data unless it is here. Raises UserError where it cannot be fetched."""
    if not (has_language_data() or (not is_offline() and fetch_language_data())):
        raise UserError(
            f"IFEval's checkers need NLTK's {DATA}, which is not on this machine: run `harness prefetch ifeval` where"
            " there is a network, or set NLTK_DATA to a folder with tokenizers/punkt_tab"
        )


def language_data_line() -> Iterator[str]:
    """Fetch the data, and yield a line on it. Raises UserError where it cannot be had."""
    if not fetch_language_data():
        raise UserError(f"NLTK's {DATA} cannot be fetched; try again, or set NLTK_DATA to a folder with it")
    yield f"NLTK's    {DATA}  is there"


def fetch_language_data() -> bool:
    """Ask NLTK's server for the data, and return whether it is here then. What is here is not asked for again."""
    from nltk import download

    return has_language_data() or bool(download(DATA, quiet=True, print_error_to=StringIO()) and has_language_data())
