"""The names that variables have in first-generation checkpoints of SSD MobileNet V1 and of Faster R-CNN.

Those were written by TF-Slim: `FeatureExtractor/MobilenetV1/Conv2d_3_pointwise/weights`. Classification checkpoints
have the same names without `FeatureExtractor/`; for Faster R-CNN without `FirstStageFeatureExtractor/` and
`SecondStageFeatureExtractor/`. The names of the two-stage backbones stand in `slim_backbones`.
"""

import re

from tfodhelper.checkpoints import slim_backbones

_LEAVES = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}
_BACKBONE_SCOPES = ("FeatureExtractor/MobilenetV1", "FeatureExtractor/MobilenetV1/MobilenetV1", "MobilenetV1")
_NECK_SCOPES = ("FeatureExtractor/MobilenetV1", "FeatureExtractor")
_HEADS = {
    ("box_encodings", "_box_encoder_layers"): "BoxEncodingPredictor",
    ("class_predictions_with_background", "_class_predictor_layers"): "ClassPredictor",
}
_SECOND_STAGE_HEADS = {"_box_prediction_head": "BoxEncodingPredictor", "_class_prediction_head": "ClassPredictor"}

_BACKBONE = re.compile(r"^model/_feature_extractor/classification_backbone/layer_with_weights-(\d+)/(\w+)$")
_NECK = re.compile(r"^model/_feature_extractor/_feature_map_generator/convolutions/(\d+)/(\d+)/(\w+)$")
_HEAD = re.compile(r"^model/_box_predictor/_prediction_heads/(\w+)/(\d+)/(\w+)/\d+/(\w+)$")
_STAGE = re.compile(r"^model/_feature_extractor_for_(proposal|box_classifier)_features/layer_with_weights-(\d+)/(\w+)$")
_PYRAMID_BACKBONE = re.compile(
    r"^model/_feature_extractor_for_proposal_features/classification_backbone/layer_with_weights-(\d+)/(\w+)$"
)
_RPN_CONVOLUTION = re.compile(r"^model/_first_stage_box_predictor_first_conv/layer_with_weights-0/(\w+)$")
_RPN_HEAD = re.compile(r"^model/_first_stage_box_predictor/_prediction_heads/(\w+)/0/(\w+)/0/(\w+)$")
_SECOND_STAGE_HEAD = re.compile(r"^model/_mask_rcnn_box_predictor/(\w+)/_\w+_layers/1/(\w+)$")


def candidates(key, shape):
    """Names under which a first-generation checkpoint may hold a variable.

    Args:
      key: of `Detector.checkpoint_keys`, without its suffix.
      shape: of the variable; neck layers are named by their numbers of channels.

    Returns:
      A list of names, the likeliest first; empty for variables that those models do not have.
    """
    if match := _BACKBONE.match(key):
        return [f"{scope}/{_backbone_layer(int(match[1]), match[2])}" for scope in _BACKBONE_SCOPES]
    if match := _NECK.match(key):
        layer = _neck_layer(int(match[1]), int(match[2]), match[3], shape[-1])
        return [f"{scope}/{layer}" for scope in _NECK_SCOPES] if layer else []
    if match := _HEAD.match(key):
        layer = _HEADS.get((match[1], match[3]))
        return [f"BoxPredictor_{match[2]}/{layer}/{_leaf(match[4])}"] if layer else []
    return _two_stage_candidates(key)


def _two_stage_candidates(key):
    """As `candidates`, for the variables of Faster R-CNN."""
    if match := _STAGE.match(key):
        is_first = match[1] == "proposal"
        scope = "FirstStageFeatureExtractor" if is_first else "SecondStageFeatureExtractor"
        table = slim_backbones.PROPOSAL_LAYERS if is_first else slim_backbones.CLASSIFIER_LAYERS
        layers = _layers(table, int(match[2]), match[3])
        alone = [slim_backbones.name_in_classification(layer, is_first) for layer in layers]
        return [f"{scope}/{layer}" for layer in layers] + alone
    if match := _PYRAMID_BACKBONE.match(key):
        return _layers(slim_backbones.WHOLE_RESNETS, int(match[1]), match[2])
    if match := _RPN_CONVOLUTION.match(key):
        return [f"Conv/{_leaf(match[1])}"]
    if match := _RPN_HEAD.match(key):
        layer = _HEADS.get((match[1], match[2]))
        return [f"FirstStageBoxPredictor/{layer}/{_leaf(match[3])}"] if layer else []
    if match := _SECOND_STAGE_HEAD.match(key):
        layer = _SECOND_STAGE_HEADS.get(match[1])
        return [f"SecondStageBoxPredictor/{layer}/{_leaf(match[2])}"] if layer else []
    return []


def _layers(table, number, leaf):
    """Names of a variable of layer N in every backbone that has so many."""
    return [f"{layers[number]}/{_leaf(leaf)}" for layers in table.values() if number < len(layers)]


def _backbone_layer(number, leaf):
    """Name of a variable of the N-th convolution or batch norm of MobileNet V1."""
    block = number // 2
    if block == 0:
        scope = "Conv2d_0"
    else:
        scope = f"Conv2d_{(block + 1) // 2}_{'depthwise' if block % 2 else 'pointwise'}"
    return f"{scope}/{_leaf(leaf)}"


def _neck_layer(number, place, leaf, channels):
    """Name of a variable of a further feature map; None where explicit or depthwise layers shift the places."""
    first = f"Conv2d_13_pointwise_1_Conv2d_{number}_1x1_{channels}"
    second = f"Conv2d_13_pointwise_2_Conv2d_{number}_3x3_s2_{channels}"
    scope = {0: first, 1: first, 3: second, 4: second}.get(place)
    return None if scope is None else f"{scope}/{_leaf(leaf)}"


def _leaf(name):
    return _LEAVES.get(name, f"BatchNorm/{name}")
