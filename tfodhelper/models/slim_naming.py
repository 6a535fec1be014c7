"""Names of variables in checkpoints of the first generation, which TF-Slim wrote.

A layer is a scope there, and a convolution has the same one as its batch norm: `SCOPE/weights`, `SCOPE/BatchNorm/beta`.
"""

from tfodhelper.models import layers

_LEAVES = {
    "kernel": "weights",
    "depthwise_kernel": "depthwise_weights",
    "pointwise_kernel": "pointwise_weights",
    "bias": "biases",
}


def name_variables(module, scoped):
    """Names of the variables of a module.

    Args:
      module: has `checkpoint_keys()`.
      scoped: pairs of the scopes under which a checkpoint may have a layer, the likeliest first, and the layer: a
        `ConvBlock`, or anything with `checkpoint_keys()` of its own. Layers that are left out have no names.

    Returns:
      {own key in `module`: names, the likeliest first}.
    """
    names = {}
    for scopes, block in scoped:
        for layer in block.layers_in_order() if isinstance(block, layers.ConvBlock) else [block]:
            for leaf, variable in layer.checkpoint_keys().items():
                leaf = _LEAVES.get(leaf, f"BatchNorm/{leaf}")
                names[id(variable)] = tuple(f"{scope}/{leaf}" for scope in scopes)
    return {key: names[id(variable)] for key, variable in module.checkpoint_keys().items() if id(variable) in names}


def name_layers(module, scoped):
    """The same where each layer, also a batch norm, has a scope of its own.

    Args:
      module: has `checkpoint_keys()`.
      scoped: pairs of a scope and a convolution or a batch norm; no layer is left out.

    Returns:
      {own key in `module`: name}.
    """
    names = {}
    for scope, layer in scoped:
        for leaf, variable in layer.checkpoint_keys().items():
            names[id(variable)] = f"{scope}/{_LEAVES.get(leaf, leaf)}"
    return {key: names[id(variable)] for key, variable in module.checkpoint_keys().items()}


def scopes_of(stage, networks):
    """Where a checkpoint may have a backbone: in a detector, or alone.

    Args:
      stage: scope of the feature extractor in checkpoints of the detector; None where it has none of its own.
      networks: scopes of the network itself.
    """
    in_detector = [f"{stage}/{network}" for network in networks] if stage else []
    return in_detector + list(networks)
