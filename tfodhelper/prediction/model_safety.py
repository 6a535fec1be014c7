"""Loads a SavedModel only if its graph computes on tensors and does nothing else.

A SavedModel is a program: TensorFlow has operations that read and write files, call Python, open connections or end the
process, and it runs some of them while it loads. The graph is therefore judged before TensorFlow loads it. Every
operation in it must be one of `pure_operations.PURE`, with two exceptions that each SavedModel may need:

* Operations that save and restore variables belong to the saver. Nothing that is run may reach one that writes, and one
  that restores reads the model's own variables.
* Operations that fill a table from a text file do so from an asset in the model's own folder.
"""

import pathlib
import textwrap

import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from tfodhelper import errors
from tfodhelper.prediction import graph_scopes
from tfodhelper.prediction.pure_operations import PURE

_WRITES = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})
_RESTORES = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
_READS_TABLE = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_INIT_OPS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"
_MOST_SHOWN = 8


def load(folder, trust_model=False):
    """Loads a SavedModel.

    Args:
      folder: the one with saved_model.pb or saved_model.pbtxt.
      trust_model: whether to load it whatever operations it has.

    Returns:
      What `tf.saved_model.load` returns.

    Raises:
      PredictionError: it cannot be loaded, or has operations that are not allowed.
    """
    try:
        if not trust_model:
            check(folder)
        return tf.saved_model.load(str(folder))
    except (OSError, ValueError, UnicodeDecodeError, tf.errors.OpError) as error:
        raise errors.PredictionError(f"{folder}: this SavedModel cannot be loaded: {error}") from error


def check(folder):
    """Judges the graph of a SavedModel without loading it.

    Args:
      folder: as in `load`.

    Raises:
      PredictionError: it has operations that are not allowed; they are listed.
      OSError: it cannot be read.
    """
    reasons = []
    for meta_graph in loader_impl.parse_saved_model(str(folder)).meta_graphs:
        reasons += _judge_assets(pathlib.Path(folder), meta_graph)
        reasons += _judge(meta_graph)
    reasons = list(dict.fromkeys(reasons))
    if reasons:
        shown = reasons[:_MOST_SHOWN]
        if len(reasons) > _MOST_SHOWN:
            shown.append(f"and {len(reasons) - _MOST_SHOWN} more")
        raise errors.PredictionError(
            f"{folder}: this SavedModel does more than compute: a SavedModel is a program, and this one could read or "
            "write files, run code or end the process as whoever uses it",
            expected="operations that compute on tensors",
            received="\n" + textwrap.indent("\n".join(shown), "    "),
            fix="do not use a model of unknown origin; if you trust whoever made this one, repeat the command with "
            "--trust_model (in Python: trust_model=True)",
        )


def _judge_assets(folder, meta_graph):
    """Assets must be files in the model's own folder; reasons against those that are not."""
    home = (folder / "assets").resolve()
    for asset in meta_graph.asset_file_def:
        path = (folder / "assets" / asset.filename).resolve()
        if not path.is_relative_to(home):
            yield f"asset {asset.filename!r}: a file outside of the model"


def _judge(meta_graph):
    """Reasons against a graph."""
    scopes = graph_scopes.Scopes(meta_graph.graph_def)
    for name in sorted(scopes.repeated):
        yield f"function {name}: there are several of this name"
    for scope, node in scopes.all_nodes():
        if not (node.op in PURE or node.op in scopes.functions or node.op in _WRITES | _RESTORES | _READS_TABLE):
            yield f"{node.op} ({_place(scope, node)})"
    if meta_graph.HasField("object_graph_def"):
        yield from _judge_objects(meta_graph, scopes)
    else:
        yield from _judge_session(meta_graph, scopes)


def _judge_objects(meta_graph, scopes):
    """Reasons against what the functions of an object graph can reach; the loader runs nothing else."""
    objects = meta_graph.object_graph_def
    run = scopes.reachable([], objects.concrete_functions)
    yield from _judge_saving(run, _WRITES | _RESTORES, "outside of the saver")
    yield from _judge_tables(scopes, _BoundAssets(run, objects))


def _judge_session(meta_graph, scopes):
    """Reasons against what signatures, initialization and the saver of a graph without objects can reach."""
    outputs = [info.name for signature in meta_graph.signature_def.values() for info in _tensors(signature.outputs)]
    of_signatures = scopes.reachable(outputs, [])
    yield from _judge_saving(of_signatures, _WRITES | _RESTORES | _READS_TABLE, "in a signature")
    first = scopes.reachable(_initialization(meta_graph), [])
    yield from _judge_saving(first, _WRITES | _RESTORES, "in the initialization")
    yield from _judge_tables(
        scopes, _FedTensors(first, [asset.tensor_info.name for asset in meta_graph.asset_file_def])
    )
    saver = meta_graph.saver_def
    restored = scopes.reachable([saver.restore_op_name] if saver.restore_op_name else [], [])
    yield from _judge_saving(restored, _WRITES | _READS_TABLE, "where variables are restored")
    of_file = _FedTensors(restored, [saver.filename_tensor_name])
    for scope, node in restored:
        if node.op in _RESTORES and not scopes.comes_from(scope, node.input[0], of_file):
            yield f"{node.op} ({_place(scope, node)}), of a file that is not the model's"


def _judge_saving(run, operations, where):
    """Reasons against operations that belong elsewhere."""
    for scope, node in run:
        if node.op in operations:
            yield f"{node.op} ({_place(scope, node)}), {where}"


def _judge_tables(scopes, assets):
    """Reasons against tables that are filled from something else than an asset; the second input names the file."""
    for scope, node in assets.run:
        if node.op in _READS_TABLE and not (len(node.input) > 1 and scopes.comes_from(scope, node.input[1], assets)):
            yield f"{node.op} ({_place(scope, node)}), of a file that is not an asset"


def _tensors(infos):
    """`TensorInfo`s with a name, also those that sparse and composite tensors consist of."""
    for info in infos.values():
        kind = info.WhichOneof("encoding")
        if kind == "name":
            yield info
        elif kind == "coo_sparse":
            for field in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
                yield type(info)(name=getattr(info.coo_sparse, field))
        elif kind == "composite_tensor":
            yield from _tensors(dict(enumerate(info.composite_tensor.components)))


def _initialization(meta_graph):
    """Names of the operations that the loader runs first."""
    names = [
        name
        for key in _INIT_OPS
        if key in meta_graph.collection_def
        for name in meta_graph.collection_def[key].node_list.value
    ]
    if _INIT_SIGNATURE in meta_graph.signature_def:
        names += [info.name for info in meta_graph.signature_def[_INIT_SIGNATURE].outputs.values()]
    return names


class _FedTensors:
    """The tensors of a graph that the loader feeds with paths of its own; see `Scopes.comes_from`.

    Args:
      run: see there.
      names: of the tensors.
    """

    def __init__(self, run, names):
        self.run = run
        self._names = {name.partition(":")[0] for name in names}

    def is_source(self, name):
        return name in self._names

    def binds(self, function, position):
        """In a graph without objects, nothing but calls gives arguments to a function."""
        del function, position


class _BoundAssets:
    """The arguments of functions to which an object graph binds assets; see `Scopes.comes_from`.

    Args:
      run: see there.
      objects: a SavedObjectGraph.
    """

    def __init__(self, run, objects):
        self.run, self._objects = run, objects

    def is_source(self, name):
        """No tensor of a graph is one; with objects, assets are arguments."""
        del name
        return False

    def binds(self, function, position):
        """Whether an asset is bound to an argument; those that are bound follow those that a caller gives."""
        name = function.signature.name
        if name not in self._objects.concrete_functions:
            return None
        bound = self._objects.concrete_functions[name].bound_inputs
        index = position - (len(function.signature.input_arg) - len(bound))
        return index >= 0 and self._objects.nodes[bound[index]].WhichOneof("kind") == "asset"


def _place(scope, node):
    return f"{node.name} of function {scope}" if scope else node.name
