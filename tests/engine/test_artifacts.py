import dataclasses
import pickle
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.artifacts import Output, ancestry, labels, step
from tests.engine.sample_steps import Decoding, Sampling, choose, numbers, squares, total

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
artifacts = st.builds(lambda count, seed: numbers(count=count, seed=seed), st.integers(0, 9), st.integers(0, 2))
samplings = st.builds(Sampling, st.floats(0, 1), st.floats(0, 1)) | st.builds(
    Decoding, st.floats(0, 1), st.floats(0, 1)
)
arguments = st.fixed_dictionaries(
    {"first": artifacts},
    optional={
        "many": st.lists(artifacts, min_size=1, max_size=3),
        "sampling": samplings,
        "options": values,
        "seed": st.integers(),
    },
)


@given(arguments, st.randoms(use_true_random=False))
def test_the_order_of_arguments_does_not_matter(given_arguments, shuffler: random.Random):
    shuffled = list(given_arguments.items())
    shuffler.shuffle(shuffled)
    assert choose(**dict(shuffled)).key == choose(**given_arguments).key


@given(values.filter(lambda value: isinstance(value, dict)), st.randoms(use_true_random=False))
def test_the_order_of_keys_in_a_mapping_does_not_matter(options, shuffler: random.Random):
    shuffled = list(options.items())
    shuffler.shuffle(shuffled)
    first = numbers(count=1)
    assert choose(first=first, options=dict(shuffled)).key == choose(first=first, options=options).key


@given(arguments)
def test_a_default_is_the_same_as_giving_it(given_arguments):
    defaults = {"many": (), "sampling": Sampling(0.7), "options": None, "seed": 0}
    assert choose(**{**defaults, **given_arguments}).key == choose(**given_arguments).key


@given(values, values)
def test_keys_are_equal_just_when_values_are(one, other):
    first = numbers(count=1)
    same = canonical_text(one) == canonical_text(other)
    assert (choose(first=first, options=one).key == choose(first=first, options=other).key) == same


def canonical_text(value) -> str:
    """An independent spelling of a JSON value: types told apart, mappings in the order of their keys."""
    if isinstance(value, dict):
        return f"{[(key, canonical_text(value[key])) for key in sorted(value)]}"
    if isinstance(value, list):
        return f"list of {[canonical_text(item) for item in value]}"
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize(
    "change",
    [
        {"first": numbers(count=3)},
        {"first": numbers(count=2, seed=1)},
        {"many": [numbers(count=1)]},
        {"many": [numbers(count=1), numbers(count=1)]},
        {"sampling": Sampling(0.8)},
        {"sampling": Decoding()},
        {"options": 1},
        {"options": 1.0},
        {"options": True},
        {"options": "1"},
        {"options": [1]},
        {"options": {"a": 1}},
        {"seed": 1},
    ],
)
def test_any_change_gives_another_key(change):
    base = {"first": numbers(count=2)}
    assert choose(**{**base, **change}).key != choose(**base).key


def test_the_order_of_inputs_in_a_sequence_matters():
    one, other = numbers(count=1), numbers(count=2)
    assert total(parts=[one, other]).key != total(parts=[other, one]).key
    assert total(parts=[one, other]).key == total(parts=(one, other)).key


def test_name_and_version_are_part_of_the_key():
    def body(out: Output, *, n: int) -> None: ...

    def named(name: str, version: int):
        body.__qualname__ = body.__name__ = name
        return step(version=version)(body)(n=1).key

    assert len({named("some_step", 1), named("some_step", 2), named("other_step", 1)}) == 3


def test_a_known_key_stays_as_it_is():
    """A change here makes every stored artifact worthless."""
    assert numbers(count=2).key == "47808626f364e9c5c31d63a74ab6536fdf7c7a2d3293449de3d0239c11369841"


def test_labels_are_no_part_of_the_key():
    plain = numbers(count=1)
    with labels("qwen"), labels("seed 0"):
        labelled = numbers(count=1).append_label("drafts")
    assert labelled == plain
    assert hash(labelled) == hash(plain)
    assert str(labelled) == "numbers qwen seed 0 drafts"
    assert numbers(count=1).label == ""


def test_an_artifact_says_what_it_is_made_of():
    first = numbers(count=1)
    artifact = choose(first=first, many=[first, numbers(count=2)])
    assert artifact.params == {
        "sampling": {"kind": "sampling", "temperature": 0.7, "top_p": 0.9},
        "options": None,
        "seed": 0,
    }
    assert artifact.inputs == {"first": first, "many": (first, numbers(count=2))}
    assert list(artifact.parents()) == [first, first, numbers(count=2)]
    assert (artifact.step, artifact.version) == ("choose", 1)


def test_a_lazy_artifact_has_no_folder():
    with pytest.raises(RuntimeError, match="numbers is a promise"):
        numbers(count=1).rows(object)


def test_artifacts_survive_pickling():
    artifact = choose(first=numbers(count=1), sampling=Sampling(0.1))
    again = pickle.loads(pickle.dumps(artifact))
    assert again == artifact
    assert again.arguments == artifact.arguments


def test_later_changes_of_an_argument_do_not_reach_the_artifact():
    options = {"beta": 0.1}
    artifact = choose(first=numbers(count=1), options=options)
    options["beta"] = 0.5
    assert artifact.arguments["options"] == artifact.params["options"] == {"beta": 0.1}


def test_ancestry_gives_each_step_once_and_inputs_first():
    parts = [squares(items=numbers(count=1)), squares(items=numbers(count=2))]
    ordered = ancestry([total(parts=parts), total(parts=parts[:1])])
    assert len(ordered) == len(set(ordered)) == 6
    for position, artifact in enumerate(ordered):
        assert set(artifact.parents()) <= set(ordered[:position])


def test_a_deep_diamond_is_walked_and_shown_in_no_time():
    artifact = numbers(count=1)
    for _ in range(60):
        artifact = total(parts=[artifact, artifact])
    assert len(ancestry([artifact])) == 61
    assert len(repr(artifact)) < 60


@dataclass
class Thawed:
    x: int = 0


@pytest.mark.parametrize(
    "value",
    [
        {1},
        float("nan"),
        float("inf"),
        b"x",
        {1: 2},
        Thawed(),
        Sampling,
        object(),
        [numbers(count=1), 3],
        {"a": numbers(count=1)},
    ],
)
def test_what_cannot_be_part_of_a_key_is_refused_when_the_graph_is_built(value):
    with pytest.raises(TypeError, match=r"choose\(options=...\): .* cannot be a step's argument"):
        choose(first=numbers(count=1), options=value)


def test_a_wrong_call_names_the_step():
    with pytest.raises(TypeError, match=r"numbers\(\): missing a required argument: 'count'"):
        numbers()
    with pytest.raises(TypeError, match=r"numbers\(\): .*unexpected keyword argument 'size'"):
        numbers(count=1, size=2)


def test_a_step_takes_the_output_and_keywords_only():
    def positional(out: Output, n: int) -> None: ...

    with pytest.raises(TypeError, match="give it the signature"):
        step()(positional)


def test_a_step_is_defined_at_module_level_and_its_name_is_taken_once():
    def local(out: Output) -> None: ...

    with pytest.raises(TypeError, match="define it at module level"):
        step()(local)
    local.__name__ = local.__qualname__ = "numbers"
    with pytest.raises(TypeError, match="two steps are called 'numbers'"):
        step()(local)


def test_steps_keep_name_and_docstring():
    assert numbers.__name__ == "numbers"
    assert dataclasses.is_dataclass(numbers(count=1))
