"""The batch size that fits into the memory of a device: --batch_size=auto.

A process of its own takes one step of training with 1, 2, 4, ... noise images of the size of the model input and says
how much memory each took. If it is killed for lack of memory, the last batch that it reported is still known, and the
job continues.
"""

import json

from tfodhelper import child_process, console, errors, families, machine_memory, spelling
from tfodhelper.config import pipeline as pipelines
from tfodhelper.families import input_size
from tfodhelper.training.options import TrainOptions

SHARE = 0.6  # of the memory that is free; the rest is for the input, for evaluation and for others
_MOST = 1024  # images
_GB = 1e9


def find_batch_size(pipeline, num_images, options=None):
    """Finds the largest power of two of images whose step of training takes at most `SHARE` of the free memory.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message.
      num_images: training images, which bound the batch.
      options: `TrainOptions`, of which those that change the memory of a step count; None: the defaults.

    Returns:
      Images per step over all replicas, a power of two for each.

    Raises:
      UsageError: the memory or the size of the input is not known before.
      TrainingError: a step with one image does not fit, or fails.
    """
    options = options or TrainOptions()
    size = input_size.largest_size(families.architecture_of(pipeline.model).image_resizer)
    if options.strategy in ("multi_worker", "tpu") or size is None:
        raise errors.UsageError(
            "--batch_size=auto: the memory of a step is not known before"
            + (f" with --strategy={options.strategy}" if size is not None else ", since inputs have any size"),
            fix="--batch_size=N",
        )
    most = min(_MOST, num_images)
    console.say(f"batch size: trying steps with up to {spelling.count(most, 'image')} of {size[0]} x {size[1]} pixels")
    trial = {
        "pipeline": pipelines.format_pipeline(pipeline),
        "most": most,
        "size": size,
        "options": {
            "strategy": options.strategy,
            "freeze": options.freeze,
            "precision": options.precision or "float32",
        },
    }
    steps, ending = _run_trial(trial)
    batch_size, text = _choose(steps, ending, size)
    console.say(text)
    return batch_size


def _run_trial(trial):
    """(what the process reported, line by line; why it ended, if it failed)."""
    lines, ending = child_process.run_module("training.trial_steps", trial)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")], ending


def _choose(steps, ending, size):
    """(batch size, why in one line), from the reports of the process."""
    device = next((line for line in steps if "budget" in line), None)
    if device is None or device["budget"] is None:
        if ending is None:
            raise errors.UsageError(
                "--batch_size=auto: this system does not say how much memory is free", fix="--batch_size=N"
            )
        raise errors.TrainingError(
            f"--batch_size=auto: no step of training could be tried, {ending}", fix="--batch_size=N"
        )
    budget, replicas = device["budget"], device["replicas"]
    fitting = [line for line in steps if line.get("peak") is not None and line["peak"] <= budget]
    limit = f"{SHARE:g} of the {budget / SHARE / _GB:.1f} GB that are free on {device['device']}"
    if not fitting:
        first = next((line["peak"] for line in steps if line.get("peak") is not None), None)
        raise errors.TrainingError(
            f"--batch_size=auto: a step with one image of {size[0]} x {size[1]} pixels does not fit",
            expected=f"at most {budget / _GB:.1f} GB, {limit}",
            received=f"{first / _GB:.1f} GB" if first else ending or "no memory",
            fix="a smaller image_resizer or a smaller --model, or --batch_size=1 to try it nevertheless",
        )
    best = fitting[-1]
    text = f"batch size: {best['batch'] * replicas}, a step takes {best['peak'] / _GB:.1f} GB, at most {limit}"
    return best["batch"] * replicas, text + (f"; {replicas} replicas" if replicas > 1 else "")


def budget_of(free_bytes):
    """What a step may take of the memory that is free, in bytes."""
    return int(SHARE * free_bytes)


def free_bytes():
    """Free memory of the machine in bytes, or None."""
    memory = machine_memory.free_memory()
    return memory and memory[0]
