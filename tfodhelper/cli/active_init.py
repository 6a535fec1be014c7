"""make a workspace of labelled images, validation and pool

    tfodhelper active init --workspace=growing --data_dir=photos --model=ssd_mobilenet_v1 --oracle=labelimg

The labelled images lie in --data_dir, as for `run`; a share of them becomes the validation, once and for ever, or the
images of --val_dir do. The pool is --pool_dir, or the images of --data_dir that have no XML file. Images of the pool
that are labelled already, or show nearly the same as a validation image, are kept out and listed in pool_refused.csv.

The flags of training, selection and oracle hold for all rounds; `active round` and `active run` take the same ones to
change them from a round on.
"""

from tfodhelper import console
from tfodhelper.cli import active_flags, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)
    flagging.define_path(fv, "pool_dir", None, "Folder of the images to label.")
    flagging.define_path(fv, "val_dir", None, "Folder of labelled images that are the validation, all of them.")
    text = "What the pool's images are known to show: folder (each image lies in a folder named by its class), or the "
    text += "path of a CSV with the columns image and class or classes."
    flagging.define_path(fv, "image_labels", None, text)
    flagging.define_data_flags(fv)
    flagging.define_check_flags(fv)
    flagging.define_reading(fv, "full")
    active_flags.define_settings(fv)


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.active_learning import create_workspace
    from tfodhelper.dataset import plan

    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    settings = active_flags.settings(fv)
    if fv.oracle == "image_label":
        flagging.require(fv, "image_labels")
    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    started = create_workspace.init(
        create_workspace.InitOptions(
            workspace=fv.workspace,
            data={name: fv[name].value for name in names},
            val_dir=fv.val_dir,
            pool_dir=fv.pool_dir,
            image_labels=fv.image_labels,
            settings=settings,
        )
    )
    rows = [("labelled", started.num_labelled), ("validation", started.num_validation), ("pool", started.num_pool)]
    rows += [(f"kept out: {reason}", count) for reason, count in sorted(started.refused.items())]
    console.say(console.format_table(("images", "number"), rows, numbers=(1,)))
    console.say(f"rule {fv.rule}, oracle {fv.oracle}; the workspace is {fv.workspace}")
    console.say_next(
        f"tfodhelper active round --workspace={fv.workspace}",
        f"tfodhelper active run --rounds=3 --workspace={fv.workspace}",
    )
