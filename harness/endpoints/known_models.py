"""The known judge models: their prices, the parameters they refuse, and until when they are served."""

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal, get_args
from urllib.parse import urlsplit

from harness.config.yaml_files import config_path, load_yaml
from harness.endpoints.reference import EndpointReference

OPENAI_URL = "https://api.openai.com/v1"
"""The vendor's own endpoint: where the prices and shutdown dates of configs/judges.yaml are from."""

Refusable = Literal["temperature", "logprobs", "max_tokens", "system"]
REFUSABLE: tuple[Refusable, ...] = get_args(Refusable)
"""What can be left out for an endpoint that refuses it: request parameters, and turns of the system."""


@dataclass(frozen=True, slots=True)
class PriceSource:
    """The source of a price: an address, and the latest day (YYYY-MM-DD) for which we know that it stood there."""

    url: str
    as_of: str

    def __post_init__(self) -> None:
        date.fromisoformat(self.as_of)


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens; `batch` is the Batch API's factor, None where not known; `source` names a Source."""

    prompt: float
    completion: float
    source: str
    batch: float | None = None

    def usd(self, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float | None:
        """Return the dollars for so many tokens; None through the Batch API where its price is not known."""
        factor = self.batch if batch else 1.0
        if factor is None:
            return None
        return factor * (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


FREE = Price(0.0, 0.0, source="local", batch=1.0)
"""What this machine's own servers cost."""


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """One entry of configs/judges.yaml; everything but `names` is empty for a model that is not in there.

    A name that ends in ``*`` stands for every name that begins so. `without` names the request parameters that the
    model refuses. `shutdown_date` is the vendor's, YYYY-MM-DD.
    """

    names: tuple[str, ...]
    price: Price | None = None
    tokenizer: Literal["cl100k_base", "o200k_base"] | None = None
    without: tuple[Refusable, ...] = ()
    shutdown_date: str | None = None

    def __post_init__(self) -> None:
        if self.shutdown_date is not None:
            date.fromisoformat(self.shutdown_date)
        if any(name.endswith("*") for name in self.names) and (self.price or self.shutdown_date):
            raise ValueError("a price and a shutdown date need exact names, without *")


@dataclass(frozen=True, slots=True)
class JudgeTable:
    """configs/judges.yaml."""

    sources: dict[str, PriceSource]
    models: tuple[JudgeModel, ...]

    def __post_init__(self) -> None:
        times = Counter(name for model in self.models for name in model.names)
        if twice := [name for name, count in times.items() if count > 1]:
            raise ValueError(f"models given twice: {', '.join(twice)}")
        named = {model.price.source for model in self.models if model.price}
        if missing := sorted(named - self.sources.keys()):
            raise ValueError(f"unknown sources: {', '.join(missing)}")

    def find(self, name: str) -> JudgeModel:
        """Return the entry with exactly this name, else the one with the longest beginning of it, else an empty one."""
        by_name = {known: model for model in self.models for known in model.names}
        if name in by_name:
            return by_name[name]
        beginnings = [known for known in by_name if known.endswith("*") and name.startswith(known[:-1])]
        return by_name[max(beginnings, key=len)] if beginnings else JudgeModel((name,))


@cache
def judge_table() -> JudgeTable:
    """Read configs/judges.yaml. Raises UserError where it is not in order."""
    return load_yaml(config_path("judges.yaml"), JudgeTable)


@cache
def known_model(name: str) -> JudgeModel:
    """Return the entry of the model in configs/judges.yaml; nothing but its name for one that is not in there."""
    return judge_table().find(name)


def price_of(reference: EndpointReference) -> Price | None:
    """Return the price of the judge: the vendor's at its endpoint, nothing on this machine, None (unknown) elsewhere.

    A server on this machine under the name of a vendor's model is taken for a proxy, which passes the bill on.
    """
    price = None if reference.is_embedded else known_model(reference.model).price
    if is_vendor(reference):
        return price
    return (price or FREE) if is_local(reference) else None


_SNAPSHOT = re.compile(r"[-:](?:latest|\d{3,4}|\d{6}|\d{8}|\d{4}-\d\d-\d\d|\d\d-\d{4}|\d\d-\d\d)$")


def is_same_model(requested: str, served: str) -> bool:
    """Return whether the model that an endpoint says has answered is the one that was asked.

    Names may differ in case and in the owner before a slash. A name without a date stands for all that have one.
    """
    names = [name.lower().rstrip("/").rpartition("/")[2].replace("@", "-") for name in (requested, served)]
    undated = [_SNAPSHOT.sub("", name) for name in names]
    is_for_all_dates = undated[0] == names[0] or names[0].endswith("latest")
    return names[0] == names[1] or (is_for_all_dates and undated[0] == undated[1])


def is_local(reference: EndpointReference) -> bool:
    """Return whether the judge is embedded or served from this machine."""
    if reference.is_embedded:
        return True
    host = urlsplit(reference.base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_vendor(reference: EndpointReference) -> bool:
    """Return whether the judge is served by the vendor whose prices, tokenizers and shutdown dates the table gives."""
    return reference.base_url.rstrip("/") == OPENAI_URL


def shutdown_date(reference: EndpointReference) -> date | None:
    """Return the day on which the vendor shuts the model down, as far as configs/judges.yaml knows.

    As for prices, a server on this machine under the name of a vendor's model is taken for a proxy.
    """
    served_by_vendor = is_vendor(reference) or (is_local(reference) and not reference.is_embedded)
    announced = known_model(reference.model).shutdown_date if served_by_vendor else None
    return date.fromisoformat(announced) if announced else None
