"""Files of data sets on the Hugging Face hub, fetched once and then found in its cache. No code of theirs is run."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.errors import UserError


@dataclass(frozen=True, slots=True)
class HubFile:
    """A fetched file; `source` names the data set and the commit it was taken from."""

    path: Path
    source: str


class NotOnHub(UserError):
    """The hub answers, and has no such file."""


def fetch(repository: str, name: str, revision: str | None = None, *, instead: str = "--data FOLDER") -> HubFile:
    """The file `name` of the data set `repository`, at `revision` (a branch, tag or commit; by default the newest).

    The hub is the one that the environment variable HF_ENDPOINT names. Where it cannot be reached, a file fetched
    before is taken from the cache. Raises NotOnHub where there is no such file, and UserError, which names the option
    `instead`, where there is no way to get it.
    """
    from huggingface_hub import errors, hf_hub_download

    unreachable = _no_connection(repository, name, revision)
    try:
        fetched = hf_hub_download(
            repository,
            name,
            repo_type="dataset",
            revision=revision,
            endpoint=_endpoint(),
            local_files_only=unreachable is not None,
        )
    except errors.RemoteEntryNotFoundError:
        raise NotOnHub(f"the data set {repository} on the hub has no file {name}{_at(revision)}") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"the data set {repository} on the hub has no revision {revision!r}") from None
    except Exception as error:  # whatever is wrong with the connection, the hub's answer or the cache
        raise UserError(
            f"cannot fetch {name} of the data set {repository} from the hub ({_cause(unreachable or error)}); "
            f"pass {instead} to read it from this machine"
        ) from None
    path = Path(fetched)
    # The cache keeps a file under snapshots/<commit>/<name>.
    commit = path.parents[len(PurePosixPath(name).parts) - 1].name
    return HubFile(path, f"{repository}@{commit[:12]}")


def file_names(repository: str, folder: str, revision: str | None = None) -> list[str]:
    """The names of the files in `folder` of the data set `repository`, none where they cannot be listed."""
    from huggingface_hub import HfApi

    try:
        hub = HfApi(endpoint=_endpoint())
        entries = list(hub.list_repo_tree(repository, folder, repo_type="dataset", revision=revision))
    except Exception:  # the names are for a hint alone
        return []
    return [PurePosixPath(entry.path).name for entry in entries]


def _no_connection(repository: str, name: str, revision: str | None) -> Exception | None:
    """Why the hub cannot be asked, None where it answers, whatever it says.

    Asked once: hf_hub_download would try an unreachable hub for 23 s, with two warnings each time. How long to wait for
    an answer is the environment variable HF_HUB_ETAG_TIMEOUT's to say.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        url = hf_hub_url(repository, name, repo_type="dataset", revision=revision, endpoint=_endpoint())
        get_hf_file_metadata(url, endpoint=_endpoint())
    except (errors.HfHubHTTPError, errors.HFValidationError):
        return None
    except Exception as error:  # of whichever HTTP library is in use
        return error
    return None


def _endpoint() -> str | None:
    """The hub that is meant now; huggingface_hub itself looks only when it is imported."""
    return os.environ.get("HF_ENDPOINT")


def _cause(error: Exception) -> str:
    """What went wrong, by its name: the hub's own messages are paragraphs."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):  # not in the cache either
        return type(error.__cause__ or error).__name__
    return type(error).__name__


def _at(revision: str | None) -> str:
    return f" at revision {revision}" if revision else ""
