"""Models and data sets on the Hugging Face hub, fetched once and then found in its cache. No code of theirs is run.

The hub is the one that the environment variable HF_ENDPOINT names, its cache the one of HF_HOME.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.errors import UserError
from harness.files import disk_full_error, replace_file
from harness.network import is_offline

RepositoryKind = Literal["model", "dataset", "space"]


_TEXTS = (".jsonl", ".json", ".csv", ".tsv")
DATA_FILES = (*_TEXTS, ".parquet", *(f"{ending}.gz" for ending in _TEXTS))

HUB_NAMES: Mapping[RepositoryKind, str] = {"model": "model", "dataset": "data set", "space": "space"}
_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>.*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """Return the folder of fetched files."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


@dataclass(frozen=True, slots=True)
class Repository:
    """A model or data set at one commit."""

    kind: RepositoryKind
    name: str
    commit: str

    @property
    def title(self) -> str:
        """The name of the repository in errors."""
        return f"the {HUB_NAMES[self.kind]} {self.source}"

    @property
    def source(self) -> str:
        """Its name and commit, in short."""
        return f"{self.name}@{self.commit[:12]}"

    @property
    def folder(self) -> Path:
        """The folder of its files in the cache, once they are fetched."""
        return _storage(self.kind, self.name) / "snapshots" / self.commit

    def cached(self) -> dict[str, int]:
        """Return the sizes in bytes of the files in the cache."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in paths}

    def files(self) -> dict[str, int]:
        """Return the sizes in bytes of all its files.

        Raises NotFetched where the hub cannot be asked, has no such repository or commit, or does not give it.
        """
        info = _ask(self.kind, self.name, self.commit)
        return {entry.rfilename: entry.size or 0 for entry in info.siblings or ()}

    def file(self, name: str) -> Path:
        """Return one of its files, after fetching it unless it is there.

        Raises NotOnHub where there is no such file, and NotFetched where it cannot be fetched.
        """
        if not (self.folder / name).is_file() and name not in self.files():
            raise NotOnHub(f"{self.title} has no file {name}")
        return self.fetch([name]) / name

    def fetch(self, names: Collection[str], note: Callable[[str], None] = lambda name: None) -> Path:
        """Return its folder after fetching those of the files `names` that are missing; `note` receives each name.

        Raises UserError for what cannot be fetched.
        """
        from huggingface_hub import hf_hub_download

        for name in names:
            if not (self.folder / name).is_file():
                what = f"{name} of {self.title}"
                if is_offline():
                    raise _unreachable(what)
                try:
                    hf_hub_download(self.name, name, repo_type=self.kind, revision=self.commit, endpoint=_endpoint())
                except Exception as error:  # whatever is wrong with the connection, the hub's answer or the disk
                    if full := disk_full_error(error, cache_folder()):
                        raise full from None
                    if isinstance(error, OSError) and error.errno is not None:
                        raise _unwritable(error) from None
                    raise _refusal(self.kind, self.name, self.commit, error) or _unreachable(what, error) from None
            note(name)
        return self.folder


def hub_repository(kind: RepositoryKind, reference: str) -> Repository | None:
    """Return the repository that `reference` names (``owner/name`` or ``owner/name@<commit>``), None for a file's path.

    Without a commit it is the newest, asked for once; the one asked for last where the hub cannot be reached. A file or
    folder on this machine wins over the hub. Raises UserError for a revision that is no commit, and for what the hub
    does not have.
    """
    match = _named(reference)
    if match is None:
        return None
    name, revision = match["name"], match["revision"]
    if revision is None:
        return newest(kind, name)
    if not _COMMIT.fullmatch(revision):
        raise UserError(
            f"the revision {revision!r} of {name} is not a commit of 40 hexadecimal digits; give the whole commit, or"
            f" {name} alone for the newest"
        )
    return Repository(kind, name, revision)


def at_commit(reference: str, commit: str) -> str:
    """Return `reference` with the commit that it was resolved to, where it names a repository without one."""
    match = _named(reference)
    is_open = match is not None and match["revision"] is None
    return f"{reference}@{commit}" if is_open and _COMMIT.fullmatch(commit) else reference


def require_planned(reference: str, fingerprint: str) -> None:
    """Raise UserError where `reference` names a repository, but was a file or folder when `fingerprint` was taken.

    What a plan takes from the hub has its commit in its reference, and that is its fingerprint. Nothing is asked.
    """
    match = _named(reference)
    if match is not None and match["revision"] != fingerprint:
        raise UserError(
            f"{reference} was a file or folder when this run was planned, and {Path(reference).absolute()} is not on"
            f" {os.uname().nodename}; put it there, or name a path that is the same on all machines"
        )


def is_repository(reference: str) -> bool:
    """Return whether the reference names a repository on the hub, and no file or folder. Nothing is asked."""
    return _named(reference) is not None


def _named(reference: str) -> re.Match[str] | None:
    """Return the name and the revision of a repository; None for a path that is there, or ends as data files do."""
    is_path = reference.endswith(DATA_FILES) or Path(reference).exists()
    return None if is_path else _REFERENCE.fullmatch(reference)


def newest(kind: RepositoryKind, name: str) -> Repository:
    """Return the repository at its newest commit, asked for once; at the one asked for last without the hub.

    Raises NotFetched where that is not known, or the hub does not have it.
    """
    return Repository(kind, name, _newest(kind, name, _endpoint(), cache_folder()))


@cache
def _newest(kind: RepositoryKind, name: str, _hub: str | None, _cache: Path) -> str:
    """Return the newest commit; `_hub` and `_revision` are arguments so that the cache tells hubs apart."""
    ref = _storage(kind, name) / "refs" / "main"
    try:
        commit = str(_ask(kind, name, None).sha)
    except _Unreachable:
        if ref.is_file():
            return ref.read_text().strip()
        raise
    try:  # where the hub's own library keeps it, for when the hub cannot be asked
        ref.parent.mkdir(parents=True, exist_ok=True)
        replace_file(ref, commit.encode())
    except OSError as error:
        raise _unwritable(error) from None
    return commit


def _unwritable(error: OSError) -> UserError:
    return UserError(
        f"cannot write to the hub's cache {cache_folder()} ({error.strerror}); set HF_HOME to another folder"
    )


class NotFetched(UserError):
    """Something that is not on this machine, and that the hub does not give."""


class NotOnHub(NotFetched):
    """The hub answers, and has no such file."""


class _Unreachable(NotFetched):
    """The hub cannot be asked."""


def _ask(kind: RepositoryKind, name: str, revision: str | None) -> Any:
    """Ask the hub about a repository, commit and files included: one request, without the library's retries.

    How long to wait for an answer is the environment variable HF_HUB_ETAG_TIMEOUT's to say.
    """
    from huggingface_hub import HfApi, constants

    what = f"the {HUB_NAMES[kind]} {name}{f'@{revision[:12]}' if revision else ''}"
    if is_offline():
        raise _unreachable(what)
    try:
        return HfApi(endpoint=_endpoint()).repo_info(
            name, repo_type=kind, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
    except Exception as error:  # of whichever HTTP library is in use
        raise _refusal(kind, name, revision, error) or _unreachable(what, error) from None


def _refusal(kind: RepositoryKind, name: str, revision: str | None, error: Exception) -> NotFetched | None:
    """Return the error where the hub has answered, and does not give what was asked for; None elsewhere."""
    from huggingface_hub import errors

    what = f"the {HUB_NAMES[kind]} {name}"
    if isinstance(error, errors.GatedRepoError):
        return NotFetched(
            f"{what} is gated: accept its terms on its page at the hub, and give a token (hf auth login, or HF_TOKEN)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFetched(f"{what} on the hub has no revision {revision!r}; take one from its page")
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFetched(
            f"the hub has no {HUB_NAMES[kind]} {name}, or you have no access to it (hf auth login, or HF_TOKEN);"
            " and there is no such folder or file here"
        )
    if isinstance(error, errors.HFValidationError):
        return NotFetched(
            f"{name!r} cannot be a {HUB_NAMES[kind]} on the hub, and there is no such folder or file here"
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
        return NotFetched(f"the hub refuses {what} (status {error.response.status_code}); check the token in HF_TOKEN")
    return None


def _unreachable(what: str, error: Exception | None = None) -> _Unreachable:
    """Return the error for `what` that is not here: asking failed by `error`, or is ruled out."""
    from huggingface_hub import constants

    if error is None:
        return _Unreachable(
            f"{what} is not completely in the local cache, and the hub is not asked offline; run `harness prefetch`"
            " with the same experiment and scale where there is a network"
        )
    return _Unreachable(
        f"{what} is not completely in the local cache, and the hub at {_endpoint() or constants.ENDPOINT} cannot be"
        f" asked ({_cause(error)}); try again, or run `harness prefetch` where it can"
    )


def _storage(kind: RepositoryKind, name: str) -> Path:
    return cache_folder() / f"{kind}s--{name.replace('/', '--')}"


def _endpoint() -> str | None:
    """Return the current URL of the hub, which huggingface_hub itself reads only when it is imported."""
    return os.environ.get("HF_ENDPOINT")


def _cause(error: Exception) -> str:
    """Return the kind of an error, by its name: the hub's own messages are paragraphs."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):  # not in the cache either
        return type(error.__cause__ or error).__name__
    return type(error).__name__
