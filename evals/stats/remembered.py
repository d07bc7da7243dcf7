"""Results that are computed once in a process: a method is scored, and then compared with each of the others."""

import functools
import pickle
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

KEPT = 1024
"""The most results of a function that are kept, of which the oldest goes first."""


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a pure function so that it returns what it has returned before for arguments of the same content.

    Unlike with `functools.lru_cache`, they may hold arrays. Nobody may change what is returned.
    """
    results: OrderedDict[bytes, R] = OrderedDict()

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        key = sha256(pickle.dumps((args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)).digest()
        if key not in results:
            results[key] = function(*args, **kwargs)
            if len(results) > KEPT:
                results.popitem(last=False)
        return results[key]

    return wrapped
