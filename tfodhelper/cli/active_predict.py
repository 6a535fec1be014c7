"""predict a share of the pool, on several machines at once

    tfodhelper active round --workspace=growing --until=train
    tfodhelper active predict --workspace=growing --shard=1/2      (and 2/2 elsewhere, at the same time)
    tfodhelper active round --workspace=growing

All machines see the same workspace. Whatever they leave undone, `active round` does.
"""

from tfodhelper import console, invocation, tensorflow_setup
from tfodhelper.active_learning.options import PredictShareOptions
from tfodhelper.cli import flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, PredictShareOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, PredictShareOptions)
    shard = options.parse_shard()
    tensorflow_setup.prepare_training()  # as the processes that train and predict the rest
    from tfodhelper.active_learning import rounds
    from tfodhelper.prediction import servable

    servable.run_each_call_on_one_core()
    rounds.predict_share(options.workspace, shard)
    command = invocation.format_command("active round", workspace=options.workspace)
    console.say_next(f"{command}      (when all shares are done)")
