"""list the published models

    tfodhelper zoo
    tfodhelper zoo ssd mobilenet

Shows the models that the Object Detection API published, in both its generations: speed (milliseconds an image) and
mAP as they were published, what the model answers, what it was trained on, and whether it can be trained here. Words
narrow the list to the models that have all of them. A name of the list, its beginning or a short name such as
ssd_mobilenet_v1 is what --model takes.
"""

from absl import flags

from tfodhelper import console, errors


def define_flags(fv):
    """Defines the flags of this verb."""
    flags.DEFINE_bool("trainable", False, "Only models that can be trained here.", flag_values=fv)
    flags.DEFINE_bool("url", False, "Where each archive was published, too.", flag_values=fv)


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.zoo import catalogue

    text = " ".join(args)
    models = [model for model in catalogue.list_models(text) if model.trainable_here or not fv.trainable]
    if not models:
        near = catalogue.near_models(text)
        raise errors.ZooError(
            f"no model fits {text!r}",
            fix=f"did you mean {' or '.join(near)}?" if near else "`tfodhelper zoo` without words lists all",
        )
    console.say(catalogue.format_models(models))
    if fv.url:
        console.say("")
        for model in models:
            console.say(f"{model.name}: {model.url}")
    console.say("")
    trainable = [model.name for model in models if model.trainable_here]
    console.say(f"{len(models)} models, {len(trainable)} of them can be trained here")
    name = catalogue.preferred_name(trainable[0]) if trainable else "ssd_mobilenet_v1"
    console.say_next(f"tfodhelper run --data_dir=FOLDER --model={name} --output_dir=runs/first")
