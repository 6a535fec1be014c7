#!/usr/bin/env python3
"""Compares rules of selection: mAP@0.5 over labelled images and over labelled boxes, with the spread over seeds.

    python scripts/compare_rules.py --data_dir=FOLDER --val_list=FILE --output_dir=comparison \\
        --flag=--pipeline_config_path=MODEL/pipeline.config --flag=--fine_tune_checkpoint=MODEL/checkpoint

The annotations of --data_dir are hidden, except those of --start images drawn by each seed; `active run` with the
oracle `simulated` then uncovers --budget images per round, as each rule chooses. The validation set is the same for
all. Each --flag is passed to `active init`. The same command resumes an interrupted comparison. curve.csv, summary.csv,
curve.png and the workspaces are written to --output_dir.
"""

import argparse
import csv
import pathlib
import shlex
import statistics
import subprocess
import sys

DEFAULT_RULES = "random,auto,two-stage"


def main():
    """Makes the exercises, runs the rounds, writes and prints the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="labelled images, read as `convert` reads them")
    parser.add_argument("--train_list", help="images to start from and to choose from; else all but the validation")
    parser.add_argument("--val_list", help="validation images; else a fifth is drawn")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--rules", default=DEFAULT_RULES, help=f"default: {DEFAULT_RULES}")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--start", type=int, default=40, help="labelled images at the start")
    parser.add_argument("--budget", type=int, default=20, help="images per round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--flag", action="append", default=[], help="a flag of `active init`, as --num_steps=200")
    arguments = parser.parse_args()
    output = pathlib.Path(arguments.output_dir)
    rows = []
    for seed in [int(seed) for seed in arguments.seeds.split(",")]:
        exercise = make_exercise(arguments, output / f"seed-{seed}", seed)
        for rule in arguments.rules.split(","):
            rows += run_rule(arguments, exercise, rule, seed)
    write_results(output, rows)


def make_exercise(arguments, folder, seed):
    """Puts labelled, pool, validation and truth into folders of their own; returns the folder."""
    import numpy as np

    from tfodhelper.dataset import placing, plan

    if (folder / "complete").exists():
        return folder
    options = plan.SetOptions(
        data_dir=arguments.data_dir, train_list=arguments.train_list, val_list=arguments.val_list, validate="header"
    )
    planned = plan.make_plan(options)
    images = planned.images_of("train")
    order = np.random.default_rng(seed).permutation(len(images))
    labelled = {images[i].name for i in order[: arguments.start]}
    _put(folder / "validation", planned.images_of("validate"), placing)
    _put(folder / "labelled", [image for image in images if image.name in labelled], placing)
    hidden = [image for image in images if image.name not in labelled]
    _put(folder / "truth", hidden, placing)
    names = placing.Names([image.name for image in hidden])
    for image in hidden:
        target = folder / "pool" / names.take(image.name)[0]
        if not target.is_symlink():
            placing.place_image(image.path, target, placing.LINK)
    (folder / "complete").touch()
    return folder


def _put(folder, images, placing):
    names = placing.Names([image.name for image in images])
    for image in images:
        target = folder / image.name
        if not target.is_symlink():
            placing.place_corrected(image, folder, names, placing.LINK)


def run_rule(arguments, exercise, rule, seed):
    """Runs all rounds of a rule; returns rows (rule, seed, round, images, boxes, mAP@0.5, mAP)."""
    space = exercise / rule
    if not (space / "workspace.json").exists():
        _call(
            *("init", f"--workspace={space}", f"--data_dir={exercise / 'labelled'}"),
            *(f"--val_dir={exercise / 'validation'}", f"--pool_dir={exercise / 'pool'}"),
            *("--oracle=simulated", f"--truth_dir={exercise / 'truth'}", f"--rule={rule}", f"--seed={seed}"),
            *(f"--budget={arguments.budget}", *arguments.flag),
        )
    _call("run", f"--workspace={space}", f"--rounds={arguments.rounds}")
    from tfodhelper.active_learning.report import round_facts

    return [
        (rule, seed, facts.number, facts.train.images, facts.train.boxes, facts.map50, facts.map5095)
        for facts in round_facts.read_rounds(space)
        if facts.train is not None and facts.map50 is not None
    ]


def _call(*flags):
    command = [sys.executable, "-m", "tfodhelper", "active", *flags]
    print("$", shlex.join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def write_results(output, rows):
    """Writes curve.csv, summary.csv and curve.png, and prints the summary."""
    from tfodhelper import console

    header = ("rule", "seed", "round", "images", "boxes", "mAP50", "mAP50-95")
    _write(output / "curve.csv", header, rows)
    groups = {}
    for rule, _, number, images, boxes, map50, _ in rows:
        groups.setdefault((rule, number), []).append((images, boxes, map50))
    summary = []
    for (rule, number), values in groups.items():
        images, boxes, map50 = zip(*values)
        spread = statistics.stdev(map50) if len(map50) > 1 else 0.0
        mean = statistics.mean
        summary.append((rule, number, mean(images), mean(boxes), mean(map50), spread, min(map50), max(map50)))
    header = ("rule", "round", "images", "boxes", "mAP50 mean", "st. dev.", "lowest", "highest")
    _write(output / "summary.csv", header, summary)
    shown = [(r, n, f"{i:.0f}", f"{b:.0f}", *(f"{v:.3f}" for v in values)) for r, n, i, b, *values in summary]
    print(console.format_table(header, shown, numbers=range(1, 8)))
    plot(output / "curve.png", rows)
    print(f"curves: {output / 'curve.png'}, {output / 'curve.csv'}")


def _write(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(header)
        lines.writerows(rows)


def plot(path, rows):
    """Draws each seed thinly and the mean of a rule thickly, over images and over boxes."""
    from tfodhelper.render import figures, palette

    with figures.style():
        figure = figures.new_figure(11, 4.5)
        for axes, column, name in zip(figure.subplots(1, 2), (3, 4), ("labelled images", "labelled boxes")):
            for number, rule in enumerate(dict.fromkeys(row[0] for row in rows)):
                own, color = [row for row in rows if row[0] == rule], palette.color_of(number + 1)
                for seed in sorted({row[1] for row in own}):
                    line = [(row[column], row[5]) for row in own if row[1] == seed]
                    axes.plot(*zip(*line), color=color, alpha=0.35, linewidth=1, marker=".")
                by_round = [[row for row in own if row[2] == r] for r in sorted({row[2] for row in own})]
                mean = [[statistics.mean(row[i] for row in group) for group in by_round] for i in (column, 5)]
                axes.plot(*mean, color=color, linewidth=2.5, marker="o", label=rule)
            axes.set(xlabel=name, ylabel="mAP@0.5 on the validation")
            axes.grid(alpha=0.3)
            axes.legend()
        figures.save(path, figure)


if __name__ == "__main__":
    main()
