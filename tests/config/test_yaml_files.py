from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from harness.config import yaml_files
from harness.config.yaml_files import config_path, from_mapping, load_yaml
from harness.errors import UserError


@dataclass(frozen=True)
class Training:
    learning_rate: float
    epochs: int = 1
    loss: Literal["sigmoid", "ipo"] = "sigmoid"


@dataclass(frozen=True)
class Scale:
    name: str
    training: Training
    models: dict[str, Training] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    corner: tuple[int, str] | None = None
    judge: str | None = None
    threshold: float | str = 0.0
    fast: bool = False


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scale.yaml"
    path.write_text(text)
    return path


def test_yaml_becomes_nested_frozen_dataclasses(tmp_path: Path):
    path = write(
        tmp_path,
        """
        name: mini
        training: {learning_rate: 5e-7, epochs: 2}
        models: {qwen: {learning_rate: 1, loss: ipo}}
        sizes: [1, 2]
        corner: [3, x]
        judge: null
        threshold: high
        """,
    )
    assert load_yaml(path, Scale) == Scale(
        "mini", Training(5e-7, 2), {"qwen": Training(1.0, loss="ipo")}, (1, 2), (3, "x"), None, "high"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nam: mini", "scale.yaml: unknown key 'nam'; did you mean 'name'? (known: "),
        ("name: mini", "scale.yaml: missing key 'training'"),
        ("name: no\ntraining: {learning_rate: 1}", "scale.yaml: name: expected text, got False"),
        (
            "name: a\ntraining: {learning_rte: 1}",
            "scale.yaml: training: unknown key 'learning_rte'; did you mean 'learning_rate'? (known: ",
        ),
        ("name: a\ntraining: {learning_rate: high}", "training.learning_rate: expected a number, got 'high'"),
        ("name: a\ntraining: {learning_rate: .nan}", "training.learning_rate: expected a finite number, got nan"),
        ("name: a\ntraining: {learning_rate: true}", "training.learning_rate: expected a number, got True"),
        ("name: a\ntraining: {learning_rate: 1, epochs: 1.0}", "training.epochs: expected a whole number, got 1.0"),
        ("name: a\ntraining: {learning_rate: 1, loss: ip}", "training.loss: unknown value 'ip'; did you mean 'ipo'?"),
        ("name: a\ntraining: {learning_rate: 1, loss: 3}", "training.loss: expected 'sigmoid' or 'ipo', got 3"),
        ("name: a\ntraining: {learning_rate: 1}\nsizes: [1, b]", "sizes[1]: expected a whole number, got 'b'"),
        ("name: a\ntraining: {learning_rate: 1}\nsizes: 1", "sizes: expected a list, got 1"),
        ("name: a\ntraining: {learning_rate: 1}\ncorner: [1]", "corner: expected 2 items, got 1"),
        ("name: a\ntraining: {learning_rate: 1}\nmodels: {1: {}}", "models: expected text as key, got 1"),
        ("name: a\ntraining: {learning_rate: 1}\nmodels: {q: {}}", "models.q: missing key 'learning_rate'"),
        ("name: a\ntraining: {learning_rate: 1}\nmodels: []", "models: expected a mapping, got []"),
        ("name: a\ntraining: {learning_rate: 1}\nthreshold: []", "threshold: expected a number or text, got []"),
        ("name: a\ntraining: 7", "training: expected a mapping, got 7"),
        ("", "scale.yaml: expected a mapping, got None"),
        ("name: a\nname: b", "scale.yaml:2: key 'name' is given twice"),
        ("name: [", "scale.yaml:1: "),
    ],
)
def test_a_bad_file_is_answered_with_the_place_and_the_remedy(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(UserError) as raised:
        load_yaml(write(tmp_path, text), Scale)
    assert complaint in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path))


def test_a_missing_or_binary_file_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*none.yaml: No such file"):
        load_yaml(tmp_path / "none.yaml", Scale)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.yaml: not UTF-8 text"):
        load_yaml(tmp_path / "binary.yaml", Scale)


def test_a_class_that_is_not_frozen_is_refused():
    @dataclass
    class Loose:
        x: int

    with pytest.raises(TypeError, match="must be a frozen dataclass"):
        from_mapping(Loose, {"x": 1}, "here")


def test_packaged_configurations_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "machines").mkdir()
    (tmp_path / "machines" / "mini.yaml").write_text("")
    monkeypatch.setattr(yaml_files, "CONFIGS", tmp_path)
    assert config_path("machines/mini.yaml") == tmp_path / "machines" / "mini.yaml"
    with pytest.raises(UserError, match=r"'machines/mni.yaml'; did you mean 'machines/mini.yaml'\?"):
        config_path("machines/mni.yaml")
