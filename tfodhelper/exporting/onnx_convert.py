"""Converts the serving function of a detector to ONNX, with tf2onnx."""

import contextlib
import json
import logging

from tfodhelper import errors, tensorflow_setup

INSTALL = 'pip install -c constraints.txt ".[onnx]"'
OPSET = 18  # version of ONNX's operations: the newest one that tf2onnx 1.17 writes

_FORMER_MODE = b"tf_half_pixel_for_nn"


def convert(module, names):
    """Converts the signature `serving_default`: from images of any size to detections.

    Args:
      module: a `serving.ServingModule` that takes images.
      names: {id: name} of the classes, ids from 1; they are in the file's metadata, as JSON.

    Returns:
      onnx.ModelProto with the input and the outputs of the signature, under the same names.

    Raises:
      ExportError: tf2onnx is not installed, or the network has something that ONNX does not.
    """
    onnx, tf2onnx = _import_converter()
    with _explain_refusals(), tensorflow_setup.stderr_is_silent():
        model, _ = tf2onnx.convert.from_function(module.__call__, module.__call__.input_signature, opset=OPSET)
        _replace_former_mode(model, onnx.helper)
        onnx.checker.check_model(model)
    _name_sizes(model.graph.input[0])
    onnx.helper.set_model_props(model, {"names": json.dumps(names, ensure_ascii=False)})
    return model


def check_installed():
    """Checks that what converts and checks ONNX files is installed, before anything is built.

    Raises:
      ExportError: a package is missing.
    """
    _import_converter()
    import_runtime()


def import_runtime():
    """The module onnxruntime.

    Raises:
      ExportError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise errors.ExportError(
            f"ONNX Runtime, with which the file is checked, cannot be imported: {error}", fix=INSTALL
        ) from error
    return onnxruntime


def _import_converter():
    """The modules onnx and tf2onnx."""
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise errors.ExportError(
            f"tf2onnx, which converts to ONNX, cannot be imported: {error}", fix=INSTALL
        ) from error
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    return onnx, tf2onnx


def _replace_former_mode(model, helper):
    """Writes a kind of resizing as current versions of ONNX have it.

    tf2onnx gives the nearest neighbour of TensorFlow, floor((x + 0.5) / scale), the name that it had until opset 12. It
    is half_pixel, (x + 0.5) / scale - 0.5, rounded to the nearest with halves upwards.
    """
    for graph in _find_graphs(model.graph):
        for node in graph.node:
            modes = {attribute.name: attribute for attribute in node.attribute}
            mode = modes.get("coordinate_transformation_mode")
            if node.op_type == "Resize" and mode is not None and mode.s == _FORMER_MODE:
                mode.s = b"half_pixel"
                kept = [attribute for attribute in node.attribute if attribute.name != "nearest_mode"]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute("nearest_mode", "round_prefer_ceil")])


def _find_graphs(graph):
    """Yields a graph and those inside its loops and conditions."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _find_graphs(inner)


def _name_sizes(tensor):
    """Calls what varies "batch", "height" and "width"."""
    for dimension, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "height", "width")):
        if not dimension.HasField("dim_value") or dimension.dim_value <= 0:
            dimension.dim_param = name


@contextlib.contextmanager
def _explain_refusals():
    """tf2onnx and onnx have many kinds of errors, and all say the same: this model cannot be a file of that format."""
    try:
        yield
    except errors.TfodhelperError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise errors.ExportError(
            f"the network cannot be converted to ONNX: {reason}",
            fix="the SavedModel (--format=saved_model) can be used in any case",
        ) from error
