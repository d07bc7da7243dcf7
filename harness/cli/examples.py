"""Examples at the end of each command's help: command lines that can be copied."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "harness reproduce table3 --fast",
        "harness compare runs/mini-fast/sgpo/table3 --methods sgpo,dpo",
        "harness list experiments",
    ),
    "reproduce": (
        "harness reproduce table3 --fast",
        "harness reproduce sgpo/all --seeds 5",
        "harness reproduce table3 --methods sft,dpo:beta=0.5 --against dpo",
    ),
    "report": ("harness report runs/mini/sgpo/table3",),
    "doctor": ("harness doctor table3 --scale paper",),
    "plan": ("harness plan table3 --scale paper", "harness plan srpo/all --fast --json"),
    "prefetch": ("harness prefetch table3 --scale paper",),
    "eval": (
        "harness eval --bench alpaca_eval2 --model runs/mini/sgpo/table3/checkpoints/llama-sgpo-seed0",
        "harness eval --bench arena_hard --outputs answers.jsonl --judge-model gpt-4.1 --dry-run",
        "harness eval --bench alpaca_eval2 --annotations annotations.json --json",
    ),
    "compare": (
        "harness compare runs/mini/sgpo/table3 --methods sgpo,dpo",
        "harness compare --bench alpaca_eval2 mine/annotations.json theirs.csv.gz",
    ),
    "sweep": (
        "harness sweep table3 --fast --models llama --methods dpo:beta={0.01,0.1,0.5}",
        "harness sweep table3 --seeds 5 --methods 'sgpo:rounds={1,2,3}'",
    ),
    "regress": ("harness regress --baseline runs/before/sgpo/table3 --candidate runs/after --rerun-affected",),
    "list": ("harness list papers", "harness list scales"),
    "new": ("harness new method half-dpo",),
    "new method": ("harness new method half-dpo",),
    "new eval": ("harness new eval word-count",),
    "new paper": ("harness new paper my-paper",),
    "data": ("harness data split alpaca_outputs",),
    "data split": ("harness data split alpaca_outputs --out data/small",),
    "judge": ("harness judge check --model gpt-4.1",),
    "judge check": ("harness judge check --model my-judge --base-url http://localhost:8000/v1",),
    "judge calibrate": ("harness judge calibrate annotations --model gpt-4.1 --limit 100 --max-usd 5",),
    "leaderboard": ("harness leaderboard annotations --lc-calibration df_gamed.csv --pairs mine:base",),
    "paper": ("harness paper check sgpo",),
    "paper check": ("harness paper check sgpo",),
    "mini": ("harness mini diagnose",),
    "mini pretrain": ("harness mini pretrain llama models/llama",),
    "mini diagnose": ("harness mini diagnose --models llama",),
    "mini rates": ("harness mini rates --models llama --methods dpo",),
    "rates": ("harness rates --scale mini --paper srpo",),
}
"""By the command's name without ``harness``."""
