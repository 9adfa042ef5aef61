"""What a training comes to with several seeds, on the shards of a finished run: mean and spread of each figure.

    .venv/bin/python benchmarks/seeds.py --out seeds --seeds 0 1 2
    .venv/bin/python benchmarks/seeds.py --out seeds --seeds 0 1 2 --variant segmentation

Each seed is trained and evaluated as `snakemake train evaluate` would, with the options of config.yaml (and of --config, files
over it). What is done stands in --out and is not done again, so a run that was stopped goes on where it was; --report prints
what there is and trains nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refrad.config import load_config
from refrad.dataset.examples import read_image_table
from refrad.workflow.site import Site


def main() -> None:
    """Train and evaluate what is missing, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variant", choices=["detection", "segmentation"], default="detection")
    parser.add_argument("--config", type=Path, nargs="+", default=[])
    parser.add_argument("--results", type=Path, default=Path("results"), help="of the finished run")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    images = sorted(given.results.glob("shards/data/*/*/[!.]*.parquet"))
    if not images:
        raise SystemExit(f"{given.results}: no shards there; run the workflow up to shards first")
    folders = [given.out / f"{given.variant}-{seed}" for seed in given.seeds]
    for seed, folder in zip(given.seeds, folders, strict=True):
        config = load_config([Path("config.yaml"), *given.config])
        config["train"] |= {"seed": seed, "variant": given.variant, "name": folder.name}
        if not given.report:
            make(Site(config), folder, images)
    done = [folder for folder in folders if (folder / "metrics.json").exists()]
    if not done:
        raise SystemExit("no seed is done")
    answers = most_frequent(images)
    rows = [figures(folder, answers) for folder in done]
    print(f"{given.variant}, {len(done)} seeds: {', '.join(folder.name for folder in done)}")
    print(table(rows))


def make(site: Site, folder: Path, images: Sequence[Path]) -> None:
    """Checkpoint and evaluation of one seed, each in a process of its own, unless they are there."""
    stages = {
        "train": {"checkpoint": "checkpoint", "work": "work", "metrics": "train.json"},
        "evaluate": {
            "checkpoint": "checkpoint",
            "store": "answers",
            "truth": "truth.jsonl",
            "predictions": "predictions.jsonl",
            "scores": "scores.parquet",
            "others": "others",
            "metrics": "metrics.json",
        },
    }
    for stage, files in stages.items():
        if (folder / files["metrics"]).exists():
            continue
        command = [sys.executable, "-m", "refrad", stage, "--images", *map(str, images), "--schema", site.schema]
        command += ["--scale", site.scale] * (stage == "evaluate")
        for flag, file in files.items():
            command += [f"--{flag}", str(folder / file)]
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*command, "--fingerprint", site.fingerprint(stage)], check=True)


def most_frequent(images: Iterable[Path]) -> dict[tuple[str, ...], str]:
    """The most frequent answer among training images: to a question word for word, and to all of a language and kind."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    frame = read_image_table(list(images), {"train"}, pixels=False)
    for one in frame.explode("questions")["questions"].drop_nulls():
        for key in ((one["question"],), (one["language"], one["kind"])):
            counts[key][one["answer"]] += 1
    return {key: found.most_common(1)[0][0] for key, found in counts.items()}


def figures(folder: Path, answers: Mapping[tuple[str, ...], str]) -> dict[str, float]:
    """Figures of one seed, on test patients."""
    told: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    name = "mean_iou" if told["variant"] == "detection" else "mean_dice"
    found = {name: told[name], "class recall": told["class_recall"], "IoU of at least 0.5": told["iou50"]}
    for what, scored in {**told["baselines"], "blanked image": told["blanked"]}.items():
        found[f"{name}, {what}"] = scored[name]
    truth = pl.read_ndjson(folder / "truth.jsonl", infer_schema_length=None).filter(task="vqa", dataset="internal")
    if len(truth):
        found["answers"] = told["vqa"]["accuracy"]
        right = [  # a question stands in the third line of what was asked
            plain(answers.get((question.split("\n")[2],), answers.get((language, kind), ""))) == plain(answer)
            for question, language, kind, answer in truth.select("question", "language", "kind", "answer").iter_rows()
        ]
        found["answers, most frequent in training"] = sum(right) / len(right)
    return found


def plain(text: str) -> str:
    """As answers are compared: but for case and white space."""
    return " ".join(text.casefold().split())


def table(rows: Sequence[Mapping[str, float]]) -> str:
    """Mean, standard deviation and range of each figure."""
    lines = [f"| {'':<38} | mean | sd | from | to |", "|---|---|---|---|---|"]
    for name in rows[0]:
        values = [row[name] for row in rows]
        spread = f"{statistics.stdev(values):.3f}" if len(values) > 1 else "-"
        lines.append(
            f"| {name:<38} | {statistics.mean(values):.3f} | {spread} | {min(values):.3f} | {max(values):.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
