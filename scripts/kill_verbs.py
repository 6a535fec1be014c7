"""Kills every verb that writes, at random moments, and starts the same command again.

    python scripts/kill_verbs.py --kills=20 --seed=1 --work=FOLDER [--cases=import-coco,predict]

The signals are SIGKILL and SIGTERM to the process, SIGINT and SIGHUP to its group, in turn. The second start has to end
with exit status 0 and the files of an undisturbed run: byte for byte, but for times of day, durations and what
TensorFlow writes differently each time, which is compared by name; of tables, also the numbers of lines and of blank
cells. Nothing else may be left, neither in the folder nor among the temporary files. Where TensorFlow is needed, a
command is killed several times before it is let end (--in_a_row). Prints one line per case; the exit status is 1 if
something differs.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tfodhelper import console  # noqa: E402

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT, "HUP": signal.SIGHUP}
TO_GROUP = (signal.SIGINT, signal.SIGHUP)  # as a terminal sends them
SMALL = [
    *("--fine_tune_checkpoint=none", "--batch_size=2", "--strategy=cpu", "--eval_every=2"),
    *(f"--set=model.ssd.image_resizer.fixed_shape_resizer.{side}=96" for side in ("height", "width")),
    *("--set=model.ssd.feature_extractor.depth_multiplier=0.25", "--set=model.ssd.feature_extractor.min_depth=8"),
]
SMALL_CONFIG = ["--model=ssd_mobilenet_v1", *(flag for flag in SMALL if not re.match("--(strategy|eval_every)", flag))]

# Files whose bytes are of the day or of one process: only that they exist is compared.
BY_NAME = re.compile(
    r"process[^/]*\.log|\.lock|run\.json|round\.json|saved_model\.pb|fingerprint\.pb|variables\.(index|data.*)"
    r"|.*\.(png|html)|results\.csv|evaluations\.jsonl|ckpt-.*|checkpoint|detector_.*\.tflite|detector\.json|state\.json"
    r"|.*\.npz|.*predictions.*|part-.*|scores\.csv|selection\.json|answers\.jsonl|plan\.json|tables\.txt|.*\.csv"
)
PASSED_OVER = re.compile(r"events\.out\.tfevents\..*")  # as many as there were starts


@dataclasses.dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
      argv: its arguments; {in} stands for the folder of inputs, and `out` is in the folder where it runs.
      before: commands that are run once, where the command will run, before it is killed.
      by_name: whether files like those of `BY_NAME` are compared by name only; the others always byte for byte.
    """

    argv: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    by_name: bool = False


OUT = "--output_dir=out"
SETS = {
    "coco": ("--input={in}/coco/instances_train.json", "--val_input={in}/coco/instances_validate.json"),
    "yolo": ("--input={in}/yolo/data.yaml",),
    "csv": ("--input={in}/csv/train.csv", "--val_input={in}/csv/validate.csv"),
}
ACTIVE_INIT = (
    *("active", "init", "--data_dir={in}/few", "--pool_dir={in}/pool", "--workspace=out"),
    *("--val_fraction=0.3", "--model=ssd_mobilenet_v1", "--num_steps=4", *SMALL, "--budget=4"),
    *("--oracle=image_label", "--image_labels={in}/classes.csv"),
)
CASES = {
    **{
        f"import-{name}": Case(("import", f"--from={name}", *flags, "--image_dir={in}/images", "--images=copy", OUT))
        for name, flags in SETS.items()
        if name != "yolo"
    },
    "import-yolo": Case(("import", "--from=yolo", *SETS["yolo"], OUT)),
    "import-records": Case(("import", "--from=records", "--input={in}/data/train.record-*", OUT)),
    **{
        f"export-annotations-{name}": Case(
            ("export-annotations", f"--to={name}", "--data_dir={in}/images", "--images=copy", OUT)
        )
        for name in SETS
    },
    "check-fix": Case(("check", "--data_dir={in}/images", "--fix", "--nonear_duplicates", OUT)),
    "convert": Case(("convert", "--data_dir={in}/images", OUT)),
    "convert-update": Case(
        ("convert", "--data_dir=images", "--update", OUT),
        (
            ("!copy", "{in}/few", "images"),
            ("convert", "--data_dir=images", OUT),
            ("!copy", "{in}/images", "images"),
        ),
    ),
    "convert-shard": Case(
        ("convert", "--data_dir={in}/images", "--shard=2/2", OUT),
        (("convert", "--data_dir={in}/images", "--shard=1/2", OUT),) * 1,
    ),
    "split": Case(("split", "--data_dir={in}/images", OUT)),
    "split-folds": Case(("split", "--data_dir={in}/images", "--num_folds=3", OUT)),
    "stats": Case(("stats", "--data_dir={in}/images", OUT)),
    "config": Case(("config", *SMALL_CONFIG, "--data_dir={in}/data", OUT)),
    "active-init": Case(
        (
            *("active", "init", "--data_dir={in}/few", "--pool_dir={in}/pool", "--workspace=out", "--val_fraction=0.3"),
            *("--model=ssd_mobilenet_v1", "--oracle=labelimg"),
        )
    ),
    "predict": Case(
        ("predict", "--saved_model_dir={in}/run", OUT, "--draw", "--write_xml", "--score_threshold=0", "{in}/images")
    ),
    "check-model": Case(
        ("check", "--data_dir={in}/few", "--model={in}/run/export/best", "--fix", "--score_threshold=0.05", OUT)
    ),
    "export": Case(("export", "--trained_checkpoint_dir={in}/run", "--output_directory=out"), by_name=True),
    "export-tflite": Case(
        (
            *("export", "--trained_checkpoint_dir={in}/run", "--output_directory=out", "--format=tflite"),
            "--num_check_images=2",
        ),
        by_name=True,
    ),
    "train": Case(
        (
            *("train", "--pipeline_config_path={in}/run/pipeline.config", "--model_dir=out", "--num_steps=4"),
            *("--strategy=cpu", "--eval_every=2"),
        ),
        by_name=True,
    ),
    "run": Case(("run", "--data_dir={in}/few", "--model=ssd_mobilenet_v1", "--num_steps=4", *SMALL, OUT), by_name=True),
    "active-round": Case(
        ("active", "round", "--workspace=out"),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-report": Case(
        ("active", "report", "--workspace=out"),
        (("!copy", "{in}/workspace", "out"),),
        by_name=True,
    ),
    "eval": Case(
        ("eval", "--pipeline_config_path={in}/run/pipeline.config", "--model_dir=out/checkpoints"),
        (("!copy", "{in}/run", "out"),),
        by_name=True,
    ),
    "active-run": Case(
        ("active", "run", "--workspace=out", "--rounds=2"),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-predict": Case(
        ("active", "predict", "--workspace=out", "--shard=1/1"),
        (ACTIVE_INIT, ("active", "round", "--workspace=out", "--until=train")),
        by_name=True,
    ),
}
NEEDS_MODEL = {"predict", "check-model", "export", "export-tflite", "train", "eval"}
HEAVY = NEEDS_MODEL | {"run", "active-round", "active-run", "active-predict", "active-report"}


class Runner:
    """Runs commands in one folder, with a folder of their own for temporary files."""

    def __init__(self, work):
        self.inputs, self.folder, self.temporary = work / "inputs", work / "here", work / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.environment = os.environ | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}

    def _argv(self, words):
        words = [word.replace("{in}", str(self.inputs)) for word in words]
        return [sys.executable, "-m", "tfodhelper", *words]

    def run(self, words):
        """Runs a command to its end; returns (exit status, what it printed)."""
        if words[0] == "!copy":
            source, target = (pathlib.Path(word.replace("{in}", str(self.inputs))) for word in words[1:])
            shutil.copytree(source, self.folder / target, symlinks=True, dirs_exist_ok=True)
            return 0, ""
        done = subprocess.run(
            self._argv(words), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout[-500:] + done.stderr[-1500:]

    def kill(self, words, number, after_s):
        """Starts a command and sends it a signal after a while; returns whether it ended by that signal."""
        process = subprocess.Popen(
            self._argv(words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(after_s)
            return False
        except subprocess.TimeoutExpired:
            (os.killpg if number in TO_GROUP else os.kill)(process.pid, number)
            return process.wait() != 0  # 0: everything was done, or the signal is ignored

    def clear(self):
        """Empties the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def snapshot(self, by_name):
        """{relative path: content} of everything in the folder and among the temporary files."""
        content = {}
        for base in (self.folder, self.temporary):
            for parent, folders, names in os.walk(base):
                for name in (*folders, *names):
                    path = pathlib.Path(parent, name)
                    if not PASSED_OVER.fullmatch(name):
                        content[str(path.relative_to(base.parent))] = _content_of(path, by_name)
        return content


def _content_of(path, by_name):
    if path.is_symlink():
        return "link to " + os.readlink(path)
    if path.is_dir():
        return "folder"
    if by_name and path.suffix in (".csv", ".jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines()
        return f"{len(lines)} lines, {sum(',,' in line or line.endswith(',') for line in lines)} with blank cells"
    if (by_name and BY_NAME.fullmatch(path.name)) or re.fullmatch(r"process.*\.log|\.lock", path.name):
        return "file"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def try_case(runner, case, kills, in_a_row, rng):
    """Kills a command several times, lets it end after every `in_a_row`; returns figures and the first problem."""
    figures = dict.fromkeys(("killed", "refused", "different", "strays"), 0) | {"problem": ""}
    base = runner.folder.with_name("base")
    runner.clear()
    for words in case.before:
        status, said = runner.run(words)
        if status:
            return figures | {"problem": f"{words[:2]}: {said}"}
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(runner.folder, base, symlinks=True)
    expected, seconds, said = _run_undisturbed(runner, case, base)
    if expected is None:
        return figures | {"problem": said}
    tries = 0
    while figures["killed"] < kills and tries < 3 * kills:
        _restore(runner, base)
        signals = []
        while len(signals) < min(in_a_row, kills - figures["killed"]) and tries < 3 * kills:
            tries += 1
            name = list(SIGNALS)[(figures["killed"] + len(signals)) % len(SIGNALS)]
            after_s = rng.uniform(0, seconds)
            earlier = set(os.listdir(runner.temporary))  # of a SIGKILL before, which a process may not live to remove
            if not runner.kill(case.argv, SIGNALS[name], after_s):
                _restore(runner, base)  # it ended by itself: not a kill
                signals = []
                continue
            signals.append(f"SIG{name} after {after_s:.2f} s")
            left = sorted(set(os.listdir(runner.temporary)) - earlier)
            if SIGNALS[name] != signal.SIGKILL and left:
                figures["strays"] += 1
                figures["problem"] = figures["problem"] or f"SIG{name} leaves {left}"
        figures["killed"] += len(signals)
        status, said = runner.run(case.argv)
        _count(figures, ", ".join(signals), status, said, expected, runner.snapshot(case.by_name))
    shutil.rmtree(base)
    return figures | {"seconds": seconds}


def _restore(runner, base):
    runner.clear()
    shutil.copytree(base, runner.folder, symlinks=True, dirs_exist_ok=True)


def _run_undisturbed(runner, case, base):
    """(snapshot of the result, seconds, ""), or (None, None, why): the command is run twice, with the same result."""
    snapshots = []
    for _ in range(2):  # the first time, programs and pictures come from the disk
        _restore(runner, base)
        start = time.monotonic()
        status, said = runner.run(case.argv)
        seconds = time.monotonic() - start
        if status:
            return None, None, said
        snapshots.append(runner.snapshot(case.by_name))
    names = [name for name in snapshots[0] if snapshots[0][name] != snapshots[1].get(name)]
    return (None, None, f"differs between two runs: {names[:5]}") if names else (snapshots[1], seconds, "")


def _count(figures, title, status, said, expected, received):
    """Adds what the second start left to the figures."""
    surplus, lost = sorted(received.keys() - expected.keys()), sorted(expected.keys() - received.keys())
    changed = sorted(name for name in expected.keys() & received.keys() if expected[name] != received[name])
    figures["refused"] += status != 0
    figures["different"] += bool(lost or changed)
    figures["strays"] += bool(surplus)
    if not figures["problem"] and (status or surplus or lost or changed):
        figures["problem"] = (
            f"{title}: exit {status}; surplus {surplus[:4]}, lost {lost[:4]}, changed {changed[:4]}"
            + (f"\n{said}" if status else "")
        )


def make_inputs(runner, names):
    """Draws the pictures and converts them to what the verbs read."""
    from tfodhelper.dataset import shapes

    inputs = runner.inputs
    if not (inputs / "images").is_dir():
        shapes.draw_dataset(inputs / "images", 30, seed=1)
        shapes.draw_dataset(inputs / "few", 16, seed=1)
        shapes.draw_dataset(inputs / "pool", 12, seed=2)
        lines = [f"{path.name},circle\n" for path in sorted((inputs / "pool").glob("shapes*")) if path.suffix != ".xml"]
        (inputs / "classes.csv").write_text("image,class\n" + "".join(lines), encoding="utf-8")
        for path in (inputs / "pool").glob("*.xml"):
            path.unlink()
    runner.clear()
    for name in SETS:
        if not (inputs / name).is_dir():
            how = "copy" if name == "yolo" else "none"
            flags = ("--data_dir={in}/images", f"--to={name}", f"--images={how}", f"--output_dir={inputs / name}")
            _must(runner, ("export-annotations", *flags))
    if not (inputs / "data").is_dir():
        _must(runner, ("convert", "--data_dir={in}/images", f"--output_dir={inputs / 'data'}"))
    if NEEDS_MODEL & set(names) and not (inputs / "run" / "export").is_dir():
        flags = ("--model=ssd_mobilenet_v1", "--num_steps=2", *SMALL, f"--output_dir={inputs / 'run'}")
        _must(runner, ("run", "--data_dir={in}/few", *flags))
    if "active-report" in names and not (inputs / "workspace").is_dir():
        for words in (*CASES["active-round"].before, CASES["active-round"].argv):
            _must(runner, words)
        shutil.copytree(runner.folder / "out", inputs / "workspace", symlinks=True)


def _must(runner, words):
    status, said = runner.run(words)
    if status:
        raise SystemExit(f"{' '.join(words)}: {said}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=pathlib.Path, help="folder for all files")
    parser.add_argument("--cases", default=",".join(CASES), help="which ones, separated by commas")
    parser.add_argument("--kills", type=int, default=20, help="per case")
    parser.add_argument("--in_a_row", type=int, default=4, help="kills before the end, for verbs that need TensorFlow")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for number in TO_GROUP:  # a shell's background job ignores SIGINT, nohup SIGHUP, and so would what we start
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    names = options.cases.split(",")
    runner = Runner(options.work.resolve())
    make_inputs(runner, names)
    rows, problems = [], []
    for name in names:
        in_a_row = options.in_a_row if name in HEAVY else 1
        figures = try_case(runner, CASES[name], options.kills, in_a_row, random.Random(f"{options.seed} {name}"))
        row = (name, f"{figures.pop('seconds', 0):.1f}")
        rows.append((*row, *(figures[key] for key in ("killed", "refused", "different", "strays"))))
        problems += [f"{name}: {figures['problem']}"] if figures["problem"] else []
        print(json.dumps({"case": name, "seed": options.seed, **figures}), flush=True)
    header = ("case", "seconds", "kills", "second start fails", "result differs", "strays")
    print(console.format_table(header, rows, numbers=range(1, 6)))
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
