"""A SavedModel that does more than compute is refused before TensorFlow loads it."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfodhelper import errors, features
from tfodhelper.active_learning.pool import pool_predictor
from tfodhelper.api import predictor as api
from tfodhelper.prediction import model_safety, predictor, pure_operations, servable

v1 = tf.compat.v1
IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8)
MARK = b"\0"  # a tensor that each function below mixes into its result, so that nothing is pruned


def save(folder, work, **attributes):
    """A SavedModel whose signature does some work on a string and returns the mean of the images."""

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(2.0)
            for name, value in attributes.items():
                setattr(self, name, value)

        @tf.function(input_signature=[IMAGES])
        def detect(self, images):
            text = work(images)
            size = tf.cast(tf.strings.length(text), tf.float32)
            return {"scores": self.weight * tf.reduce_mean(tf.cast(images, tf.float32)) + 0.0 * size}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.detect})
    return folder


def change(folder, alter):
    """Alters the proto of a SavedModel."""
    path = pathlib.Path(folder) / "saved_model.pb"
    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    alter(proto.meta_graphs[0])
    path.write_bytes(proto.SerializeToString())


def nothing(images):
    del images
    return tf.constant(MARK)


def in_branch(work):
    def run(images):
        return tf.cond(tf.shape(images)[0] > 0, lambda: work(images), lambda: tf.constant(MARK))

    return run


def in_loop(work):
    def run(images):
        _, text = tf.while_loop(
            lambda i, text: i < 1, lambda i, text: (i + 1, work(images)), (tf.constant(0), tf.constant(MARK))
        )
        return text

    return run


def in_map(work):
    return lambda images: tf.map_fn(
        lambda image: work(image), tf.cast(images, tf.float32), fn_output_signature=tf.string
    )[0]


def read(images):
    del images
    return tf.io.read_file("/etc/passwd")


def write(images):
    del images
    with tf.control_dependencies([tf.io.write_file("/nowhere/stolen", tf.constant("x"))]):
        return tf.constant(MARK)


def find(images):
    del images
    return tf.io.matching_files("/etc/*")[0]


def call_python(images):
    return tf.py_function(lambda image: b"", [images], tf.string)


def call_numpy(images):
    return tf.numpy_function(lambda image: b"", [images], tf.string)


def read_lines(images):
    del images
    return tf.data.TextLineDataset(["/etc/passwd"]).reduce(tf.constant(MARK), lambda text, line: text + line)


def print_to_file(images):
    tf.print("x", output_stream="file:///nowhere/printed")
    return nothing(images)


def save_tensor(images):
    del images
    with tf.control_dependencies(
        [tf.raw_ops.SaveV2(prefix="/nowhere/ckpt", tensor_names=["a"], shape_and_slices=[""], tensors=[1.0])]
    ):
        return tf.constant(MARK)


def restore_tensor(images):
    del images
    (value,) = tf.raw_ops.RestoreV2(
        prefix="/nowhere/ckpt", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string]
    )
    return value


def map_file(images):
    del images
    value = tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name="/etc/passwd")
    return tf.strings.as_string(tf.cast(value[0], tf.int32))


def fill_table(images):
    del images
    table = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
    with tf.control_dependencies(
        [
            tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=table, filename="/etc/passwd", key_index=-1, value_index=-2
            )
        ]
    ):
        return tf.raw_ops.LookupTableFindV2(table_handle=table, keys=[np.int64(0)], default_value="")[0]


def debug_to_file(images):
    del images
    return tf.raw_ops.DebugIdentityV2(input=tf.constant(MARK), debug_urls=["file:///nowhere/debug"])


BAD = {
    "ReadFile": read,
    "WriteFile": write,
    "MatchingFiles": find,
    "EagerPyFunc": call_python,
    "PyFunc": call_numpy,
    "TextLineDataset": read_lines,
    "PrintV2": print_to_file,
    "SaveV2": save_tensor,
    "RestoreV2": restore_tensor,
    "ImmutableConst": map_file,
    "InitializeTableFromTextFileV2": fill_table,
    "DebugIdentityV2": debug_to_file,
}


@pytest.mark.parametrize("operation", BAD)
def test_an_operation_that_does_more_than_compute_is_refused_and_named(operation, tmp_path):
    folder = save(tmp_path / "model", BAD[operation])
    with pytest.raises(errors.PredictionError, match="does more than compute") as caught:
        model_safety.load(folder)
    assert operation in str(caught.value.received) and "--trust_model" in caught.value.fix


@pytest.mark.parametrize("around", [in_branch, in_loop, in_map])
@pytest.mark.parametrize("operation", ["ReadFile", "WriteFile", "SaveV2"])
def test_functions_are_looked_into(around, operation, tmp_path):
    folder = save(tmp_path / "model", around(BAD[operation]))
    with pytest.raises(errors.PredictionError, match=operation):
        model_safety.load(folder)


def test_it_is_refused_before_anything_runs(tmp_path, monkeypatch):
    folder = save(tmp_path / "model", write)
    monkeypatch.setattr(tf.saved_model, "load", lambda *rest: pytest.fail("TensorFlow has loaded the model"))
    with pytest.raises(errors.PredictionError):
        model_safety.load(folder)


@pytest.mark.parametrize(
    "use",
    [servable.load, predictor.StreamPredictor, pool_predictor.PoolModel, features.build_extractor, api.Predictor],
    ids=lambda use: use.__qualname__,
)
def test_every_way_to_a_model_is_guarded(use, tmp_path):
    folder = save(tmp_path / "model", write)
    with pytest.raises(errors.PredictionError, match="does more than compute"):
        use(folder)
    with pytest.raises(errors.PredictionError) as caught:  # it is loaded, but is not a detector
        use(folder, trust_model=True)
    assert "does more than compute" not in str(caught.value)


def test_trust_loads_it(tmp_path):
    folder = save(tmp_path / "model", write)
    assert "serving_default" in model_safety.load(folder, trust_model=True).signatures


@pytest.mark.parametrize("around", [lambda work: work, in_branch, in_loop, in_map])
def test_models_that_compute_are_loaded(around, tmp_path):
    folder = save(tmp_path / "model", around(nothing))
    output = model_safety.load(folder).signatures["serving_default"](tf.ones([1, 2, 2, 3], tf.uint8))
    assert float(output["scores"]) == 2.0


def save_with_table(folder, vocabulary):
    vocabulary.write_text("cat\ndog\n", encoding="utf-8")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        ),
        "",
    )
    return save(folder, lambda images: table.lookup(tf.constant(1, tf.int64)), table=table)


def test_a_table_of_an_asset_is_fine(tmp_path):
    folder = save_with_table(tmp_path / "model", tmp_path / "names.txt")
    (tmp_path / "names.txt").unlink()
    assert "serving_default" in model_safety.load(folder).signatures


def test_an_asset_outside_of_the_model_is_refused(tmp_path):
    folder = save_with_table(tmp_path / "model", tmp_path / "names.txt")
    change(folder, lambda graph: setattr(graph.asset_file_def[0], "filename", "../../names.txt"))
    with pytest.raises(errors.PredictionError, match="outside of the model"):
        model_safety.load(folder)


def test_an_asset_that_is_a_link_to_elsewhere_is_refused(tmp_path):
    folder = save_with_table(tmp_path / "model", tmp_path / "names.txt")
    (folder / "assets" / "names.txt").unlink()
    (folder / "assets" / "names.txt").symlink_to(tmp_path / "names.txt")
    with pytest.raises(errors.PredictionError, match="outside of the model"):
        model_safety.load(folder)


def test_a_table_whose_file_name_is_a_constant_is_refused(tmp_path):
    folder = save_with_table(tmp_path / "model", tmp_path / "names.txt")

    def bind_a_constant(graph):
        for node in graph.object_graph_def.nodes:
            if node.WhichOneof("kind") == "asset":
                node.constant.operation = "path"

    change(folder, bind_a_constant)
    with pytest.raises(errors.PredictionError, match="not an asset"):
        model_safety.load(folder)


def test_a_signature_that_calls_the_saver_is_refused(tmp_path):
    folder = save(tmp_path / "model", nothing)

    def call_saver(graph):
        library = graph.graph_def.library.function
        saver = next(f for f in library if any(node.op == "SaveV2" for node in f.node_def))
        for function in library:
            if "detect" in function.signature.name:
                function.node_def.add(name="extra", op=saver.signature.name)

    change(folder, call_saver)
    with pytest.raises(errors.PredictionError, match="outside of the saver"):
        model_safety.load(folder)


def test_a_saver_that_poses_as_another_function_is_refused(tmp_path):
    """TensorFlow may exchange functions that claim the same interface."""
    folder = save(tmp_path / "model", nothing)

    def pose(graph):
        for function in graph.graph_def.library.function:
            if "detect" in function.signature.name or any(node.op == "SaveV2" for node in function.node_def):
                function.attr["api_implements"].s = b"same"

    change(folder, pose)
    with pytest.raises(errors.PredictionError, match="outside of the saver"):
        model_safety.load(folder)


def test_a_function_that_is_there_twice_is_refused(tmp_path):
    folder = save(tmp_path / "model", nothing)
    change(folder, lambda graph: graph.graph_def.library.function.append(graph.graph_def.library.function[0]))
    with pytest.raises(errors.PredictionError, match="several of this name"):
        model_safety.load(folder)


def save_first_generation(folder, work=None, initialize=None, restored_from=None):
    """A SavedModel without objects, as the first generation of the Object Detection API exports."""
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        weight = v1.get_variable("weight", initializer=2.0, use_resource=False)
        saver = v1.train.Saver()
        with tf.control_dependencies([work(session.graph)] if work else []):
            scores = tf.identity(weight * tf.reduce_mean(tf.cast(images, tf.float32)), "scores")
        main_op = tf.group(initialize()) if initialize else None
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"inputs": images}, {"scores": scores})
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"serving_default": signature}, main_op=main_op, saver=saver
        )
        builder.save()
    if restored_from:
        change(folder, restored_from)
    return folder


def test_a_model_of_the_first_generation_is_loaded(tmp_path):
    folder = save_first_generation(tmp_path / "model")
    output = model_safety.load(folder).signatures["serving_default"](tf.ones([1, 2, 2, 3], tf.uint8))
    assert float(output["scores"]) == 2.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"work": lambda graph: tf.io.write_file("/nowhere/stolen", "x")},
        {"work": lambda graph: graph.get_operation_by_name("save/SaveV2")},
        {"work": lambda graph: graph.get_operation_by_name("save/restore_all")},
        {"initialize": lambda: tf.io.write_file("/nowhere/stolen", "x")},
        {"initialize": lambda: v1.get_default_graph().get_operation_by_name("save/SaveV2")},
        {"restored_from": lambda graph: setattr(graph.saver_def, "restore_op_name", "save/SaveV2")},
        {"restored_from": lambda graph: setattr(graph.saver_def, "filename_tensor_name", "scores:0")},
    ],
    ids=["write", "save", "restore", "write first", "save first", "save instead", "another file"],
)
def test_a_model_of_the_first_generation_that_does_more_is_refused(arguments, tmp_path):
    folder = save_first_generation(tmp_path / "model", **arguments)
    with pytest.raises(errors.PredictionError, match="does more than compute"):
        model_safety.load(folder)


def test_a_file_that_is_not_a_model_is_said_in_words(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff nothing of the kind")
    with pytest.raises(errors.PredictionError, match="cannot be loaded"):
        model_safety.load(tmp_path)


REACHING = """
Abort Batch CollectiveReduce CreateSummaryFileWriter DecodeProtoV2 EncodeProto GenerateVocabRemapping ImmutableConst
IteratorV2 LoadAndRemapMatrix Print PrintV2 PyFunc PyFuncStateless EagerPyFunc ReadFile RecordInput RemoteCall RestoreV2
SaveV2 MergeV2Checkpoints SymbolicGradient TFRecordReaderV2 WholeFileReaderV2 WriteFile XlaCallModule XlaHostCompute
"""


def test_the_list_has_none_that_reaches_out():
    """Names that TensorFlow has, and that a later addition to the list must not bring."""
    assert not pure_operations.PURE & set(REACHING.split())
    assert [name for name in pure_operations.PURE if "File" in name] == ["ShardedFilename"]


def test_every_allowed_operation_exists():
    from tensorflow.python.framework import op_def_registry

    missing = [name for name in pure_operations.PURE if op_def_registry.get(name) is None]
    assert missing == []
