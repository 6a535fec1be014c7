"""The entry of a container for managed training: `tfodhelper run` with the folders of SageMaker or Vertex AI.

SageMaker: flags are the hyperparameters; the channel "training" is --data_dir. The run is in /opt/ml/checkpoints, from
which a job that was interrupted resumes; the best export goes to /opt/ml/model, the reason of a failure to
/opt/ml/output/failure.

Vertex AI: flags are the arguments of the container. The run is on the disk of the machine; at its end, the best export
goes to $AIP_MODEL_DIR, checkpoints to $AIP_CHECKPOINT_DIR and event files to $AIP_TENSORBOARD_LOG_DIR.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys


def main(arguments, environment=os.environ, opt_ml="/opt/ml", buckets="/gcs", scratch="/tmp/run"):
    """Runs a job; returns the exit status.

    Args:
      arguments: of the container.
      environment: the environment variables of the service.
      opt_ml: folder of SageMaker.
      buckets: where Vertex AI mounts Cloud Storage.
      scratch: folder of the run for Vertex AI.
    """
    opt_ml = pathlib.Path(opt_ml)
    if (opt_ml / "input/config/hyperparameters.json").is_file():
        run = opt_ml / "checkpoints/run"
        status, reason = train([f"--data_dir={opt_ml}/input/data/training", *read_hyperparameters(opt_ml)], run)
        if status:
            (opt_ml / "output").mkdir(exist_ok=True)
            (opt_ml / "output/failure").write_text(reason)
        else:
            copy_export(run, opt_ml / "model")
        return status
    run = pathlib.Path(scratch)
    status, _ = train(arguments, run)
    if not status:
        copy_export(run, to_folder(environment["AIP_MODEL_DIR"], buckets))
        for name, part in (("AIP_CHECKPOINT_DIR", "checkpoints/best"), ("AIP_TENSORBOARD_LOG_DIR", "checkpoints/eval")):
            if name in environment:
                shutil.copytree(run / part, to_folder(environment[name], buckets), dirs_exist_ok=True)
    return status


def read_hyperparameters(opt_ml):
    """Flags from SageMaker's hyperparameters, which are all texts; a list repeats a flag."""
    values = json.loads((opt_ml / "input/config/hyperparameters.json").read_text())
    for name, text in values.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if not name.startswith("sagemaker_"):
            yield from (f"--{name}={each}" for each in (value if isinstance(value, list) else [value]))


def train(flags, run):
    """Runs `tfodhelper run`, and ends it as the service ends the container; returns the exit status and the errors."""
    command = [sys.executable, "-m", "tfodhelper", "run", f"--output_dir={run}", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        errors = []
        for line in process.stderr:
            sys.stderr.write(line)
            errors = [*errors, line][-20:]
    return process.returncode, "".join(errors)


def copy_export(run, target):
    """The best SavedModel as version 1, as TensorFlow Serving wants it, with what belongs to it."""
    export = run / "export/best"
    shutil.copytree(export / "saved_model", target / "1", dirs_exist_ok=True)
    for name in ("label_map.pbtxt", "pipeline.config"):
        shutil.copyfile(export / name, target / name)


def to_folder(address, buckets):
    """gs://bucket/folder -> the folder where Vertex AI mounts it."""
    return pathlib.Path(address.replace("gs://", f"{buckets}/"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
