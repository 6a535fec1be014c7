"""A detector as a customer calls it: images in, detections out, in the Object Detection API's words.

`serving_default` has the names, dtypes and shapes that programs written for the Object Detection API's exports expect:
one input `input_tensor`, and float32 outputs with the keys of `fields.Detections`, classes counted from 1 as in the
label map; its graph keeps to operations that converters and servers of such exports know.

Two more signatures are for `prediction`, which uses them where they are there: `serving_prepare` makes a model input of
one image of any size, so that this can be done in threads, and `serving_prepared` runs a batch of such inputs. It takes
the least score that is asked for, searches less for it, and answers with the same detections above it, and with
`features` of the images.
"""

import tensorflow as tf

from tfodhelper import errors, fields
from tfodhelper.fields import Prepared

ANY = None  # batch size: as many as the caller gives

# Batch size of each input type when none is asked for: those that the Object Detection API's exporter has.
INPUT_TYPES = {
    "image_tensor": 1,
    "float_image_tensor": ANY,
    "encoded_image_string_tensor": ANY,
    "tf_example": ANY,
}

SERVING_DEFAULT = "serving_default"
SERVING_PREPARE, SERVING_PREPARED = "serving_prepare", "serving_prepared"
INPUT_TENSOR = "input_tensor"

_RAW = (fields.Detections.RAW_BOXES, fields.Detections.RAW_SCORES)
_REQUIRED = (fields.Detections.BOXES, fields.Detections.SCORES, fields.Detections.CLASSES, fields.Detections.NUM)


class ServingModule(tf.Module):
    """What `tf.saved_model.save` writes.

    Holds the detector's variables and traced functions, and not the detector itself: Keras would otherwise trace every
    layer once more into the SavedModel.

    Args:
      detector: follows the contract of `models.detector.Detector`, weights restored.
      input_type: a key of `INPUT_TYPES`.
      batch_size: number of images in a call, or `ANY`.

    Raises:
      ExportError: on an unknown input type, or a detector without detections.
    """

    def __init__(self, detector, input_type, batch_size):
        super().__init__(name="detector")
        if input_type not in INPUT_TYPES:
            raise errors.ExportError(
                f"there is no input type {input_type!r}", expected="one of " + ", ".join(INPUT_TYPES)
            )
        self._input_type, self._batch_size = input_type, batch_size
        self.__call__ = _make_serving_function(detector, input_type, batch_size)
        self._serving = self.__call__.get_concrete_function()
        _check_outputs(self._serving.structured_outputs)
        self.prepare = _make_prepare_function(detector)
        self.detect_prepared = _make_prepared_function(detector, self.prepare.get_concrete_function())
        self.weights = list(detector.variables)  # after tracing: by now every variable exists

    @property
    def signatures(self):
        """Name of the signature -> concrete function, as `tf.saved_model.save` takes them."""
        return {
            SERVING_DEFAULT: self._serving,
            SERVING_PREPARE: self.prepare.get_concrete_function(),
            SERVING_PREPARED: self.detect_prepared.get_concrete_function(),
        }

    def make_inputs(self, image):
        """Makes an input of `serving_default` of one image, repeated where the batch size is fixed.

        Args:
          image: uint8 [1, height, width, 3].

        Returns:
          A tensor of the signature's dtype and shape.
        """
        if self._input_type == "image_tensor":
            element = tf.constant(image)
        elif self._input_type == "float_image_tensor":
            element = tf.cast(image, tf.float32)
        else:
            element = tf.io.encode_png(image[0])[tf.newaxis]
            if self._input_type == "tf_example":
                element = tf.constant([make_example(element[0].numpy())])
        return tf.repeat(element, self._batch_size or 1, axis=0)


def _make_serving_function(detector, input_type, batch_size):
    """A `tf.function` with the signature that was asked for."""
    if input_type in ("image_tensor", "float_image_tensor"):
        dtype = tf.uint8 if input_type == "image_tensor" else tf.float32
        spec = tf.TensorSpec([batch_size, None, None, 3], dtype, name=INPUT_TENSOR)

        def serve(input_tensor):
            return _detect(detector, *detector.preprocess(tf.cast(input_tensor, tf.float32)))

    else:
        to_image = decode_image if input_type == "encoded_image_string_tensor" else decode_example
        spec = tf.TensorSpec([batch_size], tf.string, name=INPUT_TENSOR)

        def serve(input_tensor):
            return _detect(detector, *_prepare_each(detector, input_tensor, to_image))

    return tf.function(serve, input_signature=[spec])


def _make_prepare_function(detector):
    """A `tf.function` from one image to its model input and true shape.

    Resizes before it scales, so that only the pixels that are needed are read; see `SSDDetector.preprocess`.
    """

    def prepare(input_tensor):
        resized, true_image_shapes = detector.resizer(input_tensor[tf.newaxis])
        inputs = detector.normalize(resized, true_image_shapes)
        return {Prepared.INPUTS: inputs[0], Prepared.TRUE_IMAGE_SHAPE: true_image_shapes[0]}

    return tf.function(prepare, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, name=INPUT_TENSOR)])


def _make_prepared_function(detector, prepare):
    """A `tf.function` from a batch of model inputs, as `prepare` makes them, to detections and features."""
    outputs = prepare.structured_outputs

    def serve(inputs, true_image_shapes, score_threshold):
        detections = _detect(detector, inputs, true_image_shapes, score_threshold)
        return {key: value for key, value in detections.items() if key not in _RAW}

    return tf.function(
        serve,
        input_signature=[
            tf.TensorSpec([None, *outputs[Prepared.INPUTS].shape], tf.float32, name=Prepared.INPUTS),
            tf.TensorSpec([None, 3], tf.int32, name=Prepared.TRUE_IMAGE_SHAPES),
            tf.TensorSpec([], tf.float32, name=Prepared.SCORE_THRESHOLD),
        ],
    )


def make_example(encoded):
    """Serializes a tf.train.Example that holds an image and nothing else.

    Args:
      encoded: bytes of a JPEG or PNG file.
    """
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature={fields.Record.ENCODED: feature})).SerializeToString()


def decode_image(encoded):
    """Decodes JPEG, PNG, BMP or the first frame of a GIF.

    The accurate transform gives the pixels that Pillow and OpenCV read, to the bit, so that a file sent encoded and the
    same file sent as pixels have the same detections. TensorFlow's default, the fast one, differs by up to 20 levels
    and is not measurably faster.

    Args:
      encoded: string scalar.

    Returns:
      uint8 [height, width, 3], the stored frame: an EXIF orientation is not followed.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def decode_example(serialized):
    """Decodes the image of a serialized tf.train.Example.

    Args:
      serialized: string scalar.

    Returns:
      uint8 [height, width, 3].
    """
    features = {fields.Record.ENCODED: tf.io.FixedLenFeature([], tf.string)}
    return decode_image(tf.io.parse_single_example(serialized, features)[fields.Record.ENCODED])


def _prepare_each(detector, elements, to_image):
    """Makes model inputs of elements whose images may differ in size.

    Args:
      detector: preprocesses.
      elements: tensor or tuple of tensors with a common first dimension.
      to_image: one element -> uint8 [height, width, 3].

    Returns:
      float32 [B, h, w, 3] model inputs and int32 [B, 3] true shapes.
    """

    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape[1:], tensor.dtype), elements)
    signature = _trace_prepare(detector, to_image, specs)
    prepare = _make_prepare(detector, to_image)
    return tf.map_fn(prepare, elements, fn_output_signature=signature, parallel_iterations=32)


def _make_prepare(detector, to_image):
    def prepare(element):
        image = tf.cast(to_image(element), tf.float32)
        inputs, true_shapes = detector.preprocess(image[tf.newaxis])
        return inputs[0], true_shapes[0]

    return prepare


def _trace_prepare(detector, to_image, specs):
    """Specs of a model input and its true shape, with all that is known of their shapes beforehand."""
    outputs = tf.function(_make_prepare(detector, to_image)).get_concrete_function(specs).structured_outputs
    return tuple(tf.TensorSpec(output.shape, output.dtype) for output in outputs)


def _detect(detector, inputs, true_image_shapes, score_threshold=None):
    """Model inputs -> float32 detections, classes counted from 1; with features where a threshold is given."""
    raw = detector.predict_raw(inputs, true_image_shapes, training=False)
    if score_threshold is None:
        detections, features = detector.postprocess(raw, true_image_shapes), {}
    else:
        detections = detector.postprocess(raw, true_image_shapes, score_threshold=score_threshold)
        features = _pool_features(raw)
    detections = {key: tf.cast(value, tf.float32) for key, value in {**detections, **features}.items()}
    detections[fields.Detections.CLASSES] += 1.0
    return detections


def _pool_features(raw):
    """{key of `fields.Prepared`: [B, D]}, means over the places of the deepest feature map; empty without any map.

    The deepest map has the most channels, and the fewest places among those.
    """
    maps = raw.get(fields.Predictions.FEATURE_MAPS)
    if not maps:
        return {}
    most = max(one.shape[-1] for one in maps)
    deepest = [one for one in maps if one.shape[-1] == most][-1]
    return {Prepared.FEATURES: tf.reduce_mean(deepest, axis=[1, 2])}


def _check_outputs(outputs):
    missing = [key for key in _REQUIRED if key not in outputs]
    if missing:
        raise errors.ExportError(
            "the detector's postprocess does not return " + ", ".join(missing), received=", ".join(sorted(outputs))
        )
