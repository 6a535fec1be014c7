"""The roles that parts of a detector play, and which of them each type of fine-tuning checkpoint fills."""

from tfodhelper import errors

BACKBONE = "backbone"  # images to feature maps; a classification network has it as well
NECK = "neck"  # feature maps to other feature maps
REGION_FEATURES = "region features"  # crops of feature maps to features; no classification network has it
PROPOSAL_HEAD = "proposal head"  # feature maps to boxes of any object
HEAD = "head"  # features to what the detector predicts

ALL = frozenset({BACKBONE, NECK, REGION_FEATURES, PROPOSAL_HEAD, HEAD})

# fine_tune_checkpoint_type -> roles of the parts that are restored, as in the Object Detection API.
CHECKPOINT_TYPES = {
    "classification": frozenset({BACKBONE}),
    "detection": frozenset({BACKBONE, NECK, REGION_FEATURES}),
    "full": ALL,
}


def restored_by(checkpoint_type):
    """Roles of the parts that a checkpoint of a type fills.

    Raises:
      ConfigError: on an unknown type.
    """
    if checkpoint_type not in CHECKPOINT_TYPES:
        raise errors.ConfigError(
            "train_config.fine_tune_checkpoint_type is unknown",
            expected=" or ".join(CHECKPOINT_TYPES),
            received=checkpoint_type,
        )
    return CHECKPOINT_TYPES[checkpoint_type]
