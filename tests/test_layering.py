"""Who may import whom. Imports inside functions count as well: a cycle hidden in a function is a cycle."""

import ast
import pathlib
import sys

import pytest

import tfodhelper

PACKAGE = pathlib.Path(tfodhelper.__file__).parent

OPEN_TO_ALL = {
    "state_files",
    "events",
    "run_summary",
    *(
        "version",
        "errors",
        "fields",
        "options",
        "run_layout",
        "spelling",
        "plain_text",
        "sheets",
        "limits",
        "json_shapes",
        "machine_memory",
        "environment",
    ),
    *("console", "image_decoding", "invocation", "jpeg_dct", "own_files", "provenance", "result_folder", "storage"),
    *("child_process", "terminal", "user_files"),
}

_TRAINING = {
    *(
        "annotations",
        "box_geometry",
        "mask_geometry",
        "checkpoints",
        "config",
        "dataset",
        "exporting",
        "families",
        "formats",
        "inputs",
    ),
    "tiling",
    *("losses", "metrics", "models", "ops", "outofcore", "protos", "records", "render", "resizers", "tensorflow_setup"),
    *("tflite", "training", "zoo"),
}
EVERYTHING = _TRAINING | {
    "active_learning",
    "benchmarking",
    "explaining",
    "features",
    "labelling",
    "prediction",
    "reporting",
    "review",
}
EVERYTHING |= {
    "label_folder",
    "run_folder",
    "run_options",
    "tile_evaluation",
    "export_evaluation",
    "evaluation_options",
}

# Where the public names of `tfodhelper` come from. The root module loads them by name when they are used; it imports
# them for type checkers alone.
FACE = {
    *("active_learning.structures", "annotations.label_map", "annotations.structures", "api", "errors"),
    "prediction.detections",
}

# layer: (what it may import of this package, what it may import from elsewhere). A longer name wins over a shorter one;
# a name in the first set stands for all below it.
LAYERS = {
    "": (set(), set()),
    "__main__": ({"cli"}, set()),
    "tensorflow_setup": (set(), {"absl"}),
    "machine_memory": (set(), {"psutil"}),
    "box_geometry": (set(), {"numpy"}),
    "tiling": ({"box_geometry"}, {"numpy"}),
    "tiling.options": (set(), set()),
    "image_decoding": (set(), {"PIL"}),
    "user_files": (set(), set()),
    "mask_geometry": (set(), {"numpy", "pycocotools.mask"}),
    "protos": (set(), {"google.protobuf"}),
    "annotations": ({"box_geometry", "protos"}, {"lxml", "numpy", "PIL", "google.protobuf", "pycocotools.mask"}),
    "outofcore": (set(), {"numpy"}),
    "dataset": ({"annotations", "outofcore"}, {"pandas", "numpy", "PIL"}),
    "dataset.scan": ({"annotations", "outofcore"}, {"numpy", "PIL"}),
    "dataset.split": ({"annotations", "outofcore", "dataset.scan"}, {"numpy"}),
    "dataset.analysis": ({"annotations", "outofcore", "dataset.scan", "dataset.split"}, {"pandas", "numpy"}),
    "dataset.analysis.plots": ({"dataset.analysis", "render.figures"}, {"numpy"}),
    "formats": (
        {"annotations", "dataset", "prediction.detections", "records"},
        {"lxml", "numpy", "PIL", "yaml"},
    ),
    "families": (set(), set()),
    "checkpoints": ({"families"}, {"tensorflow"}),
    "checkpoints.keys": ({"families"}, set()),
    "checkpoints.find": (set(), {"google.protobuf"}),
    "zoo": ({"checkpoints.find"}, set()),
    "config": (
        {"protos", "annotations", "dataset", "families", "zoo", "checkpoints.find", "metrics.eval_values"},
        {"google.protobuf"},
    ),
    "records": ({"annotations", "dataset", "outofcore"}, {"tensorflow", "numpy", "google_crc32c"}),
    "records.beam": ({"annotations", "dataset", "records"}, {"apache_beam"}),
    "ops": (set(), {"tensorflow", "numpy"}),
    "losses": ({"ops"}, {"tensorflow", "numpy"}),
    "resizers": ({"families", "ops"}, {"tensorflow"}),
    "inputs": ({"annotations", "records", "ops", "config", "protos", "outofcore"}, {"tensorflow", "numpy"}),
    "inputs.options": (set(), set()),
    # A family names its builder (`families.spec.Family.builder`), which `models.build` imports by that name.
    "models": (
        {"ops", "losses", "resizers", "families", "checkpoints.keys"},
        {"tensorflow", "tf_keras", "numpy"},
    ),
    "metrics": ({"box_geometry", "mask_geometry", "outofcore"}, {"numpy", "pycocotools"}),
    "metrics.eval_values": (set(), set()),
    "render": (set(), {"numpy", "PIL"}),
    "render.figures": (set(), {"matplotlib", "numpy"}),
    "render.evaluation_plots": ({"render.figures", "render.palette"}, {"numpy"}),
    "render.html": (set(), {"jinja2"}),
    "tflite": (
        {"box_geometry", "ops", "protos", "resizers", "tensorflow_setup"},
        {"ai_edge_litert", "flatbuffers", "google.protobuf", "numpy", "tensorflow"},
    ),
    "training": (
        {
            "mask_geometry",
            *("annotations", "records", "resizers", "inputs", "models", "losses", "metrics", "config", "families"),
            *("checkpoints", "ops.own_gradients", "render", "tensorflow_setup", "tiling.options"),
        },
        {
            *("official.core", "official.modeling", "official.common", "orbit"),
            *("tensorflow", "tf_keras", "numpy", "google.protobuf"),
        },
    ),
    "training.analysis_summaries": (
        {"families", "render.evaluation_plots", "render.figures"},
        {"numpy", "tensorboard.plugins", "tensorflow"},
    ),
    "training.batch_pictures": ({"render.boxes"}, {"numpy", "PIL", "tensorboard.plugins", "tensorflow"}),
    "training.batch_size": ({"config.pipeline", "families", "training.options"}, set()),
    "training.trial_steps": (
        {"config.pipeline", "inputs", "tensorflow_setup", "training"},
        {"official.core", "tensorflow"},
    ),
    "training.options": ({"config.options", "families.roles", "inputs.options", "tiling.options"}, set()),
    "exporting": (
        {"models", "inputs", "checkpoints", "config", "families", "metrics", "protos", "tensorflow_setup", "tflite"}
        | {"box_geometry", "ops.own_gradients"},
        {"tensorflow", "numpy", "google.protobuf", "onnx", "onnxruntime", "tf2onnx"},
    ),
    "exporting.options": ({"config.options"}, set()),
    "exporting.export_file": ({"annotations", "config", "exporting", "tensorflow_setup"}, set()),
    "prediction": ({"annotations", "mask_geometry", "render", "tiling.options"}, {"numpy", "PIL"}),
    "prediction.detections": ({"annotations"}, {"numpy"}),
    "prediction.saved_models": ({"zoo"}, set()),
    "prediction.classes_of_zoo": ({"config", "prediction.saved_models"}, set()),
    "prediction.predictor": ({"annotations", "prediction"}, {"numpy", "PIL", "tensorflow"}),
    "prediction.tiled_predictor": ({"prediction", "tiling"}, {"numpy"}),
    "prediction.reading": ({"annotations", "prediction.single_thread"}, {"numpy", "tensorflow"}),
    "prediction.servable": (
        {
            *("annotations.label_map", "prediction.model_safety", "prediction.output_check", "prediction.saved_models"),
            "prediction.single_thread",
            *("prediction.tflite_servable", "tensorflow_setup"),
        },
        {"numpy", "tensorflow"},
    ),
    "prediction.tflite_servable": ({"annotations.label_map", "prediction.saved_models", "tflite"}, {"numpy"}),
    "prediction.single_thread": (set(), {"tensorflow"}),
    "prediction.model_safety": ({"prediction.graph_scopes", "prediction.pure_operations"}, {"tensorflow"}),
    "features": (
        {"annotations", "resizers", "config", "families", "models", "prediction.model_safety", "checkpoints"}
        | {"prediction.saved_models"},
        {"tensorflow", "numpy"},
    ),
    "prediction.films": (set(), {"av", "numpy"}),
    "prediction.film_results": ({"prediction", "render"}, {"numpy"}),
    "prediction.predict_film": ({"config", "prediction", "tensorflow_setup"}, set()),
    "prediction.predict_images": ({"config", "prediction", "tensorflow_setup", "tiling"}, set()),
    "benchmarking": ({"annotations", "config", "dataset", "formats", "prediction", "render"}, {"numpy"}),
    "benchmarking.options": (set(), set()),
    "benchmarking.result": (set(), set()),
    "benchmarking.measure": (
        {"annotations", "evaluation_options", "export_evaluation", "formats", "prediction", "tensorflow_setup"},
        {"numpy", "tensorflow"},
    ),
    "explaining": (
        {"box_geometry", "checkpoints", "exporting", "models", "prediction", "render"},
        {"numpy", "PIL", "tensorflow", "tf_keras"},
    ),
    "explaining.options": ({"config.options"}, set()),
    "explaining.explain_images": (
        {"annotations", "config", "explaining", "exporting", "prediction", "render", "tensorflow_setup"},
        {"numpy", "PIL"},
    ),
    "reporting": (
        {"annotations", "config", "dataset", "formats", "metrics", "render", "run_options"},
        {"numpy", "PIL"},
    ),
    "reporting.options": (set(), set()),
    "reporting.write": ({"dataset", "render", "reporting"}, set()),
    "labelling": ({"annotations", "render"}, {"PIL", "werkzeug"}),
    "labelling.options": ({"dataset.options", "prediction.options"}, set()),
    "label_folder": (
        {"active_learning", "annotations", "config", "dataset", "labelling", "prediction", "tensorflow_setup"},
        set(),
    ),
    "review": ({"annotations", "box_geometry", "dataset", "prediction", "render"}, {"numpy", "PIL"}),
    "review.check_set": ({"config", "dataset", "prediction", "review", "tensorflow_setup"}, set()),
    "active_learning": (
        {
            *("annotations", "box_geometry", "config", "dataset", "formats", "labelling", "prediction", "render"),
            "training.options",
        },
        {"lxml", "numpy", "PIL"},
    ),
    "active_learning.report.newest_sheet": ({"active_learning", "prediction", "tensorflow_setup"}, set()),
    "active_learning.pool.views": ({"tiling"}, {"numpy"}),
    "active_learning.pool.view_predictor": ({"active_learning.pool", "prediction"}, {"numpy"}),
    "active_learning.pool.pool_predictor": (
        {"active_learning.structures", "active_learning.pool", "annotations", "prediction"},
        {"numpy", "tensorflow"},
    ),
    "active_learning.pool.ray_pool": ({"active_learning"}, {"numpy"}),
    "active_learning.report.tensorboard_curves": ({"active_learning"}, {"tensorboard"}),
    "active_learning.adoption": ({"active_learning", "box_geometry", "metrics", "prediction"}, {"numpy"}),
    "active_learning.rounds": (EVERYTHING, {"numpy"}),
    "active_learning.adopted_records": ({"active_learning", "dataset", "records"}, set()),
    "active_learning.round_training": (EVERYTHING, {"tf_keras"}),
    "run_folder": (_TRAINING | {"reporting", "run_options"}, set()),
    "run_options": ({"config", "dataset", "records", "training.options"}, set()),
    "tile_evaluation": (_TRAINING | {"prediction"}, {"numpy", "tensorflow"}),
    "export_evaluation": (_TRAINING | {"prediction"}, {"numpy"}),
    "evaluation_options": ({"config", "dataset", "prediction", "tiling", "training"}, set()),
    "api": (EVERYTHING, {"numpy", "PIL"}),
    "cli": (EVERYTHING, {"absl"}),
    "cli.doctor": ({"cli"}, {"absl", "psutil"}),
    "cli.probe": ({"cli", "tensorflow_setup"}, {"tensorflow"}),
}

# Where `tf.keras` may be asked what it is; elsewhere it would be Keras 3.
MAY_NAME_TF_KERAS = {"cli.probe"}

# What the rest of its own folder must not import, since it needs TensorFlow or matplotlib and the rest does not.
APART = {
    *("prediction.predictor", "prediction.reading", "prediction.servable", "prediction.single_thread"),
    *("prediction.model_safety", "prediction.tflite_servable", "prediction.tiled_predictor"),
    *("active_learning.pool.pool_predictor", "active_learning.pool.ray_pool", "active_learning.rounds"),
    *("active_learning.round_training", "active_learning.pool.view_predictor"),
    *("cli.probe", "render.evaluation_plots", "render.figures"),
}

FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


def module_name(path, root=PACKAGE):
    """The dotted name of a file below the package: "config.generate" for tfodhelper/config/generate.py."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module):
    """The longest key of `LAYERS` that is the module or a parent of it."""
    found = [layer for layer in LAYERS if layer and is_within(module, layer)]
    return max(found, key=len) if found else ""


def is_within(name, above):
    return name == above or name.startswith(above + ".")


def imported_names(tree):
    """All dotted names that a module imports, wherever in it; relative imports begin with a point."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)


def find_violations(module, source):
    """Lines that break the table.

    Args:
      module: dotted name below the package.
      source: its text.

    Returns:
      Messages, one for each import that is not allowed.
    """
    layer = layer_of(module)
    internal, external = LAYERS[layer]
    tree = ast.parse(source)
    problems = []
    if not module:
        tree, seen_by_checkers = _split_type_checking(tree)
        names = [(name, line) for name, line in imported_names(seen_by_checkers) if not _is_of_face(name)]
        problems += [f"the root:{line}: may not import {name}" for name, line in names]
    for name, line in imported_names(tree):
        if name.startswith("."):
            problems.append(f"{module}:{line}: write {name} as an import from tfodhelper")
        elif is_within(name, "tfodhelper"):
            if not _is_open(name, layer, internal):
                problems.append(f"{module}:{line}: {layer or 'the root'} may not import {name}")
        elif not _is_open_outside(name, external):
            problems.append(f"{module}:{line}: {layer or 'the root'} may not import {name}")
    if module not in MAY_NAME_TF_KERAS:
        problems += [f"{module}:{line}: import tf_keras, not tf.keras" for line in _uses_of_tf_keras(tree)]
    return problems


def _split_type_checking(tree):
    """A module without its blocks `if TYPE_CHECKING:`, and those blocks."""
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    rest = [node for node in tree.body if node not in blocks] + [node for block in blocks for node in block.orelse]
    return ast.Module(rest, []), ast.Module([node for block in blocks for node in block.body], [])


def _is_of_face(name):
    target = name.removeprefix("tfodhelper.")
    return target != name and any(is_within(target, allowed) for allowed in FACE)


def _is_open(name, layer, internal):
    target = name.removeprefix("tfodhelper").removeprefix(".")
    first = target.split(".")[0]
    if first in OPEN_TO_ALL or any(is_within(target, allowed) for allowed in internal):
        return True
    top = layer.split(".")[0]
    return bool(top) and is_within(target, top) and (layer_of(target) == layer or layer_of(target) not in APART)


def _is_open_outside(name, external):
    return name.split(".")[0] in sys.stdlib_module_names or any(is_within(name, allowed) for allowed in external)


def _uses_of_tf_keras(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "keras" and ast.unparse(node.value) in ("tf", "tensorflow"):
            yield node.lineno


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_imports_keep_to_the_table(path):
    assert find_violations(module_name(path), path.read_text(encoding="utf-8")) == []


def test_the_root_loads_its_names_from_where_it_may():
    assert set(tfodhelper._MODULES.values()) <= {
        module_name(path) for path in PACKAGE.rglob("*.py") if _is_of_face(f"tfodhelper.{module_name(path)}")
    }


def test_every_folder_is_a_layer_of_the_table():
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE}
    assert folders <= set(LAYERS)


def test_no_module_is_a_drawer_for_everything():
    names = {part for path in PACKAGE.rglob("*.py") for part in module_name(path).split(".")}
    assert not names & FORBIDDEN_NAMES


def test_the_table_has_no_cycles():
    graph = {layer: internal for layer, (internal, _) in LAYERS.items() if "." not in layer}
    # These are in a room of a higher floor, but import nothing of it except each other.
    graph |= {"checkpoints.find": set(), "checkpoints.keys": {"families"}, "prediction.saved_models": {"zoo"}}
    graph["training.options"] = {"config", "families", "tiling.options"}
    graph["prediction.detections"] = {"annotations"}
    graph |= {"metrics.eval_values": set(), "prediction.model_safety": set(), "tiling.options": set()}
    graph["ops.own_gradients"] = set()
    done = set()
    while len(done) < len(graph):
        free = {layer for layer, internal in graph.items() if layer not in done and internal <= done}
        assert free, f"in a cycle: {sorted(set(graph) - done)}"
        done |= free


def read_arrows():
    """{module: modules of this package that it imports}, by their dotted names below the package."""
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    arrows = {}
    for module, path in paths.items():
        names = [name for name, _ in imported_names(ast.parse(path.read_text(encoding="utf-8")))]
        names = [name.removeprefix("tfodhelper.") for name in names if is_within(name, "tfodhelper")]
        # `from tfodhelper.ops import boxes` names a module, `from tfodhelper.fields import Record` something in one.
        targets = {name if name in paths else name.rpartition(".")[0] for name in names}
        arrows[module] = targets & set(paths) - {"", module}
    return arrows


def find_circle(arrows):
    """Names that import each other in a loop; empty when there is none."""
    left = dict(arrows)
    while free := [name for name, targets in left.items() if not targets & set(left)]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_modules_import_each_other_in_a_circle():
    assert find_circle(read_arrows()) == []


def test_no_rooms_import_each_other_in_a_circle():
    """A room is a folder with everything in it; top-level modules are rooms as well."""
    rooms = {}
    for module, targets in read_arrows().items():
        room = module.split(".")[0]
        rooms.setdefault(room, set()).update(target.split(".")[0] for target in targets)
    assert find_circle({room: targets - {room} for room, targets in rooms.items()}) == []


def test_a_circle_is_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("annotations.labelimg", "import tensorflow as tf"),
        ("annotations.labelimg", "def read():\n    from tfodhelper.config import pipeline"),
        ("ops.boxes", "from tfodhelper import models"),
        ("ops.boxes", "from ..models import build"),
        ("exporting.saved_model", "from tfodhelper.training import loop"),
        ("training.task", "from tfodhelper.prediction import predictor"),
        ("training.task", "from official.vision import ops"),
        ("training.options", "import tensorflow"),
        ("training.options", "from tfodhelper.inputs import sampling"),
        ("render.boxes", "import tensorflow"),
        ("render.boxes", "from tfodhelper.prediction import detections"),
        ("render.html", "from tfodhelper.render import figures"),
        ("dataset.analysis.plots", "import matplotlib"),
        ("models.ssd.detector", "import tensorflow as tf\nlayer = tf.keras.layers.Dense"),
        ("models.ssd.detector", "import object_detection.protos"),
        ("cli.convert", "def main():\n    import tensorflow"),
        ("storage", "from tfodhelper.zoo import catalogue"),
        ("", "from tfodhelper.api import predictor"),
        ("", "def __getattr__(name):\n    from tfodhelper.api import predictor"),
        ("", "if TYPE_CHECKING:\n    from tfodhelper.training import loop"),
        ("", "if TYPE_CHECKING:\n    import numpy"),
        ("", "if TYPE_CHECKING:\n    pass\nelse:\n    import numpy"),
        ("errors", "if TYPE_CHECKING:\n    from tfodhelper.api import predictor"),
        ("active_learning.rounds", "import tfodhelper\ntfodhelper.read_label_map('labels')"),
        ("active_learning.rounds", "from tfodhelper import read_label_map"),
    ],
)
def test_what_is_not_allowed_is_found(module, source):
    assert len(find_violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "annotations.labelimg",
            "import numpy as np\nfrom lxml import etree\nfrom tfodhelper.annotations import structures",
        ),
        ("exporting.saved_model", "from tfodhelper.checkpoints import restore"),
        ("training.task", "from official.core import base_task\nfrom tfodhelper.render import boxes"),
        ("prediction.predictor", "import tensorflow as tf\nfrom tfodhelper.prediction import detections"),
        ("zoo.catalogue", "import json\nfrom tfodhelper import errors, fields"),
        ("zoo.catalogue", "from tfodhelper.version import __version__"),
        ("", "import importlib\nif TYPE_CHECKING:\n    from tfodhelper.api.predictor import Predictor as Predictor"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert find_violations(module, source) == []
