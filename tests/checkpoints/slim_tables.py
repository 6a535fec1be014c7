"""Which layer of a first-generation backbone the N-th layer with weights of a two-stage detector is, by tables.

The second generation numbers convolutions and batch norms as they follow from the input, layers of equal distance in
the order in which the branches were made; the first generation names them by block, unit and branch. Each table below
is a list whose N-th entry is the TF-Slim scope of layer N; a convolution and its batch norm have the same scope. The
program names its layers where it makes them, and does not need this: the tables are what it is compared with.

ResNet V1: `resnet_v1_50/block1/unit_1/bottleneck_v1/conv1`. Inception-ResNet V2:
`InceptionResnetV2/Repeat/block35_1/Branch_0/Conv2d_1x1`. Blocks 1 to 3, and all up to the twenty blocks of 17 x 17,
make the features that proposals come from; the rest classifies them.
"""

from tfodhelper.models.backbones.resnet_v1 import UNITS

# Scopes of the layers of one unit. The first unit of a block also has a convolution on its shortcut.
_UNIT = ("conv1", "conv1", "conv2", "conv2", "conv3", "conv3")
_FIRST_UNIT = ("conv1", "conv1", "conv2", "conv2", "shortcut", "conv3", "shortcut", "conv3")

_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_MIXED_5B = (
    *("Branch_2/Conv2d_0a_1x1",) * 2,
    *("Branch_1/Conv2d_0a_1x1", "Branch_2/Conv2d_0b_3x3") * 2,
    *("Branch_0/Conv2d_1x1", "Branch_1/Conv2d_0b_5x5", "Branch_2/Conv2d_0c_3x3", "Branch_3/Conv2d_0b_1x1") * 2,
)
_BLOCK_35 = (
    *("Branch_2/Conv2d_0a_1x1",) * 2,
    *("Branch_1/Conv2d_0a_1x1", "Branch_2/Conv2d_0b_3x3") * 2,
    *("Branch_0/Conv2d_1x1", "Branch_1/Conv2d_0b_3x3", "Branch_2/Conv2d_0c_3x3") * 2,
    "Conv2d_1x1",
)
_MIXED_6A = (
    *("Branch_1/Conv2d_0a_1x1",) * 2,
    *("Branch_1/Conv2d_0b_3x3",) * 2,
    *("Branch_0/Conv2d_1a_3x3", "Branch_1/Conv2d_1a_3x3") * 2,
)
_BLOCK_17 = (
    *("Branch_1/Conv2d_0a_1x1",) * 2,
    *("Branch_1/Conv2d_0b_1x7",) * 2,
    *("Branch_0/Conv2d_1x1", "Branch_1/Conv2d_0c_7x1") * 2,
    "Conv2d_1x1",
)
_MIXED_7A = (
    *("Branch_2/Conv2d_0a_1x1",) * 2,
    *("Branch_0/Conv2d_0a_1x1", "Branch_1/Conv2d_0a_1x1", "Branch_2/Conv2d_0b_3x3") * 2,
    *("Branch_0/Conv2d_1a_3x3", "Branch_1/Conv2d_1a_3x3", "Branch_2/Conv2d_1a_3x3") * 2,
)
_BLOCK_8 = (
    *("Branch_1/Conv2d_0a_1x1",) * 2,
    *("Branch_1/Conv2d_0b_1x3",) * 2,
    *("Branch_0/Conv2d_1x1", "Branch_1/Conv2d_0c_3x1") * 2,
    "Conv2d_1x1",
)


def _under(scope, layers):
    return [f"{scope}/{layer}" for layer in layers]


def _resnet_block(depth, number):
    layers = []
    for unit in range(1, UNITS[depth][number - 1] + 1):
        scope = f"resnet_v1_{depth}/block{number}/unit_{unit}/bottleneck_v1"
        layers += _under(scope, _FIRST_UNIT if unit == 1 else _UNIT)
    return layers


def _resnet_proposal_layers(depth):
    layers = [f"resnet_v1_{depth}/conv1"] * 2
    for number in (1, 2, 3):
        layers += _resnet_block(depth, number)
    return layers


def _inception_proposal_layers():
    layers = [layer for layer in _STEM for _ in range(2)] + _under("Mixed_5b", _MIXED_5B)
    for number in range(1, 11):
        layers += _under(f"Repeat/block35_{number}", _BLOCK_35)
    layers += _under("Mixed_6a", _MIXED_6A)
    for number in range(1, 21):
        layers += _under(f"Repeat_1/block17_{number}", _BLOCK_17)
    return _under("InceptionResnetV2", layers)


def _inception_classifier_layers():
    layers = _under("Mixed_7a", _MIXED_7A)
    for number in range(1, 10):
        layers += _under(f"Repeat/block8_{number}", _BLOCK_8)
    layers += _under("Block8", _BLOCK_8) + ["Conv2d_7b_1x1"] * 2
    return _under("InceptionResnetV2", layers)


# backbone -> scopes of its layers, by number.
PROPOSAL_LAYERS = {f"resnet_v1_{depth}": _resnet_proposal_layers(depth) for depth in UNITS}
PROPOSAL_LAYERS["inception_resnet_v2"] = _inception_proposal_layers()
CLASSIFIER_LAYERS = {f"resnet_v1_{depth}": _resnet_block(depth, 4) for depth in UNITS}
CLASSIFIER_LAYERS["inception_resnet_v2"] = _inception_classifier_layers()


def name_in_classification(layer, is_for_proposals):
    """The name that a layer, or a variable of it, has in a classification checkpoint.

    A detector restarts the count of the repeated blocks in its second stage; the classification network has them third.
    """
    if is_for_proposals:
        return layer
    return layer.replace("InceptionResnetV2/Repeat/", "InceptionResnetV2/Repeat_2/")
