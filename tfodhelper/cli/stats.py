"""what a set looks like: classes, boxes, sizes, shapes, classes seen together, anchors

    tfodhelper stats --data_dir=FOLDER --output_dir=stats

Counts images, boxes and classes per side of the split, boxes per image and class, sizes (small is below 32 x 32
pixels), boxes beyond 4:1 and 1:4 ("twisted"), the share of the image that objects cover, and which classes occur
together. It recommends anchors by k-means with 1 - IoU. With --output_dir, all of it is also written as CSV files and
pictures.

With --features, a run folder, a folder with pipeline.config and a checkpoint, or a SavedModel that returns features,
the distance (1 - cosine) of objects within and between classes is measured; only this needs TensorFlow.
"""

import functools

from tfodhelper import console, invocation, tensorflow_setup
from tfodhelper.cli import flagging, option_flags
from tfodhelper.dataset.analysis.options import StatsOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, StatsOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, StatsOptions).located()
    from tfodhelper.dataset.analysis import set_statistics

    set_statistics.describe_set(options, _make_extractor(options) if options.features else None)
    data = {name: getattr(options, name) for name in ("data_dir", "image_dir", "annotation_dir", "label_map")}
    console.say_next(invocation.format_command("convert", **data, output_dir="data"))


def _make_extractor(options):
    """The function by which `describe_set` gets features of objects."""
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper import features

    extractor = features.build_extractor(options.features, trust_model=options.trust_model)
    return functools.partial(features.extract_features, extractor)
