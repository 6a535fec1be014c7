"""Averaged weights that a training keeps in addition to the plain ones.

With `use_moving_average` a training is evaluated with the averages of its weights, so these are what is exported. They
are in the checkpoint as a slot `average` of the optimizer, under the key of the weight that they are the average of.
"""

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.checkpoints import keys

_SLOT = "/.OPTIMIZER_SLOT/"
_AVERAGE = f"/average{keys.SUFFIX}"


def restore_averages(detector, prefix):
    """Replaces a detector's weights by their averages, where the checkpoint has any.

    Args:
      detector: a `models.detector.Detector` whose plain weights are restored from the same checkpoint.
      prefix: of the checkpoint.

    Returns:
      number of weights that were replaced; 0 when the checkpoint holds no averages. Statistics of batch norm have none
      and stay.

    Raises:
      CheckpointError: when an average has another shape than its weight.
    """
    reader = tf.train.load_checkpoint(str(prefix))
    names = {}
    for name in reader.get_variable_to_shape_map():
        weight, slot, _ = name.partition(_SLOT)
        if slot and name.endswith(_AVERAGE):
            names[weight + keys.SUFFIX] = name
    count = 0
    for key, variable in detector.checkpoint_keys().items():
        if key in names:
            value = reader.get_tensor(names[key])
            if value.shape != tuple(variable.shape):
                raise errors.CheckpointError(
                    f"{prefix}: {names[key]}", expected=f"shape {list(variable.shape)}", received=list(value.shape)
                )
            variable.assign(value)
            count += 1
    return count
