"""References to endpoints: a model, the URL where it is served, and the parameters it refuses."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.errors import UserError, unknown
from harness.mini.identity import world_digest

EMBEDDED = "mini:judge"


@dataclass(frozen=True, slots=True)
class EndpointReference:
    """The complete name of a judge or teacher: verdicts of judges with equal references may stand in one column.

    `model` is "mini:judge" or the name of a model at the OpenAI-compatible endpoint `base_url`. `without` names the
    request parameters that the endpoint refuses and that are therefore not sent; with "system" the system's text stands
    before the user's. `content` identifies an embedded judge's code. `parser_version` is that of the readers of its
    replies.
    """

    model: str
    base_url: str = ""
    without: tuple[str, ...] = ()
    content: str = ""
    parser_version: int = 0

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url}" if self.base_url else self.model

    @property
    def is_embedded(self) -> bool:
        """Whether the judge is the mini world's, which costs nothing."""
        return self.model == EMBEDDED


def endpoint_reference(model: str, base_url: str | None = None, without: tuple[str, ...] = ()) -> EndpointReference:
    """Return the reference of the judge `model`: embedded, or served at `base_url` (by default the OpenAI API).

    `without` adds to what configs/judges.yaml knows of the model; its order is of no account. Raises UserError for an
    embedded judge that there is not, a base URL that is none, and what cannot be left out in `without`.
    """
    from harness.endpoints.known_models import OPENAI_URL, REFUSABLE, known_model

    for parameter in without:
        if parameter not in REFUSABLE:
            raise unknown("parameter to leave out", parameter, REFUSABLE)
    if model.startswith("mini:"):
        if model != EMBEDDED or base_url:
            raise UserError(f"the embedded judge is {EMBEDDED}, without a base URL, not {model!r}")
        return EndpointReference(model, content=world_digest())
    if "://" in model or ("@" in model and not base_url):
        raise UserError(
            f"{model!r} is not a model of the OpenAI API: give the model's name alone, and its endpoint as a base URL"
            " that starts with http:// or https://"
        )
    url = _checked_url(base_url or OPENAI_URL)
    refused = {*known_model(model).without, *without}
    return EndpointReference(model, url, tuple(name for name in REFUSABLE if name in refused))


def _checked_url(text: str) -> str:
    """Return the base URL without its last slash. One that may hold a secret is refused, and not printed."""
    if set(text) & set("@?#"):
        azure = ".azure.com" in text.lower() or "api-version" in text.lower()
        hint = "; for Azure give https://RESOURCE.openai.azure.com/openai/v1, which needs no api-version"
        raise UserError(
            "an endpoint's base URL may hold no user, password, query or fragment (no @, ? or #): it is written into"
            f" results; a key belongs in the environment variable OPENAI_API_KEY{hint if azure else ''}"
        )
    if not text.startswith(("http://", "https://")):
        raise UserError(f"an endpoint's base URL must start with http:// or https://, not {text!r}")
    try:
        parts = urlsplit(text)
        is_valid = bool(parts.hostname) and parts.port != 0  # a port that is no number raises
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UserError(f"invalid base URL {text!r}: no valid host or port")
    return text.rstrip("/")
