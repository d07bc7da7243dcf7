"""The methods and evaluations by name. Other packages add theirs through the same entry-point groups."""

from harness.core.registry import Registry

METHODS = Registry(
    kind="method",
    group="harness.methods",
    builtin={
        "sft": "methods.sft:METHOD",
        "dpo": "methods.dpo:METHOD",
        "spin": "methods.spin:METHOD",
        "sgpo-unshared": "methods.sgpo:UNSHARED",
        "sgpo-teacher-only": "methods.sgpo:TEACHER_ONLY",
        "sgpo": "methods.sgpo:METHOD",
        "improver": "methods.sgpo:IMPROVER",
    },
)

EVALS = Registry(
    kind="bench",
    group="harness.evals",
    builtin={
        "alpaca_eval2": "evals.alpaca_eval2_steps:EVALUATION",
        "arena_hard": "evals.arena_hard_steps:EVALUATION",
        "pairwise": "evals.pairwise_steps:EVALUATION",
        "edit_distance": "evals.edit_distance:MEASUREMENT",
        "perplexity": "evals.perplexity:MEASUREMENT",
    },
)
