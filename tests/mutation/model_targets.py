"""Parsers of configurations, archives, checkpoints and exported models."""

import functools
import gzip
import io
import json
import pathlib
import tarfile
import tempfile

from tests.mutation import mutators as m
from tests.mutation.base import JSON, TEXT, Target, write
from tfodhelper import errors
from tfodhelper.checkpoints import find
from tfodhelper.config import overrides, supported
from tfodhelper.config import pipeline as pipelines
from tfodhelper.tflite import metadata
from tfodhelper.zoo import archive, base_configs


def _pipeline(folder, data):
    pipeline = pipelines.read_pipeline(write(folder, "pipeline.config", data))
    supported.classify(pipeline)
    pipelines.write_pipeline(folder / "again.config", pipeline)


def _pipeline_seeds():
    names = base_configs.base_names()
    chosen = [name for name in names if "v2_320x320" in name or "d0" in name or "resnet50_v1_640" in name]
    return [base_configs.base_pipeline_path(name).read_bytes() for name in chosen[:4]]


def _overrides(folder, data):
    pipeline = pipelines.read_pipeline(base_configs.base_pipeline_path(base_configs.base_names()[0]))
    overrides.apply_overrides(pipeline, data.decode("utf-8", "replace").split("\n"))


def _override_seeds():
    lines = ["train_config.batch_size=4", "model.ssd.num_classes=3", "train_config.optimizer={adam_optimizer {}}"]
    lines += ["eval_config.metrics_set=[coco_detection_metrics]", "train_config.data_augmentation_options[0]="]
    return [line.encode() for line in lines]


def _archive(folder, data):
    archive.unpack(write(folder, "a.tar.gz", data), folder / "out")
    find.find_newest_in(folder / "out")


def _archive_seeds():
    seeds = []
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
            for name, content in (
                ("top/checkpoint/checkpoint", b'model_checkpoint_path: "ckpt-0"\n'),
                ("top/checkpoint/ckpt-0.index", b"i" * 600),
                ("top/" + "d" * 120 + "/\u732b.txt", b"x" * 30),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        seeds.append(gzip.compress(buffer.getvalue()))
    return seeds


def _checkpoint_state(folder, data):
    write(folder, "ckpt-1.index", b"")
    write(folder, "checkpoint", data)
    find.find_checkpoint(folder)


def _checkpoint_state_seeds():
    return [b'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "/x/ckpt-0"\nlast_preserved: 1.5\n']


def _checkpoint(folder, data):
    from tfodhelper.checkpoints import whole

    for name, content in _checkpoint_files().items():
        write(folder, name, data if name.endswith(".index") else content)
    whole.find_whole(folder)


@functools.cache
def _checkpoint_files():
    """{name: content} of a small checkpoint of TensorFlow's."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        variables = {f"v{number}": tf.Variable(tf.ones([number + 1, 3])) for number in range(40)}
        tf.train.Checkpoint(**variables).save(f"{folder}/ckpt")
        return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def _checkpoint_seeds():
    return [content for name, content in _checkpoint_files().items() if name.endswith(".index")]


def _graph(folder, data):
    from tfodhelper.prediction import model_safety

    write(folder, "saved_model.pb", data)
    try:
        model_safety.check(folder)
    except OSError as error:  # as `load` does
        raise errors.PredictionError(str(error)) from error


@functools.cache
def _graph_seeds():
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.table = tf.Variable([1.0, 2.0])
        module.f = tf.function(lambda x: x * module.table, input_signature=[tf.TensorSpec([2])])
        tf.saved_model.save(module, folder, signatures={"serving_default": module.f})
        return [pathlib.Path(folder, "saved_model.pb").read_bytes()]


def _tflite_file(folder, data):
    from tfodhelper.tflite import model_file

    for name in ("TFLITE_METADATA", "x"):
        model_file.find_metadata(data, name)


def _tflite_file_seeds():
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    builder = flatbuffers.Builder(0)
    model = schema.ModelT()
    model.buffers = [schema.BufferT() for _ in range(3)]
    model.buffers[1].data, model.buffers[2].data = list(b"x"), list(b"some bytes")
    model.metadata = [schema.MetadataT() for _ in range(2)]
    for number, name in enumerate(("x", "TFLITE_METADATA")):
        model.metadata[number].name, model.metadata[number].buffer = name, number + 1
    model.description, model.version = "a file", 3
    builder.Finish(model.Pack(builder), b"TFL3")
    return [bytes(builder.Output())]


def _tflite_metadata(folder, data):
    metadata.read_normalization(data)
    metadata.read_labels(write(folder, "a.tflite", data))


def _tflite_seeds():
    plain = metadata.make_metadata("name", "text", (300, 300), (127.5,) * 3, (127.5,) * 3, True)
    return [plain, metadata.append_labels(plain, ["cat", "dog"])]


def _tflite_interface(folder, data):
    from tfodhelper.tflite import interface

    try:
        interface.from_json(data.decode("utf-8", "replace")).resizer  # noqa: B018 - parses a message
    except (ValueError, TypeError, KeyError, errors.TfodhelperError):
        return


def _tflite_interface_seeds():
    return [
        json.dumps(
            {
                "version": 1,
                "image_resizer": "fixed_shape_resizer { height: 8 width: 8 }",
                "mean": [1, 2, 3],
                "std": [1, 1, 1],
                "class_names": {"1": "cat"},
                "suppression": None,
                "num_background_columns": 0,
            }
        ).encode()
    ]


TARGETS = (
    Target("pipeline.config", _pipeline, _pipeline_seeds, TEXT),
    Target("--set", _overrides, _override_seeds, TEXT),
    Target(
        "archives", _archive, _archive_seeds, (m.in_gzip((*(m.change_tar,) * 8, *m.BYTES)), m.flip_bits, m.replace_all)
    ),
    Target("checkpoint state", _checkpoint_state, _checkpoint_state_seeds, TEXT),
    Target("checkpoint", _checkpoint, _checkpoint_seeds, m.BYTES, ("tensorflow",)),
    Target("graph of a SavedModel", _graph, _graph_seeds, m.BYTES, ("tensorflow",)),
    Target("tflite file", _tflite_file, _tflite_file_seeds, m.BYTES, ("tensorflow",)),
    Target("tflite metadata", _tflite_metadata, _tflite_seeds, (*m.BYTES, m.change_zip, m.change_zip)),
    Target("tflite interface", _tflite_interface, _tflite_interface_seeds, JSON, ("tensorflow",)),
)
