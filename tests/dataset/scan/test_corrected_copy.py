"""Corrected copies: where their XML says they are, and a process that is killed while it writes them."""

import signal
import subprocess
import sys

from tests.dataset.scan.picture_set import save_set
from tests.shared_data import REPOSITORY
from tfodhelper.cli import main

DIES_AT_THE_SECOND = """
import os, signal, sys
from tfodhelper.annotations import labelimg
from tfodhelper.cli import main
write, written = labelimg.write_labelimg, []
def die(*given, **named):
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(write(*given, **named))
labelimg.write_labelimg = die
main.main(sys.argv[1:])
"""


def test_a_killed_fix_leaves_no_copy_under_the_name_and_the_next_one_makes_all(tmp_path):
    data, out = save_set(tmp_path / "data", ["cat"], 3), tmp_path / "out"
    command = ["check", f"--data_dir={data}", f"--output_dir={out}", "--fix"]
    process = [sys.executable, "-c", DIES_AT_THE_SECOND, *command]
    killed = subprocess.run(process, cwd=REPOSITORY, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert not any((out / "fixed").iterdir())
    assert main.main(command) == 0
    copies = sorted((out / "fixed").glob("*.xml"))
    assert len(copies) == 3 and not list(out.glob(".*"))
    for path in copies:
        assert f"<path>{path.with_suffix('')}." in path.read_text(encoding="utf-8")
