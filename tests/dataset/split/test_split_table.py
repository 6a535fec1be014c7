"""The script that splits the class counts from an older tool's log still reproduces all figures."""

import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[3] / "scripts" / "split_table.py"


def test_every_figure_of_the_log_is_reproduced():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, cwd=SCRIPT.parents[1])
    assert done.returncode == 0, done.stderr
    shown = [line.split() for line in done.stdout.splitlines() if "in the log" in line]
    assert [line[:2] for line in shown] == [
        ["homer:", "500/126,"],
        ["ned:", "485/122,"],
        ["moe:", "172/43,"],
        ["lisa:", "462/116,"],
        ["homer:", "1652/414,"],
        ["ned:", "1110/278,"],
        ["moe:", "996/250,"],
    ]
