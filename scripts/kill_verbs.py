"""Kills every verb that writes, at random moments, and starts the same command again.

    python scripts/kill_verbs.py --kills=20 --seed=1 --work=FOLDER [--cases=import-coco,predict]

The signals are SIGKILL and SIGTERM to the process, SIGINT and SIGHUP to its group, in turn. The second start has to end
with exit status 0 and the files of an undisturbed run: byte for byte, but for times of day, durations and what
TensorFlow writes differently each time, which is compared by name; of tables, also the numbers of lines and of blank
cells. Nothing else may be left, neither in the folder nor among the temporary files. Where TensorFlow is needed, a
command is killed several times before it is let end (--in_a_row). `label` is killed while a client saves changes
without a pause, and the next client continues. Prints one line per case; the exit status is 1 if
something differs.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import label_client  # noqa: E402
from kill_cases import CASES, HEAVY, make_inputs  # noqa: E402

from tfodhelper import console  # noqa: E402

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT, "HUP": signal.SIGHUP}
TO_GROUP = (signal.SIGINT, signal.SIGHUP)  # as a terminal sends them
# Files whose bytes are of the day or of one process: only that they exist is compared.
BY_NAME = re.compile(
    r"process[^/]*\.log|\.lock|run\.json|round\.json|saved_model\.pb|fingerprint\.pb|variables\.(index|data.*)"
    r"|.*\.(png|html)|results\.csv|evaluations\.jsonl|ckpt-.*|checkpoint|detector_.*\.tflite|detector\.json|state\.json"
    r"|.*\.npz|.*predictions.*|part-.*|scores\.csv|selection\.json|answers\.jsonl|plan\.json|tables\.txt|.*\.csv"
    r"|benchmark\.json"
)
PASSED_OVER = re.compile(r"events\.out\.tfevents\..*")  # as many as there were starts


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

    def run_case(self, case):
        """Runs the command of a case to its end; returns as `run`."""
        if case.originals is None:
            return self.run(case.argv)
        page = self._open_page(case)
        with contextlib.suppress(OSError, http.client.HTTPException):  # its exit status says why
            self._review(page, case)
        return page.wait(), page.said[-2000:]

    def _open_page(self, case):
        return label_client.Page(self._argv(case.argv), cwd=self.folder, env=self.environment, start_new_session=True)

    def _review(self, page, case):
        label_client.review(page, pathlib.Path(case.originals.replace("{in}", str(self.inputs))))

    def kill_case(self, case, number, after_s):
        """Starts the command of a case and sends it a signal after a while; returns whether that ended it."""
        if case.originals is None:
            return self.kill(case.argv, number, after_s)
        page, is_done = self._open_page(case), False
        timer = threading.Timer(after_s, _send, (page.process, number))
        timer.start()
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._review(page, case)
            is_done = True
        page.wait()
        timer.cancel()
        return not is_done

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
            _send(process, number)
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


def _send(process, number):
    (os.killpg if number in TO_GROUP else os.kill)(process.pid, number)


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
            if not runner.kill_case(case, SIGNALS[name], after_s):
                _restore(runner, base)  # it ended by itself: not a kill
                signals = []
                continue
            signals.append(f"SIG{name} after {after_s:.2f} s")
            left = sorted(set(os.listdir(runner.temporary)) - earlier)
            if SIGNALS[name] != signal.SIGKILL and left:
                figures["strays"] += 1
                figures["problem"] = figures["problem"] or f"SIG{name} leaves {left}"
        figures["killed"] += len(signals)
        status, said = runner.run_case(case)
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
        status, said = runner.run_case(case)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=pathlib.Path, help="folder for all files")
    parser.add_argument("--cases", default=",".join(CASES), help="which ones, separated by commas")
    parser.add_argument("--kills", type=int, default=20, help="per case")
    parser.add_argument(
        "--in_a_row", type=int, default=4, help="kills before the end, for verbs that need TensorFlow, and for pages"
    )
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
