"""A request that TensorFlow Serving sends to a model before it takes others.

The first call of a signature takes seconds, in which TensorFlow allocates memory and optimizes the graph. When
TensorFlow Serving loads a SavedModel, it runs the requests in `assets.extra/tf_serving_warmup_requests`, so that no
client has to wait: a TFRecord file of PredictionLog messages (https://www.tensorflow.org/tfx/serving/saved_model_warmup).
"""

import numpy as np
import tensorflow as tf

from tfodhelper import protos
from tfodhelper.exporting import serving

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"
SIZE = (240, 320)  # height and width of the image


def write_request(module, saved_model_dir):
    """Writes a request with an image of noise to the default signature.

    Args:
      module: the `serving.ServingModule` that was saved; the request has its input type and batch size.
      saved_model_dir: pathlib.Path of the SavedModel.

    Returns:
      pathlib.Path of the file.
    """
    image = np.random.RandomState(0).randint(0, 256, [1, *SIZE, 3], np.uint8)
    log = protos.serving_message("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.signature_name = serving.SERVING_DEFAULT
    request.inputs[serving.INPUT_TENSOR] = tf.make_tensor_proto(module.make_inputs(image)).SerializeToString()
    path = saved_model_dir / FOLDER / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString(deterministic=True))
    return path
