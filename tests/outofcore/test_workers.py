"""Workers of a script that has imported TensorFlow: they start as new processes and print none of its lines."""

import os
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY

_SCRIPT = """
import sys
sys.modules["tensorflow"] = sys  # stands for one that is imported, which is what decides
print("the script runs", flush=True)
from tfodhelper.outofcore import workers

own = sys.modules["__main__"]
with workers.workers(2) as run:
    print(list(run(abs, [-1, -2, -3])), type(workers._context()).__name__)
assert sys.modules["__main__"] is own
"""


@pytest.mark.parametrize("arguments", [["script.py"], ["-m", "script"]])
def test_a_script_needs_no_guard(tmp_path, arguments):
    (tmp_path / "script.py").write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "the script runs\n[1, 2, 3] _SpawnContext\n"), done.stderr
