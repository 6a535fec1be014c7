"""where a workspace stands and what to do next

tfodhelper active status --workspace=growing
"""

from tfodhelper.active_learning.options import WorkspaceOptions
from tfodhelper.cli import flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, WorkspaceOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, WorkspaceOptions)
    from tfodhelper.active_learning.report import reporting

    reporting.say_status(options.workspace)
