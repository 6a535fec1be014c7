"""The messages of pipeline.config and label_map.pbtxt, in a descriptor pool of their own.

The schema is in the .proto files of this folder; `scripts/compile_protos.py` compiles them into `schema.binpb`,
which is all that is read at run time: neither protoc nor generated Python code is needed, so any protobuf runtime since
4.21 serves. The package name is the OD API's (object_detection.protos); because the pool is not protobuf's default
pool, an installed `object_detection` does not get in the way, nor do we in its.

The messages of TensorFlow Serving that a warm-up file needs are in `serving.proto`, in a pool of their own as well.
"""

import functools
import importlib.resources

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "object_detection.protos"
DESCRIPTOR_SET = "schema.binpb"
SERVING_PACKAGE = "tensorflow.serving"
SERVING_SET = "serving.binpb"


@functools.cache
def pool(name=DESCRIPTOR_SET):
    """The descriptor pool that holds what a compiled file contains and nothing else: the whole schema by default."""
    data = importlib.resources.files(__name__).joinpath(name).read_bytes()
    own_pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        own_pool.AddSerializedFile(file.SerializeToString())
    return own_pool


@functools.cache
def message_names():
    """Full names of all top-level messages without the package, sorted."""
    data = importlib.resources.files(__name__).joinpath(DESCRIPTOR_SET).read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(data).file
    return tuple(sorted(message_type.name for file in files for message_type in file.message_type))


@functools.cache
def message(name):
    """Returns the class of a message.

    Args:
      name: as in the .proto files, for instance "TrainEvalPipelineConfig", "StringIntLabelMap" or "Ssd.MaskHead".

    Raises:
      KeyError: when the schema has no such message.
    """
    return _class_of(PACKAGE, name, DESCRIPTOR_SET)


@functools.cache
def serving_message(name):
    """Returns the class of a message of TensorFlow Serving, for instance "PredictionLog".

    Raises:
      KeyError: when serving.proto has no such message.
    """
    return _class_of(SERVING_PACKAGE, name, SERVING_SET)


def _class_of(package, name, compiled):
    descriptor = pool(compiled).FindMessageTypeByName(f"{package}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return _factory(compiled).GetPrototype(descriptor)  # protobuf 4.21


@functools.cache
def _factory(compiled):
    return message_factory.MessageFactory(pool(compiled))
