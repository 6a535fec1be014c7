#!/usr/bin/env python3
"""Compares ways to adopt the boxes of a detector: AP at IoU 0.5 on test images that choose nothing.

    python scripts/compare_adoption.py --set=NAME=FOLDER --set=NAME=FOLDER --output_dir=comparison --seeds=0,1,2 \\
        --flag=--model=ssd_mobilenet_v1 --flag=--num_steps=600 --flag=--batch_size=8

Each set is a folder of labelled images. A fifth of them are the test images, a fifth of the rest validation; each seed
draws --start images that keep their boxes, and of the others only the classes are known. A teacher is trained once for
each set and seed; then each arm answers for the same pool, from the same predictions, and trains the same number of
steps on what it has adopted:

    A  nothing is adopted               B  the best box of each class
    C  all boxes, in zones              E  as C, half of a batch adopted, strong augmentation and a ramp for that half
    D  as C, from fused views           F  the true boxes of the pool
    G  as C, the places of all objects  K  as G, classes corrected
    L  the defaults of a round: as K, with the law

The teacher predicts the pool once more for D. With --rounds=3, each arm answers, adopts and trains three times: a
figure each time.
Each --flag is passed to `active init`; --retrain=scratch lets all arms start where the teacher started. The same
command resumes an interrupted comparison. results.csv has the figure of each arm, set and seed, and summary.csv their
means and the recovered share (X - A) / (F - A), with the spread over the seeds, where F is better than A.
"""

import argparse
import collections
import csv
import json
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys

# An arm shows what its boxes are worth, not what the law makes of them: no class is held back, no image given back.
ALL_CLASSES, NO_TRIAL = "--min_box_worth=0", "--trial=off"
IN_ZONES = ("--several_boxes=zones", "--other_classes=ignore", ALL_CLASSES)
SURE_PLACES = (*IN_ZONES, "--doubtful_places=skip")
SHARED = ("--adopted_share=0.5", "--strong_augmentation", "--ramp_steps={ramp}", NO_TRIAL)
# For each arm the flags of the round that asks, whose training is over, and those of the next one, which trains.
ARMS = {
    "A": (("--score_threshold=1", ALL_CLASSES), (NO_TRIAL,)),
    "B": (("--several_boxes=best", ALL_CLASSES), (NO_TRIAL,)),
    "C": (SURE_PLACES, (NO_TRIAL,)),
    "D": ((*SURE_PLACES, "--views=fused"), (NO_TRIAL,)),
    "E": (SURE_PLACES, SHARED),
    "F": (("--oracle=simulated", "--truth_dir={truth}", ALL_CLASSES), (NO_TRIAL,)),
    "G": (IN_ZONES, (NO_TRIAL,)),
    "K": (("--several_boxes=zones", "--other_classes=correct", ALL_CLASSES), (NO_TRIAL,)),
    "L": ((), ()),
}
SEES_OTHERWISE = ("D",)  # arms whose pool has to be predicted in another way than the teacher's
_EVALUATE = """
import json, sys, tfodhelper
measured = tfodhelper.evaluate(saved_model_dir=sys.argv[1], data_dir=sys.argv[2])
print("\\n" + json.dumps({"AP50": measured.mean_ap_50, "AP": measured.mean_ap}))
"""


def main():
    """Makes the exercises, runs the arms, writes and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", required=True, help="NAME=FOLDER of labelled images")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--arms", default=",".join(ARMS), help=f"default: {','.join(ARMS)}")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--start", type=int, default=40, help="images that keep their boxes")
    parser.add_argument("--ramp_steps", type=int, default=100, help="of arm E")
    parser.add_argument("--rounds", type=int, default=1, help="how often an arm answers and trains")
    parser.add_argument("--flag", action="append", default=[], help="a flag of `active init`, as --num_steps=200")
    arguments = parser.parse_args()
    output, arms = pathlib.Path(arguments.output_dir), arguments.arms.split(",")
    if unknown := set(arms) - set(ARMS):
        parser.error(f"--arms: there is no {', '.join(sorted(unknown))}; expected {', '.join(ARMS)}")
    if arguments.rounds < 1 or (arguments.rounds > 1 and "F" in arms):
        parser.error("--rounds: expected at least 1, and 1 for arm F, which adopts the whole pool in the first round")
    rows = []
    for name, _, folder in (text.partition("=") for text in arguments.set):
        for seed in map(int, arguments.seeds.split(",")):
            exercise = output / name / f"seed-{seed}"
            make_exercise(folder, exercise, arguments.start, seed)
            for arm in arms:
                for number in range(1, arguments.rounds + 1):
                    figures = run_arm(exercise, arm, seed, number, arguments)
                    label = arm if number == 1 else f"{arm} after {number} rounds"
                    rows.append((name, seed, label, figures["adopted"], figures["AP50"], figures["AP"]))
                    write_results(output, rows)
    print_summary(summarize(rows))


def make_exercise(data_dir, folder, start, seed):
    """Puts labelled, pool, truth, validation and test images into folders of their own, once."""
    import numpy as np

    from tfodhelper.dataset import placing, plan

    if (folder / "complete").exists():
        return
    options = plan.SetOptions(data_dir=data_dir, val_fraction=0.16, test_fraction=0.2, validate="header")
    planned = plan.make_plan(options)
    images = planned.images_of("train")
    order = np.random.default_rng(seed).permutation(len(images))
    labelled = {images[i].name for i in order[:start]}
    hidden = [image for image in images if image.name not in labelled]
    _put(folder / "labelled", [image for image in images if image.name in labelled])
    _put(folder / "validation", planned.images_of("validate"))
    _put(folder / "test", planned.images_of("test"))
    placed = _put(folder / "truth", hidden)
    for name in placed:
        target = folder / "pool" / name
        if not target.is_symlink():
            placing.place_image(folder / "truth" / name, target, placing.LINK)
    with open(folder / "classes.csv", "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("image", "classes"))
        for image, name in zip(hidden, placed):
            lines.writerow((name, "|".join(sorted({box.name for box in image.annotation.boxes})) or "|"))
    (folder / "complete").touch()


def _put(folder, images):
    """Places images with their annotations; returns their names there."""
    from tfodhelper.dataset import placing

    if folder.exists():
        shutil.rmtree(folder)  # left by an interruption
    names = placing.Names([image.name for image in images])
    return [placing.place_corrected(image, folder, names, placing.LINK) for image in images]


def run_arm(exercise, arm, seed, number, arguments):
    """The figures of an arm whose round `number` has answered and whose next one is trained.

    Trains and evaluates unless that was done before; the rounds before must have been.

    Returns:
      {"adopted", "AP50", "AP"}.
    """
    from tfodhelper.active_learning import workspace

    result = exercise / (f"{arm}.json" if number == 1 else f"{arm}-{number}.json")
    if result.exists():
        return json.loads(result.read_text())
    teacher, space = exercise / "teacher", exercise / arm
    if not (teacher / "predicted").exists():
        if not (teacher / "workspace.json").exists():
            _call(
                *("init", f"--workspace={teacher}", f"--data_dir={exercise / 'labelled'}", f"--seed={seed}"),
                *(f"--val_dir={exercise / 'validation'}", f"--pool_dir={exercise / 'pool'}", "--oracle=image_label"),
                *(f"--image_labels={exercise / 'classes.csv'}", *arguments.flag),
            )
        _call("round", f"--workspace={teacher}", "--until=predict")
        (teacher / "predicted").touch()
    if not space.exists():
        copy = exercise / f".{arm}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(teacher, copy, symlinks=True)
        if arm in SEES_OTHERWISE:
            forget_predictions(copy)
        copy.rename(space)
    values = {"ramp": arguments.ramp_steps, "truth": exercise / "truth"}
    asking, training = ([flag.format(**values) for flag in flags] for flags in ARMS[arm])
    if not workspace.Workspace(space).rounds()[number - 1].is_finished:
        _call("round", f"--workspace={space}", *asking)
    _call("round", f"--workspace={space}", "--until=train", *training)
    figures = {"adopted": count_adopted(space)} | evaluate(space, exercise / "test")
    part = result.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.rename(result)
    return figures


def forget_predictions(space):
    """Takes the prediction of the pool out of the one round of a workspace."""
    from tfodhelper.active_learning import workspace

    (round_,) = workspace.Workspace(space).rounds()
    shutil.rmtree(round_.predictions_dir)
    del round_.state["phases"]["predict"]
    round_.save()


def count_adopted(space):
    """How many images the rounds have adopted."""
    from tfodhelper.active_learning import workspace

    return len(workspace.Workspace(space).adopted())


def evaluate(space, test_dir):
    """{"AP50", "AP"} of the model of the last round on the test images, in a process of its own."""
    from tfodhelper.active_learning import workspace

    model = workspace.Workspace(space).rounds()[-1].model_dir
    command = [sys.executable, "-c", _EVALUATE, str(model), str(test_dir)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _call(*flags):
    command = [sys.executable, "-m", "tfodhelper", "active", *flags]
    print("$", shlex.join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def summarize(rows):
    """The table: (set, arm, seeds, images adopted, AP50 mean, its spread, share recovered, its spread, lowest).

    Args:
      rows: (set, seed, arm, images adopted, AP50, AP).

    Returns:
      List of rows; shares are None where no seed has arms A and F, and F is better than A.
    """
    figures_of = {(name, seed, arm): (adopted, ap50) for name, seed, arm, adopted, ap50, _ in rows}
    groups = collections.defaultdict(list)
    for name, seed, arm in figures_of:
        groups[name, arm].append(seed)
    table = []
    for (name, arm), seeds in groups.items():
        adopted, figures = zip(*(figures_of[name, seed, arm] for seed in seeds))
        shares = []
        for seed in seeds:
            (_, none), (_, true) = (figures_of.get((name, seed, other), (0, None)) for other in "AF")
            if none is not None and true is not None and true > none:
                shares.append((figures_of[name, seed, arm][1] - none) / (true - none))
        share = (statistics.mean(shares), _spread(shares), min(shares)) if shares else (None, None, None)
        table.append(
            (name, arm, len(seeds), statistics.mean(adopted), statistics.mean(figures), _spread(figures), *share)
        )
    return table


def _spread(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


SUMMARY_HEADER = ("set", "arm", "seeds", "adopted", "AP50", "st. dev.", "recovered", "st. dev.", "lowest")


def write_results(output, rows):
    """Writes results.csv and summary.csv."""
    from tfodhelper import sheets

    sheets.write_csv(output / "results.csv", ("set", "seed", "arm", "adopted", "AP50", "AP"), rows)
    sheets.write_csv(output / "summary.csv", SUMMARY_HEADER, summarize(rows))


def print_summary(table):
    """Prints the table."""
    from tfodhelper import console

    shown = [
        (name, arm, seeds, f"{adopted:.0f}", *("-" if value is None else f"{value:.3f}" for value in values))
        for name, arm, seeds, adopted, *values in table
    ]
    print(console.format_table(SUMMARY_HEADER, shown, numbers=range(2, 9)))


if __name__ == "__main__":
    main()
