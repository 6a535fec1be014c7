import os
import platform
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import tensorflow_setup

pytestmark = pytest.mark.slow


def test_the_settings_stand_and_those_of_the_user_stay(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    tensorflow_setup.quiet_tensorflow()
    assert os.environ["TF_USE_LEGACY_KERAS"] == "1"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "1"
    assert os.environ["GRPC_VERBOSITY"] == "ERROR"


@pytest.mark.parametrize(
    ("machine", "before", "after"),
    [("x86_64", None, "1"), ("AMD64", None, "1"), ("x86_64", "0", "0"), ("aarch64", None, None)],
)
def test_training_uses_onednn_unless_the_user_says_otherwise(monkeypatch, machine, before, after):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", before or "")  # restored after the test
    if before is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    tensorflow_setup.prepare_training()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == after
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)


@pytest.mark.parametrize("session", ["", "import sys; sys.ps1 = '>>> '\n"], ids=["script", "notebook"])
def test_tensorflow_and_the_model_garden_then_say_nothing(session):
    code = session + "from tfodhelper import tensorflow_setup; tensorflow_setup.quiet_tensorflow()\n"
    code += "import tensorflow as tf, orbit\nfrom official.core import base_task\ntf.zeros([2]) + 1.0\n"
    code += "tf.get_logger().info('assets written'); tf.get_logger().warning('deprecated')\n"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system does not list the threads of a process")
@pytest.mark.parametrize(("call", "expected"), [("", False), ("tensorflow_setup.give_sessions_own_threads()", True)])
def test_a_session_gets_the_threads_that_it_asks_for(call, expected):
    code = f"""
import os
from tfodhelper import tensorflow_setup
tensorflow_setup.quiet_tensorflow()
{call}
import tensorflow as tf
tf.constant(1.0) + 1.0
before = len(os.listdir("/proc/self/task"))
config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=40, inter_op_parallelism_threads=-1)
with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
    session.run(tf.constant(1.0) + 1.0)
    print(len(os.listdir("/proc/self/task")) - before)
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_OVERRIDE_GLOBAL_THREADPOOL"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert (int(done.stdout) >= 39) == expected
