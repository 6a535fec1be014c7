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


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureOptions(options.Options):
    """How the sets of `sample_from_datasets_weights` after the first one are treated; see `inputs.adopted`."""

    title = "Training"

    strong_augmentation: bool = options.option(
        False,
        "Also distorts colors, adds noise and blackens patches in the images of all sets of records but the first one, "
        "where sample_from_datasets_weights mixes several.",
    )
    ramp_steps: int = options.option(
        0, "Steps over which the weights of the boxes of these images grow to what they are.", least=0
    )
