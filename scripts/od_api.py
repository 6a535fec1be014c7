"""Runs models of the Object Detection API from a checkout of it, for the benchmarks; of both generations.

The checkout's protos have to be compiled, and what it imports installed or in PYTHONPATH.
"""

import dataclasses
import importlib.abc
import importlib.machinery
import pathlib
import sys
import types

import numpy as np


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images with their ground truth.

    Attributes:
      images: float32 [B, height, width, 3], 0 to 255.
      boxes: float32 [B, M, 4], normalized.
      classes: int32 [B, M], from 0.
      masks: uint8 [B, M, height, width], or None.
    """

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None


def find_in(research):
    """Lets the modules of the API be imported; `research` is the folder of this name in a checkout."""
    sys.path[:0] = [str(research), str(pathlib.Path(research) / "slim")]
    _fill_gaps()


def make_jobs(research, config, batch, checkpoint):
    """Functions that run a step and an evaluation of one image and return the loss.

    Args:
      research: see `find_in`.
      config: a `TrainEvalPipelineConfig` message of this project.
      batch: a `Batch`.
      checkpoint: prefix of a checkpoint with the model's fresh variables, which is written.
    """
    import tensorflow as tf
    from google.protobuf import text_format

    from tfodhelper import families

    find_in(research)
    is_first_generation = not families.architecture_of(config.model).feature_extractor.type.endswith("_keras")
    if is_first_generation:
        tf.compat.v1.disable_v2_behavior()
    from object_detection.builders import model_builder
    from object_detection.protos import pipeline_pb2

    message = text_format.Parse(text_format.MessageToString(config), pipeline_pb2.TrainEvalPipelineConfig()).model
    make = _make_graphs if is_first_generation else _make_functions
    return make(lambda is_training: model_builder.build(message, is_training), batch, checkpoint)


def _make_functions(build, batch, checkpoint):
    """Of the second generation: one model, a function for a step and one for an evaluation."""
    import tensorflow as tf

    model = build(True)
    inputs, true_shapes = model.preprocess(tf.constant(batch.images))

    def predict(count, training):
        model._is_training = training  # as its own loops of training and evaluation set it
        tf.keras.backend.set_learning_phase(training)
        _provide(model, batch, count)
        predictions = model.predict(inputs[:count], true_shapes[:count])
        return predictions, tf.add_n(list(model.loss(predictions, true_shapes[:count]).values()))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            _, loss = predict(len(batch.images), training=True)
        return loss, _add_up(tape.gradient(loss, model.trainable_variables))

    @tf.function
    def evaluate():
        predictions, loss = predict(1, training=False)
        return loss, _add_up(model.postprocess(predictions, true_shapes[:1]).values())

    evaluate()  # makes the variables
    tf.train.Checkpoint(model=model).write(checkpoint)
    return lambda: step()[0], lambda: evaluate()[0]


def _make_graphs(build, batch, checkpoint):
    """Of the first generation: graphs with sessions, as its loop ran them."""
    import tensorflow.compat.v1 as tf

    def make(count, training):
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            model = build(training)
            inputs, true_shapes = model.preprocess(tf.constant(batch.images[:count]))
            _provide(model, batch, count)
            predictions = model.predict(inputs, true_shapes)
            loss = tf.add_n(list(model.loss(predictions, true_shapes).values()))
            if training:
                results = tf.gradients(loss, tf.trainable_variables())
            else:
                results = model.postprocess(predictions, true_shapes).values()
            # All are fetched: what nothing but the order of operations needs would not be computed.
            fetched = [loss, *_add_up(results)]
            saver, session = tf.train.Saver(), tf.Session()
            if training:
                session.run(tf.global_variables_initializer())
                saver.save(session, checkpoint, write_meta_graph=False)
            else:
                saver.restore(session, checkpoint)
            return lambda: session.run(fetched)[0]

    return make(len(batch.images), True), make(1, False)


def _provide(model, batch, count):
    """Gives a model the ground truth of the first images."""
    import tensorflow as tf

    masks = None
    if batch.masks is not None:
        masks = [tf.constant(each, tf.float32) for each in batch.masks[:count]]
    model.provide_groundtruth(
        [tf.constant(each) for each in batch.boxes[:count]],
        [tf.one_hot(each, model.num_classes) for each in batch.classes[:count]],
        groundtruth_masks_list=masks,
        groundtruth_weights_list=[tf.ones(each.shape) for each in batch.classes[:count]],
    )


def _add_up(tensors):
    """A number of each tensor, so that all of them are computed."""
    import tensorflow as tf

    return [tf.reduce_sum(tensor) for tensor in tensors if tensor is not None]


def _fill_gaps():
    """Gives TensorFlow and numpy names that newer versions lack and the API, or TF-Slim, looks for."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_ops

    if not hasattr(tf.compat.v1, "estimator"):  # is imported, but not used in training
        sys.modules["tensorflow.compat.v1.estimator"] = tf.compat.v1.estimator = types.ModuleType("estimator")
    for name in ("", ".base", ".convolutional", ".core", ".normalization", ".pooling"):
        module = importlib.import_module(f"tf_keras.src.legacy_tf_layers{name}")
        sys.modules.setdefault(f"tf_keras.legacy_tf_layers{name}", module)
    sys.meta_path.append(_EmptyContrib())
    for kind in (int, float, bool):
        setattr(np, kind.__name__, kind)
    for name in ("case", "cond"):
        if not hasattr(control_flow_ops, name):
            setattr(control_flow_ops, name, getattr(tf.compat.v1, name))


class _EmptyContrib(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Empty modules below tensorflow.contrib, which the first generation imports and does not use for detectors."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[:2] == ["tensorflow", "contrib"]:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def exec_module(self, module):
        module.__getattr__ = lambda name: None
