"""Two-stage detectors as far as checkpoints see them, and checkpoints of their first generation."""

import tensorflow as tf

from tests.checkpoints import slim_tables
from tfodhelper.checkpoints.keys import SUFFIX, ClassColumns, Part
from tfodhelper.families import roles

STAGES = {
    "proposal": ("FirstStageFeatureExtractor", slim_tables.PROPOSAL_LAYERS),
    "box_classifier": ("SecondStageFeatureExtractor", slim_tables.CLASSIFIER_LAYERS),
}
BOX_HEAD = "model/_mask_rcnn_box_predictor/_box_prediction_head/_box_encoder_layers/1"
CLASS_HEAD = "model/_mask_rcnn_box_predictor/_class_prediction_head/_class_predictor_layers/1"


class Module:
    """Small variables under their own keys, with the names that they have in TF-Slim checkpoints of a detector."""

    def __init__(self):
        self.variables, self.slim_names = {}, {}

    def add(self, own_key, slim_name, shape):
        self.variables[own_key] = tf.Variable(tf.zeros(shape))
        self.slim_names[own_key] = slim_name

    def add_pair(self, own_key, scope, shape):
        self.add(f"{own_key}/kernel", f"{scope}/weights", shape)
        self.add(f"{own_key}/bias", f"{scope}/biases", shape[-1:])

    def checkpoint_keys(self):
        return self.variables


class Keys:
    """The parts of a two-stage detector, with small variables.

    Args:
      backbone: a key of `slim_tables.PROPOSAL_LAYERS`.
      num_classes: of the second stage.
      first: the value of the first variable; the others count on from it.
      boxes: rows of boxes of a proposal, or None for one of each class.
    """

    def __init__(self, backbone, num_classes=3, first=1.0, boxes=None):
        self._parts = [self._make_backbone(stage, backbone) for stage in STAGES]
        self._parts += [self._make_block(), self._make_proposal_head(), self._make_head(num_classes, boxes)]
        for number, variable in enumerate(self.checkpoint_keys().values()):
            variable.assign(tf.fill(variable.shape, first + number))

    def parts(self):
        """See `models.detector.Detector`."""
        return self._parts

    def checkpoint_keys(self):
        """See `models.detector.Detector`."""
        return {named.key: named.variable for part in self._parts for named in part.variables()}

    @property
    def slim_names(self):
        """{key: name in a first-generation checkpoint of a detector}."""
        return {
            f"model/{part.scope}/{own_key}{SUFFIX}": name
            for part in self._parts
            for own_key, name in part.module.slim_names.items()
        }

    def _make_backbone(self, stage, backbone):
        scope, table = STAGES[stage]
        module, layers, seen = Module(), table[backbone], set()
        before = 0 if stage == "proposal" else len(slim_tables.PROPOSAL_LAYERS[backbone])
        classification_keys = {}
        for number, layer in enumerate(layers):
            for leaf, name in _leaves_of(layer, layers, layer in seen, backbone.startswith("resnet")).items():
                own_key = f"layer_with_weights-{number}/{leaf}"
                module.add(own_key, f"{scope}/{layer}/{name}", [1, 1, 2, 3] if leaf == "kernel" else [3])
                classification_keys[own_key] = f"layer_with_weights-{before + number}/{leaf}"
            seen.add(layer)
        alone = {
            key: slim_tables.name_in_classification(name.removeprefix(f"{scope}/"), stage == "proposal")
            for key, name in module.slim_names.items()
        }
        return Part(
            f"_feature_extractor_for_{stage}_features",
            module,
            roles.BACKBONE,
            classification_keys=classification_keys,
            slim_names={key: (name, alone[key]) for key, name in module.slim_names.items()},
        )

    def _make_block(self):
        module = Module()
        module.add_pair("layer_with_weights-0", "Conv", [3, 3, 2, 5])
        return self._make_part("_first_stage_box_predictor_first_conv", module, roles.PROPOSAL_HEAD)

    def _make_proposal_head(self):
        module, scope = Module(), "FirstStageBoxPredictor"
        boxes, classes = (
            "box_encodings/0/_box_encoder_layers",
            "class_predictions_with_background/0/_class_predictor_layers",
        )
        module.add_pair(f"_prediction_heads/{boxes}/0", f"{scope}/BoxEncodingPredictor", [1, 1, 5, 48])
        module.add_pair(f"_prediction_heads/{classes}/0", f"{scope}/ClassPredictor", [1, 1, 5, 24])
        return self._make_part("_first_stage_box_predictor", module, roles.PROPOSAL_HEAD)

    def _make_head(self, num_classes, boxes):
        module, scope = Module(), "SecondStageBoxPredictor"
        box_head, class_head = (head.removeprefix("model/_mask_rcnn_box_predictor/") for head in (BOX_HEAD, CLASS_HEAD))
        module.add_pair(box_head, f"{scope}/BoxEncodingPredictor", [7, 4 * (boxes or num_classes)])
        module.add_pair(class_head, f"{scope}/ClassPredictor", [7, num_classes + 1])
        class_columns = {key: ClassColumns(1) for key in module.variables if key.startswith(class_head)}
        if boxes is None:
            class_columns |= {key: ClassColumns(0, 4) for key in module.variables if key.startswith(box_head)}
        return self._make_part("_mask_rcnn_box_predictor", module, roles.HEAD, class_columns)

    def _make_part(self, scope, module, role, class_columns=None):
        slim_names = {key: (name,) for key, name in module.slim_names.items()}
        return Part(scope, module, role, class_columns or {}, slim_names=slim_names)


def _leaves_of(layer, layers, is_norm, has_gamma):
    """{leaf of a layer's variable: its name in TF-Slim}; a layer comes first as a convolution, then as a batch norm."""
    if is_norm:
        names = ["beta", "moving_mean", "moving_variance"] + ["gamma"] * has_gamma
        return {name: f"BatchNorm/{name}" for name in names}
    return {"kernel": "weights"} | ({"bias": "biases"} if layers.count(layer) == 1 else {})


def write(values, prefix):
    """Writes a checkpoint with plain names and no object graph."""
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[name] for name in names]
    )
    return prefix


def write_slim(detector, prefix, rename=lambda name: name):
    """Writes a first-generation checkpoint of `Keys` with optimizer state; a name renamed to None is left out."""
    values = {"global_step": tf.constant(7, tf.int64)}
    for key, variable in detector.checkpoint_keys().items():
        name = rename(detector.slim_names[key])
        if name is not None:
            values[name] = variable.value()
            if not name.endswith(("moving_mean", "moving_variance")):
                values[name + "/Momentum"] = variable.value()
    return write(values, prefix)
