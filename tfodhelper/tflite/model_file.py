"""The content of a .tflite file, a flatbuffer: taken apart, changed and put together again.

The converter chooses the order of outputs itself and knows only part of what can be in a file; what it leaves to do is
done here. The schema is TensorFlow's (tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

import struct

import numpy as np
from flatbuffers import flexbuffers
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from tfodhelper import errors

SIGNATURE = "serving_default"
SUFFIX = ".tflite"

_IDENTIFIER = b"TFL3"  # bytes 4 to 7 of every file
_NO_TENSOR = -1  # index of an input that an operation leaves out
_DAMAGED = (AttributeError, IndexError, TypeError, ValueError, struct.error)  # what reading past the end raises


def is_model(data):
    """Whether bytes begin like a .tflite file."""
    return data[4:8] == _IDENTIFIER


def parse(data):
    """Takes a file apart.

    Args:
      data: bytes that `tf.lite.TFLiteConverter` made.

    Returns:
      ModelT of the schema, which the other functions change.
    """
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(data))


def serialize(model):
    """The bytes of a ModelT."""
    return flatbuffer_utils.convert_object_to_bytearray(model)


def append(model, tail):
    """Appends the operations of another model; its inputs are the outputs of the same name.

    Args:
      model: ModelT with a signature; gets the outputs of `tail` in addition to its own that `tail` does not take.
      tail: ModelT with a signature.

    Raises:
      KeyError: the model has no output with the name of an input of `tail`.
    """
    graph, added = model.subgraphs[0], tail.subgraphs[0]
    outputs = _tensors_of(model.signatureDefs[0].outputs)
    taken = _tensors_of(tail.signatureDefs[0].inputs)
    joints = {tensor: outputs.pop(name) for name, tensor in taken.items()}
    indices = {_NO_TENSOR: _NO_TENSOR} | joints
    for number, tensor in enumerate(added.tensors):
        if number in joints:
            continue
        if tensor.buffer:  # 0 is the buffer of tensors without a constant value
            model.buffers.append(tail.buffers[tensor.buffer])
            tensor.buffer = len(model.buffers) - 1
        indices[number] = len(graph.tensors)
        graph.tensors.append(tensor)
    for operation in added.operators:
        operation.opcodeIndex += len(model.operatorCodes)
        operation.inputs = [indices[number] for number in operation.inputs]
        operation.outputs = [indices[number] for number in operation.outputs]
    model.operatorCodes += tail.operatorCodes
    graph.operators += added.operators
    new = {name: indices[tensor] for name, tensor in _tensors_of(tail.signatureDefs[0].outputs).items()}
    _set_outputs(model, new | outputs)


def arrange(model, outputs):
    """Brings the outputs into an order and names them.

    Args:
      model: ModelT with a signature.
      outputs: [(name in the signature, name of the tensor, future name in the signature)], in the order that programs
        see that take outputs by number.
    """
    tensors = _tensors_of(model.signatureDefs[0].outputs)
    for name, tensor_name, _ in outputs:
        model.subgraphs[0].tensors[tensors[name]].name = tensor_name.encode()
    _set_outputs(model, {future: tensors[name] for name, _, future in outputs})


def _tensors_of(maps):
    """{name in a signature: index of the tensor}."""
    return {entry.name.decode(): entry.tensorIndex for entry in maps}


def _set_outputs(model, outputs):
    """Makes {name in the signature: index of the tensor} the outputs, in this order."""
    maps = []
    for name, tensor in outputs.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), tensor
        maps.append(entry)
    model.signatureDefs[0].outputs = maps
    model.subgraphs[0].outputs = list(outputs.values())


def options_of(model, code):
    """The options of the custom operation with a code, a dict; None if the model has no such operation."""
    operation = _find_custom(model, code)
    return None if operation is None else flexbuffers.Loads(bytes(operation.customOptions))


def set_options(model, code, **more):
    """Sets further options of the custom operation with a code; the converter passes on only those that it knows."""
    operation = _find_custom(model, code)
    options = flexbuffers.Loads(bytes(operation.customOptions)) | more
    operation.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)


def _find_custom(model, code):
    numbers = [number for number, known in enumerate(model.operatorCodes) if known.customCode == code.encode()]
    operations = (operation for operation in model.subgraphs[0].operators if operation.opcodeIndex in numbers)
    return next(operations, None)


def add_metadata(model, name, content):
    """Adds named bytes that runtimes ignore."""
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or ()), entry]


def find_metadata(data, name):
    """The bytes that `add_metadata`, or another program, has added under a name; None if there are none.

    Args:
      data: content of the file.
      name: text.

    Raises:
      PredictionError: the file is damaged.
    """
    try:
        model = schema.Model.GetRootAs(data)
        for number in range(model.MetadataLength()):
            entry = model.Metadata(number)
            if entry.Name() == name.encode():
                return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    except _DAMAGED as error:
        raise errors.PredictionError(f"the metadata of the TFLite file is damaged: {error}") from error
    return None
