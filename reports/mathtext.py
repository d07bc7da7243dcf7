"""Labels with mathematical symbols, as matplotlib sets them."""

import re

_SYMBOL = re.compile(r"([ŷỹ])_(θ\*|θ0|θ|φ)")
_HATS = {"ŷ": r"\hat{y}", "ỹ": r"\tilde{y}"}
_INDICES = {"θ*": r"\theta^{*}", "θ0": r"\theta_{0}", "θ": r"\theta", "φ": r"\varphi"}


def with_subscripts(label: str) -> str:
    """Write ``ỹ_θ0`` in a label as a symbol with a subscript; all else stays as it is."""
    return _SYMBOL.sub(lambda found: f"${_HATS[found[1]]}_{{{_INDICES[found[2]]}}}$", label)
