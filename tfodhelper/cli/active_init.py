"""make a workspace of labelled images, validation and pool

    tfodhelper active init --workspace=growing --data_dir=photos --model=ssd_mobilenet_v1 --oracle=labelimg

The labelled images are in --data_dir, as for `run`. Some of them, or the images of --val_dir, become the validation,
which then stays the same. The pool is --pool_dir, or the images of --data_dir that have no XML file. Images of the pool
that are already labelled, or look nearly the same as a validation image, are kept out and listed in pool_refused.csv.

The flags of training, selection and oracle apply to all rounds; `active round` and `active run` take the same flags to
change them from a round on.
"""

import dataclasses

from tfodhelper import console, invocation
from tfodhelper.active_learning.options import InitOptions
from tfodhelper.cli import active_flags, flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, InitOptions)
    active_flags.define_settings(fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, InitOptions)
    options = dataclasses.replace(options, settings=active_flags.read_settings(fv))
    from tfodhelper.active_learning import create_workspace

    started = create_workspace.init(options)
    rows = [("labelled", started.num_labelled), ("validation", started.num_validation), ("pool", started.num_pool)]
    rows += [(f"kept out: {reason}", count) for reason, count in sorted(started.refused.items())]
    console.say(console.format_table(("images", "number"), rows, numbers=(1,)))
    console.say(f"rule {fv.rule}, oracle {fv.oracle}; the workspace is {options.workspace}")
    console.say_next(
        invocation.format_command("active round", workspace=options.workspace),
        invocation.format_command("active run", rounds=3, workspace=options.workspace),
    )
