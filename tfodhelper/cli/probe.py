"""What TensorFlow says about this machine, as one line of JSON; doctor runs it in a process of its own.

An installation of TensorFlow that does not fit the machine may end its process. In a process of its own that is an
answer too.
"""

import importlib
import json
import sys

from tfodhelper import tensorflow_setup

_MODULES = ("tensorflow", "tf_keras", "official.core.base_task", "orbit", "pycocotools.mask")


def probe():
    """Imports what training needs, and asks for the devices.

    Returns:
      A dict: "errors" {module: message}; where TensorFlow could be imported also "keras" (the package behind
      tf.keras), "devices" ([type, name, description] each) and "cuda" (whether this TensorFlow is built with it).
    """
    tensorflow_setup.quiet_tensorflow()
    probed = {"errors": {}}
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:
            probed["errors"][name] = f"{type(error).__name__}: {error}"
    if "tensorflow" not in probed["errors"]:
        probed.update(_ask_tensorflow())
    return probed


def _ask_tensorflow():
    import tensorflow as tf

    devices = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        devices.append([device.device_type, device.name, details.get("device_name", "")])
    return {
        "keras": tf.keras.Model.__module__.split(".")[0],
        "devices": devices,
        "cuda": bool(tf.test.is_built_with_cuda()),
    }


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(probe()) + "\n")
