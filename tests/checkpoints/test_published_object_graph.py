"""What we save restores whole in the OD API's own model, as its object graph describes it.

`tf.train.Checkpoint.restore` walks the graph in the file and the model's objects side by side: a child is the same one
if its name is the same. Doing so with the object graph of a reference model shows which of its variables get a value.
"""

import gzip

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from tests.models import shared_case
from tests.models import test_shared_parity as parity
from tests.shared_data import shared
from tfodhelper.checkpoints import save
from tfodhelper.models import build

pytestmark = pytest.mark.slow


def read_graph(content):
    return trackable_object_graph_pb2.TrackableObjectGraph.FromString(content).nodes


def restore(saved, model):
    """{node of the model: node of the file}, as far as both have children of the same name."""
    partners, queue = {0: 0}, [(0, 0)]
    while queue:
        ours, theirs = queue.pop()
        children = {child.local_name: child.node_id for child in model[theirs].children}
        for child in saved[ours].children:
            target = children.get(child.local_name)
            if target is None:
                continue
            if target in partners:
                assert partners[target] == child.node_id, f"two values for {child.local_name}"
                continue
            partners[target] = child.node_id
            queue.append((child.node_id, target))
    return partners


@pytest.mark.parametrize("folder", [name for name in parity.folders() if not name.endswith("__slim")])
def test_every_variable_of_the_published_model_gets_its_value(folder, tmp_path):
    folder = shared(f"odapi_parity/{folder}")
    detector = build.build_detector(shared_case.read_model(folder), is_training=False)
    prefix = tf.train.Checkpoint(model=save.ModelView(detector)).save(str(tmp_path / "ckpt"))
    reader = tf.train.load_checkpoint(prefix)
    saved = read_graph(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    model = read_graph(gzip.decompress((folder / "object_graph.pb.gz").read_bytes()))
    partners, shapes = restore(saved, model), reader.get_variable_to_shape_map()
    num_variables = 0
    for number, node in enumerate(model):
        for attribute in node.attributes:
            if attribute.name != "VARIABLE_VALUE" or not attribute.checkpoint_key.startswith("model/"):
                continue
            assert number in partners, f"nothing is restored for {attribute.checkpoint_key}"
            (ours,) = saved[partners[number]].attributes
            assert ours.checkpoint_key in shapes
            num_variables += 1
    assert num_variables == len(detector.checkpoint_keys())
