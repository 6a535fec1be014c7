"""where a workspace stands and what to do next

tfodhelper active status --workspace=growing
"""

from tfodhelper.cli import active_flags, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.active_learning.report import reporting

    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    reporting.say_status(fv.workspace)
