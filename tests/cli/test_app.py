"""The command as a user meets it: what it prints, and that whatever is wrong ends in one line and exit code 2."""

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from harness import __main__ as entry
from harness.cli import app
from harness.commands import listing
from harness.commands.listing import _judge_line
from harness.config import yaml_files
from harness.endpoints.known_models import JudgeModel, Price
from harness.recipes.loading import load_recipe
from harness.recipes.registries import EVALS, METHODS
from tests.command import Harness, Outcome

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "trl", "datasets", "pandas", "scipy", "sklearn", "matplotlib", "numpy", "yaml")


def assert_refused(outcome: Outcome, complaint: str) -> None:
    """One line, on stderr, that starts with `error:` and matches; exit code 2."""
    assert (outcome.exit_code, outcome.out) == (2, ""), outcome
    assert outcome.err.startswith("error: "), outcome.err
    assert outcome.err.count("\n") == 1 and outcome.err.endswith("\n"), outcome.err
    assert re.search(complaint, outcome.err), outcome.err


# What works


def test_help_names_the_commands(harness: Harness) -> None:
    outcome = harness("--help")
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert all(re.search(rf"^  {command} ", outcome.out, re.MULTILINE) for command in ("reproduce", "eval", "list"))


def commands(group: click.Group = app.cli) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else (command,)


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command.name)
def test_the_help_explains_every_option(command: click.Command) -> None:
    text = command.get_help(click.Context(command))
    for option in (parameter for parameter in command.params if isinstance(parameter, click.Option)):
        assert option.help, option.opts
        assert len(re.findall(rf"^  {option.opts[0]}\b(?!-)", text, re.MULTILINE)) == 1


def test_the_help_of_eval_groups_its_options(harness: Harness) -> None:
    section = harness("eval", "--help").out.split("Cost:\n")[1].split("\n\n")[0]
    assert re.findall(r"^  (--[a-z-]+)", section, re.MULTILINE) == ["--max-usd", "--batch", "--dry-run"]


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry.main is app.main


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("where", ["in the command", "in click"])
def test_what_is_ended_says_so_and_how(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, number: int, exit_code: int, where: str
) -> None:
    def end(*arguments: object, **settings: object) -> None:
        os.kill(os.getpid(), number)

    ended = app.cli if where == "in click" else listing
    monkeypatch.setattr(ended, "main" if where == "in click" else "listing", end)
    outcome = harness("list", "methods")
    assert (outcome.exit_code, outcome.out, outcome.err.strip()) == (exit_code, "", "error: interrupted")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["eval", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(arguments).isdisjoint(HEAVY)


def test_scales_models_and_judges_are_listed(harness: Harness) -> None:
    assert re.search(r"^mini +sgpo: embedded world", harness("list", "scales").out, re.MULTILINE)
    assert re.search(
        r"^mini:llama +llama of the scale mini of sgpo: Llama", harness("list", "models").out, re.MULTILINE
    )
    judges = harness("list", "judges").out
    assert re.search(r"^mini:judge +the embedded judge", judges, re.MULTILINE)
    assert re.search(r"^gpt-4-1106-preview +\$10 and \$30 .*; \S+ (be )?shut down on 2026-10-23", judges, re.MULTILINE)
    assert re.search(r"^gpt-4o +\$2\.50 and \$10 per", judges, re.MULTILINE)


@pytest.mark.parametrize(("day", "said"), [("2000-01-01", "was"), ("2999-01-01", "will be")])
def test_an_end_to_come_is_not_told_as_past(day: str, said: str) -> None:
    model = JudgeModel(("judge",), Price(0.125, 2.5, source=""), shutdown_date=day)
    assert _judge_line(model).startswith("$0.125 and $2.50 per million")
    assert _judge_line(model).endswith(f"; {said} shut down on {day}, as announced")


@pytest.mark.parametrize("group", [(), ("judge",), ("mini",)])
def test_help_cuts_no_summary_and_begins_with_what_is_used_first(harness: Harness, group: tuple[str, ...]) -> None:
    commands = harness(*group, "--help").out.partition("Commands:\n")[2]
    assert commands and "..." not in commands
    assert group or commands.split()[0] == "reproduce"


@pytest.mark.parametrize("kind", ["methods", "evals", "experiments", "scales", "judges"])
def test_listing_imports_no_machine_learning(kind: str) -> None:
    assert imported_by(["list", kind]).isdisjoint(set(HEAVY) - {"yaml"})


def imported_by(arguments: list[str]) -> set[str]:
    script = (
        "import sys\nfrom tests.plugins import hide_installed\nhide_installed()\n"
        "from harness.cli import main\nsys.argv = ['harness', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print('modules', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()[1:]}


def of_paper(paper: str) -> list[str]:
    """The variants that a paper adds."""
    return [name for name in load_recipe("mini", paper=paper).method_names() if name not in METHODS.builtin]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "methods",
            [*METHODS.builtin, *of_paper("sapo"), *of_paper("sgpo"), "ipo", "rpo", "simpo"],
        ),
        ("papers", ["sapo", "sgpo", "srpo"]),
        ("evals", [*EVALS.builtin, "lm_eval:TASK"]),
        (
            "experiments",
            [
                *(f"sapo/table{n}" for n in range(1, 6)),
                "sapo/fig2",
                "sapo/all",
                *(f"sgpo/table{n}" for n in range(1, 8)),
                *(f"sgpo/fig{n}" for n in (3, 4, 5, 8, 9, 10)),
                "sgpo/samples",
                "sgpo/all",
                "srpo/table1",
                *(f"srpo/fig{n}" for n in range(1, 6)),
                "srpo/all",
            ],
        ),
    ],
)
def test_listing_shows_each_name_with_a_line_on_it(harness: Harness, kind: str, names: list[str]) -> None:
    outcome = harness("list", kind)
    assert outcome.exit_code == 0
    lines = [line.split(maxsplit=1) for line in outcome.out.splitlines()]
    assert [name for name, _ in lines] == names
    assert all(len(summary) > 20 for _, summary in lines)
    assert len({summary.partition(": ")[2] or summary for _, summary in lines}) == len(lines)


# Names


@pytest.mark.parametrize(
    ("command", "typed", "offered"),
    [
        ("reproduce", "sgpo/table", [f"sgpo/table{n}" for n in range(1, 8)]),
        ("doctor", "sam", ["samples"]),
        ("prefetch", "fgi", []),
    ],
)
def test_the_shell_completes_names_with_their_paper_and_bare(command: str, typed: str, offered: list[str]) -> None:
    complete = ShellComplete(app.cli, {}, "harness", "_HARNESS_COMPLETE")
    assert [each.value for each in complete.get_completions([command], typed)] == offered


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["reproduc", "table3"], r"unknown command 'reproduc'; did you mean 'reproduce'\?"),
        (["mini", "pretrane"], r"unknown command 'pretrane'; did you mean 'pretrain'\?"),
        (["reproduce", "tabel3"], r"unknown experiment 'tabel3'; did you mean 'table3'\?"),
        (["reproduce", "table3", "--scale", "mimi"], r"unknown scale 'mimi'; did you mean 'mini'\?"),
        (["reproduce", "table3", "--models", "qwem"], r"unknown model 'qwem'; did you mean 'qwen'\? \(known:"),
        (["reproduce", "table3", "--methods", "sft,sgop"], r"unknown method 'sgop'; did you mean 'sgpo'\?"),
        (["reproduce", "table3", "--fast", "--models", "lama"], r"unknown model 'lama'; did you mean 'llama'"),
        (["eval", "--model", "mini:llama", "--bench", "alpaca_eval"], r"unknown bench 'alpaca_eval'; did you mean"),
        (["eval", "--model", "mini:llama", "--bench", "arena_hrad"], r"unknown bench 'arena_hrad'; did you mean"),
        (["eval", "--model", "mini:lama", "--bench", "arena_hard"], r"unknown model 'mini:lama'; did you mean 'mini:l"),
        (["eval", "--model", "mini:llama", "--bench", "arena_hard", "--scale", "min"], r"did you mean 'mini'\?"),
        (["list", "method"], "'papers', 'experiments', 'methods'"),
        (["plan", "table33"], "unknown experiment 'table33'; did you mean 'table3'"),
        (["plan", "fig5", "--methods", "sft"], "--methods selects rows of score tables, and sgpo/fig5 is none"),
        (["plan", "table3", "--ray-address", "a:1"], "--ray-address goes with --executor ray"),
        (["reproduce", "table3", "--methods", "sft,,dpo"], "a name is empty; leave the option out for all"),
        (["reproduce", "table3", "--models", ""], "a name is empty; leave the option out for all"),
        (["reproduce", "table3", "--run-dir", ""], "'--run-dir': the path is empty"),
        (["reproduce", "table3", "--methdos", "sft"], "No such option.*--methdos.*--methods"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(harness: Harness, arguments: list[str], complaint: str) -> None:
    assert_refused(harness(*arguments), complaint)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["reproduce"], "Missing argument 'EXPERIMENT'"),
        (["list"], r"Missing argument .* Choose from: papers, experiments, methods, evals, scales, models, judges$"),
        (["mini", "pretrain", "gpt", "folder"], "'gpt' is not one of 'qwen2', 'llama'"),
        (["mini", "diagnose", "--seed", "-1"], "'--seed': -1 is not in the range"),
        (["reproduce", "table3", "--seeds", "0"], "'--seeds': 0 is not in the range"),
        (["reproduce", "table3", "--seed", "-1"], "'--seed': -1 is not in the range"),
        (["reproduce", "table3", "--seed", str(2**32)], "'--seed': 4294967296 is not in the range"),
        (["reproduce", "table3", "--seed", "one"], "'one' is not a valid integer"),
        (["eval", "--model", "mini:llama"], "Missing option '--bench'"),
        (["eval", "--bench", "arena_hard"], "give --model or --outputs, or stored verdicts: --annotations or --judgm"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--judgments", "y"], "stored verdicts are scored alone"),
        (["eval", "--bench", "arena_hard", "--outputs", "x", "--judgments", "y"], "stored verdicts are scored alone"),
        (["eval", "--bench", "arena_hard", "--judgments", "x", "--annotations", "y"], "stored verdicts are scored al"),
        (["eval", "--bench", "arena_hard", "--annotations", "x.csv"], "holds verdicts of alpaca_eval2; give --bench"),
        (["eval", "--bench", "arena_hard", "--judgments", "x", "--lc-calibration", "y"], "outputs or --annotations, n"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--reference-outputs", "y"], "goes with --annotations"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--judge-base-url", "y"], "go with --judge-model"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--judge-without", "y"], "go with --judge-model"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--judge-model", "mini:juge"], "is mini:judge, without"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--limit", "0"], "is not in the range"),
        (["eval", "--bench", "arena_hard", "--model", "x", "--concurrency", "0"], "is not in the range"),
        (["eval", "--bench", "arena_hard", "--model", "mini:llama", "--outputs", "y.json"], "not both"),
        (["judge", "check"], "Missing option '--model'"),
        (["judge", "check", "--model", "m", "--base-url", "127.0.0.1:8000"], "must start with http:// or https://"),
        (["judge", "calibrate", "nowhere", "--model", "m"], "nowhere is not a folder"),
        (["reproduce", "table3", "--seed", "4294967295", "--seeds", "2"], "the last seed, 4294967296, is above"),
        (["reproduce", "table3", "--seeds", "999999999999"], "is not in the range"),
        (["mini", "pretrain", "llama", "x", "--tokens", "0"], "is not in the range"),
        (
            ["eval", "--bench", "alpaca_eval2", "--judgments", "x.jsonl"],
            "of arena_hard or arena_hard_v2 or mt_bench; give",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(harness: Harness, arguments: list[str], complaint: str) -> None:
    assert_refused(harness(*arguments), complaint)


# Configuration


@pytest.fixture
def scale_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the mini scale in a copy of the packaged configuration, which the command then reads."""
    configs = shutil.copytree(yaml_files.CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(yaml_files, "CONFIGS", configs)
    return configs / "papers/sgpo/recipes/mini.yaml"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("teacher: ", "teachr: ", r"model role in \S+mini\.yaml, which sgpo needs: 'teacher'; did you mean"),
        ("description: ", "descriptio: ", r"mini\.yaml: unknown key 'descriptio'; did you mean 'description'\?"),
        (
            "learning_rate: 5e-4",
            "learning_rat: 5e-4",
            r"methods\.sft: training: unknown key 'learning_rat'; did you mean",
        ),
        ("top_p: 0.9", "topp: 0.9", r"sampling: unknown key 'topp'; did you mean 'top_p'\?"),
        (
            "    baselines: {reference",
            "    baseline: {reference",
            r"unknown key 'baseline'; did you mean 'baselines'\?",
        ),
        (
            "  improver_data: {reference",
            "  improver_dat: {reference",
            r"role with a size in \S+mini\.yaml: 'improver_data'; did you mean 'improver_dat'",
        ),
        ("  arena_hard:\n", "  arena_hrad:\n", "arena_hrad|arena_hard"),
        ("size: 3000", "size: many", r"data\.demonstrations\.size: expected a whole number"),
        ("prompts: mini ", "prompts: mini\nprompts: mini ", r"mini\.yaml:\d+: key 'prompts' is given twice"),
        ("judge: ", "", r"mini\.yaml:\d+: "),
        (
            "prompts: mini ",
            "prompts: mimi ",
            r"'prompts/mimi.yaml'; did you mean 'prompts/mini\.yaml'\?",
        ),
        ('teacher: "mini:teacher"', "teacher: 3", r"mini\.yaml: models\.teacher: expected text"),
    ],
)
def test_a_wrong_key_or_value_in_a_scale_is_named(
    harness: Harness, scale_file: Path, old: str, new: str, complaint: str
) -> None:
    text = scale_file.read_text()
    assert old in text
    scale_file.write_text(text.replace(old, new, 1))
    assert_refused(harness("reproduce", "table3"), complaint)


def test_a_wrong_name_among_the_sizes_of_the_fast_section_is_named(harness: Harness, scale_file: Path) -> None:
    text = scale_file.read_text()
    scale_file.write_text(text.replace("    {demonstrations: 1200", "    {demonstration: 1200", 1))
    assert_refused(harness("reproduce", "table3", "--fast"), "did you mean 'demonstrations'")


def test_a_wrong_model_in_the_fast_section_is_named(harness: Harness, scale_file: Path) -> None:
    text = scale_file.read_text()
    scale_file.write_text(text.replace("models: [llama]", "models: [lama]", 1))
    assert_refused(
        harness("reproduce", "table3", "--fast"),
        r"unknown model in configs/papers/sgpo/recipes/mini\.yaml: 'lama'; did you mean 'llama'",
    )


def test_an_empty_scale_file_is_refused(harness: Harness, scale_file: Path) -> None:
    scale_file.write_text("")
    assert_refused(harness("reproduce", "table3"), r"mini\.yaml: expected a mapping")


# Places


@pytest.mark.parametrize("place", ["/dev/null/run", "/proc/run"])
@pytest.mark.parametrize(
    "arguments", [["reproduce", "table3"], ["eval", "--model", "mini:llama", "--bench", "arena_hard"]]
)
def test_a_run_directory_that_cannot_be_written_to_is_refused(
    harness: Harness, arguments: list[str], place: str
) -> None:
    assert_refused(harness(*arguments, "--run-dir", place), f"cannot write to {place}")


def test_a_place_that_cannot_hold_a_base_model_is_refused_before_the_training(harness: Harness) -> None:
    assert_refused(harness("mini", "pretrain", "qwen2", "/dev/null/model"), "cannot write to /dev/null/model")


@pytest.mark.parametrize("name", ["run", "run/store"])
def test_a_file_in_the_place_of_the_run_directory_is_refused(harness: Harness, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    outcome = harness("reproduce", "table3", "--run-dir", tmp_path / "run")
    assert_refused(outcome, "is not a folder; choose another place|cannot write to")
    assert path.read_text() == "mine"


# Model folders


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def made_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (shutil.rmtree, r"checkpoint is not a model folder: config\.json, tokenizer_config\.json missing"),
        (made_a_file, "checkpoint is not a model folder"),
        (emptied, r"checkpoint is not a model folder: config\.json, tokenizer_config\.json missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"not a model folder: \*\.safetensors missing"),
        (lambda folder: (folder / "config.json").unlink(), r"not a model folder: config\.json missing"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_refused(
    harness: Harness, tmp_path: Path, spoil: Callable[[Path], Any], complaint: str
) -> None:
    folder = shutil.copytree(ROOT / "harness/mini/models/llama", tmp_path / "checkpoint")
    spoil(folder)
    assert_refused(
        harness("eval", "--model", folder, "--bench", "arena_hard", "--run-dir", tmp_path / "run"), complaint
    )


@pytest.fixture
def tiny_benches(scale_file: Path) -> None:
    """Eight requests in each evaluation set."""
    scale_file.write_text(re.sub(r"size: (805|500)", "size: 8", scale_file.read_text()))


def test_a_checkpoint_that_cannot_be_loaded_is_refused_by_the_step_that_loads_it(
    harness: Harness, tmp_path: Path, tiny_benches: None
) -> None:
    folder = shutil.copytree(ROOT / "harness/mini/models/llama", tmp_path / "checkpoint")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    outcome = harness("eval", "--model", folder, "--bench", "arena_hard", "--run-dir", tmp_path / "run")
    assert (outcome.exit_code, outcome.out) == (2, "")
    *progress, last = outcome.err.splitlines()
    assert last.startswith(f"error: cannot load the model in {folder}: ")
    assert not any(line.startswith(("error", "Traceback")) for line in progress)


# Stored verdicts of AlpacaEval


def annotations(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def verdicts(count: int = 12) -> list[dict[str, Any]]:
    """Alternating wins and losses of growing length."""
    return [{"index": i, "preference": 1 + i % 2, "len_1": 100, "len_2": 100 + i} for i in range(count)]


def calibration(count: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "index": i,
            "preference": (i + shift) % 2,
            "std_delta_len": shift - 0.5 + i / 100,
            "instruction_difficulty": i / 10,
            "not_gamed_baseline": False,
        }
        for shift, model in enumerate(("concise", "verbose"))
        for i in range(count)
    ]


def changed(rows: list[dict[str, Any]], position: int, **values: Any) -> list[dict[str, Any]]:
    return [{**row, **values} if place == position else row for place, row in enumerate(rows)]


def without(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (without(verdicts(), "preference"), r"verdicts\.csv: no column 'preference' \(has: index, len_1, len_2\)"),
        (without(verdicts(), "index"), r"no column 'index'"),
        (changed(verdicts(), 4, index=3), r"verdicts\.csv:6: index 3 again, after .*:5; keep one"),
        (changed(verdicts(), 4, index=-4), r":6: index must be a whole number from 0 of at most 15 digits, not '-4'"),
        (
            changed(verdicts(), 4, index="four"),
            r":6: index must be a whole number from 0 of at most 15 digits, not 'four'",
        ),
        (changed(verdicts(), 4, preference="nan"), r":6: no preference for index 4; .*--allow-missing"),
        (changed(verdicts(), 4, preference=""), r":6: no preference for index 4; .*--allow-missing"),
        (changed(verdicts(), 4, preference=2.5), r":6: preference 2\.5 of index 4 is not in \[1, 2\]"),
        (changed(verdicts(), 4, preference=0.5), r":6: preference 0\.5 of index 4 is not in \[1, 2\]"),
        (changed(verdicts(), 4, preference="inf"), r":6: preference inf of index 4 is not in \[1, 2\]"),
        (changed(verdicts(), 4, preference="win"), r":6: preference must be a number, not 'win'"),
        (
            changed(verdicts(), 4, len_2="long"),
            r":6: len_2 must be a whole number from 0 of at most 15 digits, not 'long'",
        ),
    ],
)
def test_wrong_annotations_are_refused(
    harness: Harness, tmp_path: Path, rows: list[dict[str, Any]], complaint: str
) -> None:
    path = annotations(tmp_path / "verdicts.csv", rows)
    assert_refused(harness("eval", "--bench", "alpaca_eval2", "--annotations", path), complaint)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("verdicts.csv", b"", r"verdicts\.csv: the file is empty"),
        ("verdicts.csv", b"index,preference,len_1,len_2\n", "no rows under the header"),
        ("verdicts.csv", b"index,preference,len_1,len_2\n0,1,10\n", r"verdicts\.csv:2: 3 cells under 4 columns"),
        ("verdicts.csv", gzip.compress(b"index,preference,len_1,len_2\n0,1,10,10\n", mtime=0), r"end its name in \.gz"),
        ("verdicts.csv.gz", b"index,preference\n", "not a whole gzip file"),
        ("verdicts.csv.gz", gzip.compress(b"index,preference\n" * 50, mtime=0)[:40], "not a whole gzip file"),
        ("verdicts.txt", b"index\n0\n", r"no column 'preference', 'len_1', 'len_2' \(has: index\)"),
        ("verdicts.json", b"", "the file is empty"),
        ("verdicts.json", b"{}", r"no verdicts: neither .* \(has: none\)"),
        ("verdicts.json", b'{"a": 1, "a": 2}', "the key 'a' is there twice in one object"),
        ("verdicts.json", b"[1]", "row 1: not a JSON object"),
        ("verdicts.json", b'[{"instruction": "a", "index": 0}]', "row 1: no field 'generator_2'"),
        ("verdicts.json", b"[{", r"verdicts\.json:1: not JSON"),
    ],
)
def test_a_file_that_holds_no_annotations_is_refused(
    harness: Harness, tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(harness("eval", "--bench", "alpaca_eval2", "--annotations", tmp_path / name), complaint)


def test_an_absent_file_is_refused(harness: Harness, tmp_path: Path) -> None:
    good = annotations(tmp_path / "verdicts.csv", verdicts())
    absent = tmp_path / "absent.csv"
    for arguments in (
        ["alpaca_eval2", "--annotations", absent],
        ["alpaca_eval2", "--annotations", good, "--lc-calibration", absent],
        ["arena_hard", "--judgments", absent],
    ):
        assert_refused(harness("eval", "--bench", *arguments), r"absent\.csv: no such file")
    assert_refused(harness("eval", "--bench", "arena_hard", "--judgments", tmp_path), "Is a directory")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (without(calibration(), "std_delta_len"), "no column 'std_delta_len'"),
        (calibration(8), "index 8 is not among the 8 instructions"),
        (changed(calibration(), 3, preference=1.5), r"preference 1\.5 is not in \[0, 1\]"),
        (changed(calibration(), 3, index=2), "a second row for model 'concise' and index 2"),
        (changed(calibration(), 3, std_delta_len="nan"), "std_delta_len must be a finite number"),
        (changed(calibration(), 3, instruction_difficulty=9), "index 3 has difficulty"),
    ],
)
def test_a_wrong_calibration_is_refused(
    harness: Harness, tmp_path: Path, rows: list[dict[str, Any]], complaint: str
) -> None:
    good = annotations(tmp_path / "verdicts.csv", verdicts())
    path = annotations(tmp_path / "calibration.csv", rows)
    arguments = ("eval", "--bench", "alpaca_eval2", "--annotations", good, "--lc-calibration", path)
    assert_refused(harness(*arguments), complaint)


def test_missing_verdicts_withhold_every_headline_unless_a_flag_says_otherwise(
    harness: Harness, tmp_path: Path
) -> None:
    """Below 99 % there is no headline at all."""
    partial = annotations(tmp_path / "verdicts.csv", verdicts()[:10])
    table = annotations(tmp_path / "calibration.csv", calibration())
    command = ["eval", "--bench", "alpaca_eval2", "--annotations", partial, "--lc-calibration", table, "--json"]
    withheld, fitted = (harness(*command, *flag) for flag in ([], ["--allow-missing"]))
    assert withheld.exit_code == fitted.exit_code == 0
    first, second = json.loads(withheld.out), json.loads(fitted.out)
    assert first["win_rate"] is first["length_controlled_winrate"] is None
    assert second["win_rate"] == 50
    assert first["n_missing"] == second["n_missing"] == 2
    assert "only 10 of 12 verdicts are there" in first["withheld"] and "--allow-missing" in first["withheld"]
    assert 0 < second["length_controlled_winrate"] < 100


def test_scores_are_shown_as_text_too(harness: Harness, tmp_path: Path) -> None:
    path = annotations(tmp_path / "verdicts.csv", verdicts())
    outcome = harness("eval", "--bench", "alpaca_eval2", "--annotations", path)
    assert outcome.exit_code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert lines[0] == ["alpaca_eval2:", "verdicts"]
    [win_rate] = [line for line in lines if line[0] == "win_rate"]
    assert win_rate[1] == "50.00" and win_rate[2].startswith("[")
    assert ["instructions", "judged", "12", "of", "12"] in lines
    withheld = "length_controlled_winrate withheld: no calibration given; pass --lc-calibration df_gamed.csv"
    assert withheld in outcome.out


# Stored verdicts of Arena-Hard


def judgment(question: str, *labels: str | None, **fields: Any) -> dict[str, Any]:
    games = [{"score": label, "judgment": "", "user_prompt": ""} for label in labels]
    return {"question_id": question, "model": "m", "judge": "j", "games": games, **fields}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([judgment("a", "A>B", "A<<<B")], r"verdicts\.jsonl:1: unknown verdict 'A<<<B'.* \(known: A>>B"),
        ([judgment("a", "A>B", "A=B"), judgment("b", "A>B", "a>b")], r":2: unknown verdict 'a>b'"),
        ([judgment("a", "A>B", "win")], r":1: unknown verdict 'win' \(known: A>>B, A>B, A=B, B>A, B>>A, or null\)"),
        ([judgment("a", "A>B"), judgment("a", "B>A")], r":2: question a again, after .*:1; keep one"),
        ([judgment("a", "A>B", "A>B", "A>B")], r':1: "games" must be a list of at most 2 verdicts'),
        ([{**judgment("a"), "games": "A>B"}], r':1: "games" must be a list'),
        ([{**judgment("a"), "games": ["A>B"]}], r':1: a game without the field "score"'),
        ([judgment("a", "A>B", model="x"), judgment("b", "A>B", model="y")], r"several models \(x, y\)"),
        ([{"question_id": "a", "games": []}], ":1: no field 'model'"),
        ([judgment("a", None, None)], "no verdict on m has a label; nothing can be scored"),
        ([judgment(str(i), "A>B", "B>A") for i in range(501)], "501 questions judged for m, but the set has 500"),
    ],
)
def test_wrong_judgments_are_refused(
    harness: Harness, tmp_path: Path, rows: list[dict[str, Any]], complaint: str
) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert_refused(harness("eval", "--bench", "arena_hard", "--judgments", path), complaint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", r"verdicts\.jsonl: the file is empty"),
        (" \n\n", r"verdicts\.jsonl: the file is empty"),
        ("[1]\n", r"verdicts\.jsonl, row 1: not a JSON object"),
        ('{"uid": "a"}\n1\n', r"verdicts\.jsonl:2: not a JSON object"),
        ('{"question_id": "a"', r"verdicts\.jsonl:1: not JSON: .*; a file holds one object a line"),
    ],
)
def test_a_file_that_holds_no_judgments_is_refused(
    harness: Harness, tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text(content)
    assert_refused(harness("eval", "--bench", "arena_hard", "--judgments", path), complaint)


# The two commands of the scorers on public verdicts


def printed_by(*arguments: str | Path) -> dict[str, Any]:
    """The one JSON object that the command prints, run as a user runs it."""
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    scores: dict[str, Any] = json.loads(done.stdout)
    return scores


def test_stored_annotations_give_the_published_scores(shared_data: Path) -> None:
    data = shared_data / "alpaca_eval2"
    expected = json.loads((data / "expected.json").read_text())["claude-2"]
    scores = printed_by(
        *("eval", "--bench", "alpaca_eval2", "--annotations", data / "annotations/claude-2.csv.gz"),
        *("--lc-calibration", data / "df_gamed_standin.csv", "--json"),
    )
    for column in ("win_rate", "standard_error", "discrete_win_rate"):
        assert scores[column] == pytest.approx(expected[column], abs=1e-4)
    assert scores["length_controlled_winrate"] == pytest.approx(expected["lc"], abs=0.02)
    assert (scores["n_total"], scores["n_missing"], scores["model"]) == (expected["n"], 0, "claude-2")
    for metric in ("win_rate", "discrete_win_rate", "length_controlled_winrate"):
        low, high = scores["ci95"][metric]
        assert low < scores[metric] < high < low + 10


def test_stored_judgments_give_the_official_score(shared_data: Path) -> None:
    folder = shared_data / "arena_hard_v0.1/simulated_judgments"
    expected = json.loads((folder / "expected.json").read_text())["sim-even"]
    scores = printed_by("eval", "--bench", "arena_hard", "--judgments", folder / "sim-even.jsonl", "--json")
    assert scores["score"] == pytest.approx(expected["score"], abs=0.01)
    assert scores["ci95_official"] == pytest.approx([expected["lower"], expected["upper"]], abs=0.5)
    assert scores["n_battles"] == expected["n_battles"]
    assert 0 <= scores["n_missing"] < 100
    assert scores["ci95"][0] < scores["score"] < scores["ci95"][1]


@pytest.mark.parametrize("command", [("judge", "check", "--model", "m", "--base-url"), ("plan", "table3", "--teacher")])
def test_a_key_in_a_url_is_refused_and_not_shown(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    url = "http://127.0.0.1:1/sk-0123456789abcdef/v1"
    outcome = harness(*command, f"openai:m@{url}" if "--teacher" in command else url)
    assert outcome.exit_code == 2
    assert "holds the key in OPENAI_API_KEY" in outcome.err and "0123456789abcdef" not in outcome.err + outcome.out
