"""What the documentation shows of a run is what the report beside it says, and comes from one command."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs.make_report import ALARMS, PLACES, ROOT, Place, alarms_block, block_of, commit_of, make, replace_blocks
from harness.errors import UserError
from harness.results.manifest import parse_manifest
from tests.reports.conftest import made_up_manifest, write_manifest

COMMIT = "f" * 40
CAUGHT = {"score": "sgpo AlpacaEval 2.0 WR", "deviation": 1.25, "effect": 4.0, "told": 3.5}
ALARMS_COUNTED: dict[str, Any] = {
    "commit": COMMIT,
    "dirty": False,
    "command": "harness reproduce table3 --fast --seeds 40",
    "seeds": 40,
    "groups": [
        {"seeds": k, "pairs": 200, "alarms": 4, "bound": 0.045, "power": {"2": 0.5}, "caught": [CAUGHT]} for k in (2, 3)
    ],
}


def pages_in(root: Path) -> Path:
    """The repository's pages, alone, in a folder of their own."""
    for page in PLACES["sgpo"].pages:
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, root / page)
    (root / "docs/report/figures").mkdir()
    (root / "docs/report/figures/of-an-older-report.png").touch()
    return root


def run_in(folder: Path, *names: str, **changes: Any) -> Path:
    return write_manifest(folder, made_up_manifest(*names, **changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a made-up run. To be read only."""
    folder = tmp_path_factory.mktemp("made")
    alarms = folder / "alarms.json"
    alarms.write_text(json.dumps(ALARMS_COUNTED), encoding="utf-8")
    run = run_in(folder / "run", "table3", "fig8", seeds=[0, 1, 2, 3, 4])
    make(run, alarms, pages_in(folder / "root"))
    return folder / "root"


def files_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def disagreements(root: Path, paper: str = "sgpo") -> list[str]:
    """What README.md, or another page, says otherwise than the paper's report beside it."""
    place = PLACES[paper]
    report = (root / place.folder / "report.md").read_text(encoding="utf-8")
    pages = {page: (root / page).read_text(encoding="utf-8") for page in place.pages}
    blocks = {(page, name): block_of(pages[page], name, page) for page, names in place.pages.items() for name in names}
    found = []
    headlines = {content for (_, name), content in blocks.items() if name == f"{paper}-headline"}
    [headline] = headlines if len(headlines) == 1 else [""]
    if not headline:
        found.append("the headlines of two pages differ")
    commit = re.search(r"Made at commit ([0-9a-f]{12})", headline)
    if not commit or f"| git commit | {commit[1]}" not in report:
        found.append("the commit is not the report's")
    if headline.partition(" Made at commit")[0] not in report:
        found.append("the headline is not the report's")
    for (page, name), content in blocks.items():
        if name not in (f"{paper}-headline", "alarms") and f"\n\n{content}\n\n" not in report:
            found.append(f"{name} in {page} is not the report's")
    return found


@pytest.mark.parametrize("paper", PLACES)
def test_the_pages_say_what_the_report_beside_them_says(paper: str) -> None:
    assert disagreements(ROOT, paper) == [], "make report writes them anew"


def test_the_page_on_regress_shows_the_alarms_beside_it() -> None:
    if not (ROOT / ALARMS).is_file():
        pytest.skip("the alarms are not counted yet")
    counted = json.loads((ROOT / ALARMS).read_text(encoding="utf-8"))
    page = (ROOT / "docs/regress.md").read_text(encoding="utf-8")
    assert block_of(page, "alarms", "docs/regress.md") == alarms_block(counted), "make report writes it anew"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_picture_and_link_of_the_report_is_there(place: Place) -> None:
    for page in (ROOT / place.folder / "report.md", ROOT / place.folder / "README.md"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
        assert all(f'<a id="{anchor}"></a>' in text for anchor in re.findall(r"\]\(#([^)]+)\)", text))


def test_all_pages_are_made_from_one_manifest(made: Path) -> None:
    assert disagreements(made) == []
    figures = {path.name for path in (made / "docs/report/figures").iterdir()}
    assert figures == {"table3.png", "fig8.png"}
    assert (made / "docs/table3.png").read_bytes() == (made / "docs/report/figures/table3.png").read_bytes()
    headline = block_of((made / "README.md").read_text(encoding="utf-8"), "sgpo-headline", "README.md")
    assert headline.startswith("With 5 training seeds") and "Made at commit ffffffffffff by `harness" in headline
    assert "| 2 + 2 | 4 of 200 (2.0 %) | 4.5 % | 0.50 |" in (made / "docs/regress.md").read_text(encoding="utf-8")
    assert json.loads((made / ALARMS).read_text(encoding="utf-8")) == ALARMS_COUNTED


@pytest.mark.parametrize(
    ("page", "old", "new", "said"),
    [
        ("README.md", "| SGPO | ", "| SGPO | 99.9 ", "sgpo-table3"),
        ("README.md", "Made at commit f", "Made at commit e", "headlines"),
        ("docs/report/README.md", "| holds |", "| fails |", "sgpo-claims"),
        ("docs/report/report.md", "git commit | ffff", "git commit | eeee", "commit"),
        ("docs/report/report.md", "**With 5 training seeds", "**With 4 training seeds", "headline"),
    ],
)
def test_a_number_changed_by_hand_is_found(
    made: Path, tmp_path: Path, page: str, old: str, new: str, said: str
) -> None:
    root = shutil.copytree(made, tmp_path / "root")
    text = (root / page).read_text(encoding="utf-8")
    assert old in text
    (root / page).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(said in each for each in disagreements(root))


def test_the_headline_says_where_a_run_has_several_commits_or_changes() -> None:
    manifest = made_up_manifest("table3")
    manifest["provenance"] |= {"git": {"commit": COMMIT, "dirty": True}, "artifact_commits": [COMMIT, "e" * 40]}
    said = "commit ffffffffffff, with uncommitted changes, with results found from 1 earlier one"
    assert commit_of(parse_manifest(manifest)) == said


def test_a_block_is_replaced_as_a_whole_and_once() -> None:
    text = "above\n<!-- block a: written -->\nold\n<!-- end a -->\nbelow"
    replaced = replace_blocks(text, {"a": r"new \1"}, "page")
    assert replaced == "above\n<!-- block a: written -->\nnew \\1\n<!-- end a -->\nbelow"
    assert block_of(replaced, "a", "page") == r"new \1"
    assert replace_blocks(replaced, {"a": r"new \1"}, "page") == replaced
    for damaged in (text.replace("<!-- end a -->", ""), text + text, ""):
        with pytest.raises(UserError, match="page needs one block a"):
            replace_blocks(damaged, {"a": "new"}, "page")


def test_what_cannot_be_shown_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    root = pages_in(tmp_path / "root")
    run, alarms = run_in(tmp_path / "run", "table3"), tmp_path / "alarms.json"
    before = files_of(root)
    alarms.write_text(json.dumps(ALARMS_COUNTED | {"commit": "e" * 40}), encoding="utf-8")
    with pytest.raises(UserError, match="the run is of commit ffffffffffff, the alarms are of eeeeeeeeeeee"):
        make(run, alarms, root)
    alarms.write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"alarms\.json is not what benchmarks/regress_alarms\.py --json writes"):
        make(run, alarms, root)
    with pytest.raises(UserError, match="no table3 to show"):
        make(run_in(tmp_path / "fig3", "fig3"), None, root)
    assert files_of(root) == before
