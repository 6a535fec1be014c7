"""Lists the published models: implements the verb `zoo`."""

import math

from tfodhelper import console, errors, spelling
from tfodhelper.zoo import catalogue


def say_models(options, words=""):
    """Prints the models.

    Args:
      options: a `ListOptions`.
      words: only models that match all of these words are listed.

    Returns:
      The short name of a model that can be trained: the fastest of the newer generation in the list.

    Raises:
      ZooError: no model matches all words.
    """
    models = [model for model in catalogue.list_models(words) if model.trainable_here or not options.trainable]
    if not models:
        near = catalogue.near_models(words)
        raise errors.ZooError(
            f"no model matches {words!r}",
            fix=f"did you mean {' or '.join(near)}?" if near else "`tfodhelper zoo` without words lists all models",
        )
    console.say(catalogue.format_models(models))
    if options.url:
        console.say("")
        for model in models:
            console.say(f"{model.name}: {model.url}")
    console.say("")
    trainable = [model for model in models if model.trainable_here]
    console.say(f"{spelling.count(len(models), 'model')}, {len(trainable)} of them can be trained here")
    return catalogue.preferred_name(min(trainable, key=_newest_and_fastest).name) if trainable else "ssd_mobilenet_v2"


def _newest_and_fastest(model):
    speed = float(model.speed_ms) if model.speed_ms.isdecimal() else math.inf
    return model.generation != "tf2", speed
