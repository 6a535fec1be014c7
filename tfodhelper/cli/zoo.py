"""list the published models

    tfodhelper zoo
    tfodhelper zoo ssd mobilenet

Shows the models of the Object Detection API, of both its generations: speed (milliseconds per image) and mAP as
published, what the model answers, what it was trained on, and whether it can be trained here. Words narrow the list to
the models that have all of them. --model takes a name from the list, its beginning, or a short name such as
ssd_mobilenet_v1.
"""

from tfodhelper import console
from tfodhelper.cli import option_flags
from tfodhelper.zoo.options import ListOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, ListOptions)


def main(fv, args):
    """Runs the verb."""
    options = option_flags.read_options(fv, ListOptions)
    from tfodhelper.zoo import listing

    name = listing.say_models(options, " ".join(args))
    console.say_next(f"tfodhelper run --data_dir=FOLDER --model={name} --output_dir=runs/first")
