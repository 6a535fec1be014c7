"""What the layers of a detector compute: their names, and their outputs while it runs."""

import contextlib
import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper import errors, spelling

_MAP_RANK = 4  # [B, h, w, c]


@dataclasses.dataclass(frozen=True)
class NamedLayer:
    """A layer and where it is in the detector.

    Attributes:
      name: attributes on the way to it, joined by points, such as "backbone.blocks.3".
      layer: the Keras layer.
    """

    name: str
    layer: tf_keras.layers.Layer


def find_layers(detector):
    """All layers of a detector.

    Args:
      detector: a `Detector`.

    Returns:
      List of `NamedLayer`s, each layer once, outer ones before those inside.
    """
    return list(_walk(detector, "", {id(detector)}))


def _walk(module, prefix, seen):
    children = list(_children_of(module))
    for name, child in children:
        if id(child) in seen:
            continue
        seen.add(id(child))
        if isinstance(child, tf_keras.layers.Layer):
            yield NamedLayer(prefix + name, child)
        yield from _walk(child, f"{prefix}{name}.", seen)


def _children_of(module):
    """(name, module) of the modules in the attributes of another one, public attributes first.

    Keras keeps the layers of a list in a private attribute, too, which would give them names without a meaning.
    """
    attributes = [item for item in vars(module).items() if not item[0].startswith("_self_")]
    for name, value in sorted(attributes, key=lambda item: item[0].startswith("_")):
        yield from _modules_in(name.lstrip("_"), value)


def _modules_in(name, value):
    if isinstance(value, tf.Module):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _modules_in(f"{name}.{index}", part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _modules_in(f"{name}.{key}", part)


@contextlib.contextmanager
def recorded(named_layers):
    """Records what layers give while the block runs.

    Args:
      named_layers: `NamedLayer`s.

    Yields:
      {name: list of float [B, h, w, c]}, filled in the order of the calls. A layer that runs on several maps, or gives
      several, has an entry for each; one that gives no maps has none.
    """
    outputs = {}
    with contextlib.ExitStack() as stack:
        for named in named_layers:
            stack.enter_context(_listening(named, outputs))
        yield outputs


@contextlib.contextmanager
def _listening(named, outputs):
    call = named.layer.call

    def listen(*args, **kwargs):
        result = call(*args, **kwargs)
        maps = [tensor for tensor in tf.nest.flatten(result) if _is_map(tensor)]
        if maps:
            outputs.setdefault(named.name, []).extend(maps)
        return result

    named.layer.call = listen
    try:
        yield
    finally:
        del named.layer.call  # that of its class is found again


def _is_map(tensor):
    return tf.is_tensor(tensor) and tensor.shape.rank == _MAP_RANK and tensor.dtype.is_floating


def name_maps(outputs):
    """{name of a map: map}: that of its layer, with ":0", ":1" ... where a layer has several."""
    named = {}
    for name, maps in outputs.items():
        for index, each in enumerate(maps):
            named[name if len(maps) == 1 else f"{name}:{index}"] = each
    return named


def choose(named_layers, name):
    """The layer of a map, as a list of one.

    Args:
      named_layers: `NamedLayer`s.
      name: of a layer or of one of its maps, as in `name_maps`.

    Raises:
      UsageError: there is no such layer.
    """
    base = name.partition(":")[0]
    chosen = [named for named in named_layers if named.name == base]
    if not chosen:
        near = spelling.nearest(base, [named.name for named in named_layers])
        raise errors.UsageError(
            f"--layer={name}: the model has no such layer",
            fix=(f"did you mean {' or '.join(near)}? " if near else "") + "--list_layers prints all of them",
        )
    return chosen


def select(maps, name):
    """The maps of a name of a layer, or the one of a name of a map.

    Args:
      maps: {name: map}, from `name_maps`.
      name: of a layer, or of one of its maps.

    Raises:
      UsageError: the layer gives no such map.
    """
    chosen = {each: maps[each] for each in maps if name in (each, each.partition(":")[0])}
    if not chosen:
        raise errors.UsageError(
            f"--layer={name}: the layer gives no such map", expected=", ".join(maps) or "a layer that gives maps"
        )
    return chosen
