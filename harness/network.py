"""The switch that keeps this process, and all that it starts, from asking other machines."""

import os
import sys

OFFLINE = "HARNESS_OFFLINE"
"""The environment variable by which processes know of `go_offline`; HF_HUB_OFFLINE alone speaks of the hub alone."""
OFFLINE_VARIABLES = (OFFLINE, "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
"""The last three are what the libraries look at, when they are imported."""


def go_offline() -> None:
    """Forbid this process, and those that it starts, to ask the hub, or an endpoint on another machine."""
    for name in OFFLINE_VARIABLES:
        os.environ[name] = "1"
    for module, name in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_DATASETS_OFFLINE")):
        if module in sys.modules:
            setattr(sys.modules[module], name, True)


def network_is_refused() -> bool:
    """Return whether no other machine is to be asked for anything."""
    return OFFLINE in os.environ


def is_offline() -> bool:
    """Return whether the hub is not to be asked."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
