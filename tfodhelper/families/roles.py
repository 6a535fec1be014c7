"""The roles of a detector's parts: which are restored for each type of fine-tuning checkpoint, which can be frozen."""

from tfodhelper import errors

BACKBONE = "backbone"  # from images to feature maps; classification networks have it too
CLASSIFIER = "classifier"  # the rest of a classification network, which checkpoints of some detectors contain
NECK = "neck"  # from feature maps to other feature maps
REGION_FEATURES = "region features"  # from crops of feature maps to features; classification networks do not have it
PROPOSAL_HEAD = "proposal head"  # from feature maps to boxes of any object
HEAD = "head"  # from features to the detector's predictions

ALL = frozenset({BACKBONE, CLASSIFIER, NECK, REGION_FEATURES, PROPOSAL_HEAD, HEAD})

# fine_tune_checkpoint_type -> roles of the parts to restore, as in the Object Detection API.
CHECKPOINT_TYPES = {
    "classification": frozenset({BACKBONE, CLASSIFIER}),
    "detection": frozenset({BACKBONE, CLASSIFIER, NECK, REGION_FEATURES}),
    "full": ALL,
}

# Name of what can be frozen -> roles of the parts that are: all from the images up to there.
FREEZABLE = {
    BACKBONE: frozenset({BACKBONE, CLASSIFIER}),
    NECK: frozenset({BACKBONE, CLASSIFIER, NECK}),
}


def restored_by(checkpoint_type):
    """Roles of the parts that are restored for a type of checkpoint.

    Raises:
      ConfigError: the type is unknown.
    """
    if checkpoint_type not in CHECKPOINT_TYPES:
        raise errors.ConfigError(
            "train_config.fine_tune_checkpoint_type is unknown",
            expected=" or ".join(CHECKPOINT_TYPES),
            received=checkpoint_type,
        )
    return CHECKPOINT_TYPES[checkpoint_type]
