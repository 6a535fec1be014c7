"""What may be said about the images that a training reads."""

import dataclasses

from tfodhelper import options

BASE, RANDOM, BALANCED = "base", "random", "balanced"
MODES = {BASE: "as stored", RANDOM: "drawn with replacement", BALANCED: "every class equally often"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions(options.Options):
    """Which images an epoch of training reads; see `inputs.sampling.Sampling`."""

    title = "Training"

    sampling: str = options.option(BASE, "Which images an epoch reads.", choices=MODES)
    negatives: float | None = options.option(
        None,
        "Fraction of images without objects in an epoch; 0 leaves them out. When omitted, as many as are stored.",
        least=0,
        most=1,
    )
