"""predict a share of the pool, on several machines at once

    tfodhelper active round --workspace=growing --until=train
    tfodhelper active predict --workspace=growing --shard=1/2      (and 2/2 elsewhere, at the same time)
    tfodhelper active round --workspace=growing

All see the same workspace. What one of them left undone, `active round` does.
"""

from absl import flags

from tfodhelper import console, tensorflow_setup
from tfodhelper.cli import active_flags, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)
    flags.DEFINE_string("shard", "1/1", "As in 2/3: the second of three shares.", flag_values=fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    from tfodhelper.dataset import plan

    shard = plan.parse_part(fv.shard, "--shard")
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.active_learning import rounds
    from tfodhelper.prediction import servable

    servable.run_each_call_on_one_core()
    rounds.predict_share(fv.workspace, shard)
    console.say_next(f"tfodhelper active round --workspace={fv.workspace}      (when all shares are done)")
