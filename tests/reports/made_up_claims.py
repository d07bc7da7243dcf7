"""Made-up outcomes of claims, as a manifest holds them."""

from typing import Any


def made_up_claims(models: tuple[str, ...] = ("qwen", "llama")) -> list[dict[str, Any]]:
    """One claim of each verdict, and one that is undecided by Holm's adjustment alone; each on a pair of its own."""
    outcomes: tuple[tuple[Any, ...], ...] = (
        ("holds", "sft", 6.5, 0.0001, 0.0008, {}),
        ("fails", "dpo", -3.25, 0.004, 0.028, {}),
        ("undecided", "spin", 0.4, 0.7, 0.7, power(2.8567, 12345, 40, "12,345 prompts")),
        ("undecided", "sgpo-unshared", 2.5, 0.03, 0.18, power(2.8567, None, 9, "9 seeds")),
    )
    claims = [
        _claim(verdict, [_comparison(model, verdict, *figures) for model in models]) for verdict, *figures in outcomes
    ]
    place = {"better": "sgpo", "worse": "sgpo-teacher-only", "bench": "alpaca_eval2", "metric": "win_rate"}
    not_run = [{"model": model, **place, "verdict": "not run"} for model in models]
    return [*claims, _claim("not run", not_run)]


def on_checkpoints(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same claims where too few training seeds were run for a verdict on methods."""
    words = {"holds": "above", "fails": "below"}
    return [
        {
            **claim,
            "verdict": claim["verdict"] if claim["verdict"] == "not run" else "no verdict",
            "p_adjusted": None,
            "comparisons": [
                {**each, "verdict": words.get(each["verdict"], each["verdict"])} for each in claim["comparisons"]
            ],
        }
        for claim in claims
    ]


def power(effect: float | None, prompts: int | None, seeds: int | None, needed: str) -> dict[str, Any]:
    """What stands beside an undecided comparison."""
    return {
        "minimum_detectable_effect": effect,
        "prompts_needed": prompts,
        "seeds_needed": seeds,
        "needed": needed,
    }


def _claim(verdict: str, comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"claim-{verdict.replace(' ', '-')}-{comparisons[0]['worse']}",
        "exhibit": "table3",
        "says": f"SGPO is above another (the one that {verdict})",
        "where": "section 4.4.1",
        "quantifier": "all",
        "verdict": verdict,
        "p_adjusted": comparisons[0].get("p_holm"),
        "only_models": [],
        "contained_in": [],
        "comparisons": comparisons,
    }


def _comparison(
    model: str, verdict: str, worse: str, difference: float, p: float, holm: float, power: dict[str, Any]
) -> dict[str, Any]:
    return {
        "model": model,
        "better": "sgpo",
        "worse": worse,
        "bench": "alpaca_eval2",
        "metric": "win_rate",
        "difference": difference,
        "ci95": [difference - 2, difference + 2],
        "p_value": p,
        "p_holm": holm,
        "n_prompts": 805,
        "unit": "points",
        "verdict": verdict,
        **power,
    }


def claim_on_fig3() -> dict[str, Any]:
    """One in another unit than points."""
    place = {"model": "qwen", "better": "improved", "worse": "response-a", "bench": "edit_distance", "metric": "tokens"}
    figures = {"difference": 4.125, "ci95": [2.25, 6.5], "p_value": 0.0002, "p_holm": 0.0004, "unit": "words"}
    comparison = {**place, **figures, "verdict": "holds"}
    names = {"id": "near", "exhibit": "fig3", "says": "The improved responses are closer", "where": "section 3.1.1"}
    return {**names, "verdict": "holds", "comparisons": [comparison]}
