"""The keys under which Keras saves the layers of a network, and the order in which it counts them."""


def number_keys(layers, first=0):
    """The keys that Keras gives to the layers of one network, in order.

    Args:
      layers: layers with variables.
      first: the number of the first of them.

    Returns:
      {`layer_with_weights-N/name`: variable}.
    """
    keys = {}
    for number, layer in enumerate(layers, start=first):
        keys.update(keys_under(f"layer_with_weights-{number}", layer))
    return keys


def order_of_branches(branches):
    """The layers of branches that end at the same place, as Keras orders them.

    Keras counts from the end of a network: what is as many operations away comes in one go.

    Args:
      branches: lists of `ConvBlock`s with activation and norm; the last one may lack either.

    Returns:
      A list of layers.
    """
    layers = []
    for distance in range(max(len(branch) for branch in branches), 0, -1):
        blocks = [branch[-distance] for branch in branches if len(branch) >= distance]
        layers += [block.convolution for block in blocks]
        layers += [block.norm for block in blocks if block.norm is not None]
    return layers


def keys_under(prefix, layer):
    """The checkpoint keys of a layer with `prefix/` before them; {} for None."""
    if layer is None:
        return {}
    return {f"{prefix}/{key}": variable for key, variable in layer.checkpoint_keys().items()}
