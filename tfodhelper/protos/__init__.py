"""The messages of pipeline.config and label_map.pbtxt, in a descriptor pool of their own.

The schema is in the .proto files of this folder; `scripts/compile_protos.py` compiles them into `schema.binpb`,
which is all that is read at run time: neither protoc nor generated Python code is needed, so any protobuf runtime since
4.21 serves. The package name is the OD API's (object_detection.protos); because the pool is not protobuf's default
pool, an installed `object_detection` does not get in the way, nor do we in its.
"""

import functools
import importlib.resources

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "object_detection.protos"
DESCRIPTOR_SET = "schema.binpb"


@functools.cache
def pool():
    """The descriptor pool that holds the whole schema and nothing else."""
    data = importlib.resources.files(__name__).joinpath(DESCRIPTOR_SET).read_bytes()
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
    descriptor = pool().FindMessageTypeByName(f"{PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return _factory().GetPrototype(descriptor)  # protobuf 4.21


@functools.cache
def _factory():
    return message_factory.MessageFactory(pool())
