"""The signatures of a SavedModel as functions of arrays that run in the calling thread.

For processes that predict many images on processors: each call then stays on one core. If the model is split after its
backbone, a call takes several images.
"""

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework import convert_to_constants

from tfodhelper import fields, jpeg_dct

IMAGE_SIZE = "image_size"  # int32 [2], height and width; an output of `make_prepare`

_EXTRACT_BYTES = 1 << 22  # feature maps of all images in a call; more would leave the caches before they are read again


def make_prepare(prepare, dct):
    """An `InThread` from the bytes of a JPEG to a model input, its true shape, and the size of the image.

    Args:
      prepare: the function that makes a model input of an image.
      dct: see `decode_jpeg`.
    """

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def prepare_jpeg(encoded):
        image = decode_jpeg(encoded, dct)
        return {**prepare(input_tensor=image), IMAGE_SIZE: tf.shape(image)[:2]}

    return InThread(prepare_jpeg.get_concrete_function())


def make_detect(prepare, extract, conclude, num_images):
    """An `InThread` from model inputs, true shapes and a score threshold to what `conclude` returns.

    The backbone sees the images one after the other: its values are still in the core's caches when they are read
    again. The rest of the model sees all images at once.

    Args:
      prepare: the function whose outputs are the model inputs.
      extract: model inputs -> feature maps; None: `conclude` is the whole model.
      conclude: the rest of the model.
      num_images: per call.
    """
    keys = fields.Prepared.INPUTS, fields.Prepared.TRUE_IMAGE_SHAPE
    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in (prepare.structured_outputs[key] for key in keys)]

    @tf.function(input_signature=[spec for spec in specs for _ in range(num_images)] + [tf.TensorSpec([], tf.float32)])
    def detect(*arguments):
        *images, score_threshold = arguments
        extracted, before = [], []
        for image in images[:num_images]:
            with tf.control_dependencies(before):
                inputs = {fields.Prepared.INPUTS: tf.identity(image)[tf.newaxis]}
            extracted.append(extract(**inputs) if extract else inputs)
            before = [tf.identity(tensor) for tensor in extracted[-1].values()]
        together = {key: tf.concat([outputs[key] for outputs in extracted], axis=0) for key in extracted[0]}
        together[fields.Prepared.TRUE_IMAGE_SHAPES] = tf.stack(images[num_images:])
        together[fields.Prepared.SCORE_THRESHOLD] = score_threshold
        return conclude(**together)

    return InThread(detect.get_concrete_function())


def count_together(extract, most):
    """Images per call in one thread: as many as have feature maps that fit into the caches, at most `most`.

    Args:
      extract: as in `make_detect`.
      most: a number.
    """
    if extract is None:
        return 1
    sizes = [spec.shape[1:].num_elements() * spec.dtype.size for spec in extract.structured_outputs.values()]
    return min(max(_EXTRACT_BYTES // sum(sizes), 1), most)


def decode_jpeg(encoded, dct):
    """Decodes the bytes of a JPEG to uint8 [height, width, 3]; `dct` is a key of `jpeg_dct.CHOICES`."""
    return tf.io.decode_jpeg(encoded, channels=3, dct_method=jpeg_dct.method_of(dct))


class InThread:
    """A concrete function as a function of arrays, all of whose operations start in the calling thread.

    Variables become constants: batch norm is then folded into the kernels, and kernels are laid out for the processor
    once for all calls. Only a session can run in the calling thread. TensorFlow's functions run in another thread, may
    move each operation to yet another one, and so lose what is in the caches of the core.
    """

    def __init__(self, function):
        # No threads but the caller's. If TensorFlow has already started more, they help within an operation, unless
        # `tensorflow_setup.give_sessions_own_threads` was called first.
        threads = {"intra_op_parallelism_threads": 1, "inter_op_parallelism_threads": -1}
        num_own = len(function.inputs) - len(function.captured_inputs)
        fetched = {tensor.name: None for tensor in function.outputs}  # two outputs may be one tensor
        options = config_pb2.CallableOptions(feed=[tensor.name for tensor in function.inputs[:num_own]], fetch=fetched)
        frozen, graph = _freeze(function), tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(frozen, name="")
        session = tf.compat.v1.Session(graph=graph, config=tf.compat.v1.ConfigProto(**threads))
        # The result of the public `make_callable` spends 0.5 ms of each call on inspecting its inputs.
        self._run = session._make_callable_from_options(options)
        positions = dict(zip(fetched, range(len(fetched))))
        self._outputs = {
            key: positions[tensor.name] for key, tensor in zip(sorted(function.structured_outputs), function.outputs)
        }

    def __call__(self, *arrays):
        """Arrays in the order of the function's arguments -> {key of its outputs: array}."""
        outputs = self._run(*arrays)
        return {key: outputs[position] for key, position in self._outputs.items()}


def _freeze(function):
    """A concrete function's GraphDef with constants instead of variables and with inlined calls.

    `convert_variables_to_constants_v2` also makes a concrete function of the result, which takes twice as long.
    """
    data = convert_to_constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=True, aggressive_inlining=False
    )
    return convert_to_constants._replace_variables_by_constants(converter_data=data)[0]
