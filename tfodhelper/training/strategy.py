"""Builds the `tf.distribute.Strategy` that --strategy names, with the Model Garden's distribution code."""

import os
from typing import Any

import tensorflow as tf
from official.common import distribute_utils

from tfodhelper import errors, json_shapes, limits
from tfodhelper.training.options import STRATEGIES


def build_strategy(name="auto", tpu_address=None):
    """Builds a distribution strategy.

    Args:
      name: auto (all GPUs of this machine, or the CPU), cpu, gpu (one GPU), mirrored (all GPUs of this machine; all
        logical CPUs if there is no GPU), multi_worker (TF_CONFIG names the workers), tpu.
      tpu_address: name or grpc address of the TPU; "local" for a TPU virtual machine.

    Raises:
      UsageError: the name is unknown, or the devices do not exist.
    """
    # Before any device is requested: afterwards, the workers' connections cannot be configured.
    if name == "multi_worker":
        _read_cluster()
        if not os.environ.get("TF_CONFIG"):
            raise _no_device("multi_worker", "the environment variable TF_CONFIG", "set it on every worker")
        return distribute_utils.get_distribution_strategy("multi_worker_mirrored")
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "gpu" if gpus else "cpu"
    if name == "cpu":
        return distribute_utils.get_distribution_strategy("one_device", num_gpus=0)
    if name == "gpu":
        if not gpus:
            raise _no_device("gpu", "a GPU that TensorFlow sees", "run `tfodhelper doctor` to see what is missing")
        return distribute_utils.get_distribution_strategy("one_device", num_gpus=1)
    if name == "mirrored":
        cpus = tf.config.list_logical_devices("CPU")
        if not gpus and len(cpus) > 1:
            return tf.distribute.MirroredStrategy([device.name for device in cpus])
        return distribute_utils.get_distribution_strategy("mirrored", num_gpus=len(gpus))
    if name == "tpu":
        return _tpu(tpu_address)
    raise errors.UsageError("--strategy", expected=f"one of {', '.join(STRATEGIES)}", received=name)


def _tpu(address):
    try:
        return distribute_utils.get_distribution_strategy("tpu", tpu_address=address or "local")
    except (ValueError, tf.errors.OpError, RuntimeError) as error:
        raise errors.UsageError(
            f"--strategy=tpu: no TPU answers at {address or 'local'} ({str(error).splitlines()[0]})",
            fix="set --tpu_address, or choose another --strategy",
        ) from error


def _no_device(name, expected, fix):
    return errors.UsageError(f"--strategy={name}", expected=expected, received="none", fix=fix)


def is_chief_process(name):
    """Whether this process is the one of its job that holds the model folder; known before there is a strategy."""
    config = _read_cluster() if name == "multi_worker" else {}
    task = config.get("task", {})
    if "chief" in config.get("cluster", {}):
        return task.get("type") == "chief"
    return int(task.get("index", 0)) == 0


_CLUSTER = {"cluster?": {str: Any}, "task?": {"type?": str, "index?": (int, str)}}
_SHOWN = 200  # characters of an invalid TF_CONFIG


def _read_cluster():
    """The content of the environment variable TF_CONFIG.

    Raises:
      UsageError: it is not what TensorFlow documents.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        config = limits.parse_json(text)
        json_shapes.check(config, _CLUSTER, "its content")
        int(config.get("task", {}).get("index", 0))
    except ValueError as error:
        raise errors.UsageError(
            f"--strategy=multi_worker: the environment variable TF_CONFIG is invalid ({error})",
            expected='{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}',
            received=text[:_SHOWN],
        ) from error
    return config


def is_chief(strategy):
    """Whether this process writes the checkpoints, summaries and pictures of the job."""
    return bool(strategy.extended.should_checkpoint)


def is_host(strategy):
    """Whether the only device is the processor that also reads the records."""
    return isinstance(strategy, tf.distribute.OneDeviceStrategy) and "CPU" in strategy.extended.worker_devices[0]


def describe(strategy):
    """One phrase for logs: kind, number of replicas, device types."""
    replicas = strategy.num_replicas_in_sync
    kind = type(strategy).__name__.replace("Strategy", "").replace("V1", "")
    devices = sorted({device.device_type for device in tf.config.list_logical_devices()} & {"CPU", "GPU", "TPU"})
    return f"{kind}, {replicas} replica{'s' if replicas != 1 else ''}, devices {', '.join(devices)}"


def check_batch_size(batch_size, strategy_):
    """Returns the global batch size.

    Raises:
      ConfigError: it cannot be divided evenly among the replicas.
    """
    replicas = strategy_.num_replicas_in_sync
    if batch_size < 1 or batch_size % replicas:
        raise errors.ConfigError(
            "train_config.batch_size: this is the number of images per step over all replicas",
            expected=f"a multiple of {replicas}, the number of replicas",
            received=batch_size,
            fix=f"--batch_size={max(1, round(batch_size / replicas)) * replicas}",
        )
    return batch_size
