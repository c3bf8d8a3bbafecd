"""`python -m ml.benchmark --dataset ml-1m --data DIR --model transformer --budget-minutes 15 --seeds 0 1 2`."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ml.benchmark.datasets import DATASETS, MissingData
from ml.benchmark.run import MODELS, Asked, run


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    asked = Asked(
        dataset=options.dataset,
        data=options.data,
        model=options.model,
        budget_minutes=options.budget_minutes,
        seeds=tuple(options.seeds),
        threads=options.threads,
        settings=dict(options.set),
    )
    try:
        result = run(asked, say=lambda line: print(line, file=sys.stderr, flush=True))
    except (MissingData, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result["command"] = "python -m ml.benchmark " + " ".join(arguments or sys.argv[1:])
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return 0


def table(result: dict[str, Any]) -> str:
    """The scores as lines of a Markdown table, best first."""
    metrics = result["metrics"]
    header = [f"| {result['dataset']} | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
    scores = sorted(result["scores"].items(), key=lambda row: -row[1][metrics[0]]["mean"])
    named = {"model": f"{result['model']} mixed with rules", "network": f"{result['model']} alone"}
    rows = [
        f"| {named.get(name, name)} | "
        + " | ".join(f"{row[metric]['mean']:.4f} ± {row[metric]['deviation']:.4f}" for metric in metrics)
        + " |"
        for name, row in scores
    ]
    seeds = result["seeds"]
    speed = ", ".join(
        f"seed {seed['seed']}: {seed['epochs']} epochs of {seed.get('epoch_seconds', 0):.1f} s, "
        f"{seed.get('sequences_per_second', 0):.0f} sequences/s, {seed['peak_memory_mb']:.0f} MB, "
        f"{seed['lists_per_second']:.0f} lists/s, one in {seed['one_user_p50_ms']:.1f} ms"
        for seed in seeds
    )
    heads = [line for name, scores in result["heads"].items() for line in ["", *_head_table(name, scores)]]
    return "\n".join([*header, *rows, *heads, "", f"{result['protocol']}; {speed}"])


def _head_table(head: str, scores: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    metrics = list(scores["model"])
    return [
        f"| {head} | {' | '.join(metrics)} |",
        "|---" * (1 + len(metrics)) + "|",
        *(
            f"| {predictor} | "
            + " | ".join(f"{row[metric]['mean']:.4f} ± {row[metric]['deviation']:.4f}" for metric in metrics)
            + " |"
            for predictor, row in scores.items()
        ),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.benchmark", description=__doc__)
    parser.add_argument("--dataset", choices=sorted(DATASETS), required=True)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SEQUITUR_DATA"), help="folder with a folder for each data set"
    )
    parser.add_argument("--model", choices=MODELS, default="transformer", help="encoder of the network")
    parser.add_argument("--budget-minutes", type=float, default=15.0, help="training time of each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", type=_setting, nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--json", type=Path, help="file for the whole result")
    return parser


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
