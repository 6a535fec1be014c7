"""Flags: the same words everywhere, parsing in words that a user can act on, and the text of --help.

A verb's module defines its flags on a `FlagValues` of its own, so that verbs do not see each other's. The groups below
are for flags that several verbs share.
"""

import difflib
import os
import re
import textwrap

from absl import flags

from tfodhelper import errors

_WIDTH = 100
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_PLACEHOLDERS = {"int": "N", "float": "X", "string": "TEXT", "multi string": "TEXT", "path": "PATH"}


class PathParser(flags.ArgumentParser):
    """A path; a leading ~ is the home folder, which a shell does not replace after a "="."""

    syntactic_help = "a path"

    def parse(self, argument):
        return os.path.expanduser(argument)

    def flag_type(self):
        return "path"


def define_path(fv, name, default, text):
    """Defines a flag that takes a path."""
    flags.DEFINE(PathParser(), name, default, text, flag_values=fv, serializer=flags.ArgumentSerializer())


def define_data_flags(fv):
    """Where the images and the annotations are, and how they are split."""
    define_path(fv, "data_dir", None, "Folder with the images and their LabelImg XML files, searched with its folders.")
    define_path(fv, "image_dir", None, "Folder with the images, where the XML files lie elsewhere.")
    define_path(fv, "annotation_dir", None, "Folder with the XML files; goes with --image_dir.")
    define_path(fv, "train_list", None, "Text file with the stems of the training images, one a line.")
    define_path(fv, "val_list", None, "Text file with the stems of the validation images, one a line.")
    define_path(fv, "test_list", None, "Text file with the stems of the test images, one a line.")
    define_path(fv, "label_map", None, "label_map.pbtxt to use; made from the classes met when left out.")
    flags.DEFINE_float(
        "val_fraction",
        0.2,
        "Share of the images that goes into validation.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=fv,
    )
    text = "Share of the images that goes into a test set, which training never sees."
    flags.DEFINE_float("test_fraction", 0.0, text, 0.0, 1.0, flag_values=fv)
    text = "As in 2/5: the second of five folds is the validation, the others are the training."
    flags.DEFINE_string("fold", None, text, flag_values=fv)
    text = "Keep images together in the split: video (the name without the frame's number), folder, or a regular "
    text += "expression on the name without extension, whose first group is the key."
    flags.DEFINE_string("group_by", None, text, flag_values=fv)
    text = "Keep images that show nearly the same together in the split; all are decoded for it."
    flags.DEFINE_bool("group_near_duplicates", False, text, flag_values=fv)
    flags.DEFINE_bool("strict", False, "Make an error of each image that would be fixed or left out.", flag_values=fv)


def define_check_flags(fv):
    """What may be done about troubles that have no safe answer."""
    text = "Swap the corners of inverted boxes instead of leaving them out."
    flags.DEFINE_bool("swap_inverted", False, text, flag_values=fv)
    text = "Leave out only the boxes of classes that the label map lacks, not their images."
    flags.DEFINE_bool("drop_unknown_classes", False, text, flag_values=fv)


def define_max_shown(fv):
    """How much of what was found is shown."""
    text = "How many findings of one kind are shown; 0 shows all."
    flags.DEFINE_integer("max_shown", 10, text, lower_bound=0, flag_values=fv)


def define_images_flag(fv, default):
    """How images get to a new folder."""
    text = "How images get to the new folder: link (to the originals), copy, or none."
    flags.DEFINE_enum("images", default, ["link", "copy", "none"], text, flag_values=fv)


def define_num_shards(fv):
    """How many files the records are spread over."""
    text = "Record files of the training set; 0 chooses by their size."
    flags.DEFINE_integer("num_shards", 0, text, lower_bound=0, flag_values=fv)


def define_reading(fv, validate):
    """How images are read: whether they are decoded, and by how many processes."""
    text = "How images are validated: header, or full, which decodes each and finds damage inside."
    flags.DEFINE_enum("validate", validate, ["header", "full"], text, flag_values=fv)
    text = "Processes that read and write; 0 takes one a processor. The result is the same."
    flags.DEFINE_integer("num_workers", 0, text, 0, flag_values=fv)


def data_options(fv):
    """What the flags of data say: keyword arguments of `records.convert.ConvertOptions` but for output and seed."""
    names = ("data_dir", "image_dir", "annotation_dir", "train_list", "val_list", "label_map", "val_fraction")
    names += ("test_list", "test_fraction", "fold", "group_by", "group_near_duplicates", "validate", "num_workers")
    names += ("strict", "swap_inverted", "drop_unknown_classes", "num_shards")
    return {name: fv[name].value for name in names if name in fv}


def define_seed(fv, default=0):
    """The seed of everything that is drawn at random."""
    flags.DEFINE_integer("seed", default, "Seed of all that is drawn at random.", lower_bound=0, flag_values=fv)


def define_output_dir(fv, text, default=None):
    """--output_dir, with what this verb writes there."""
    define_path(fv, "output_dir", default, text)


def define_model_flags(fv):
    """Which model, and what changes in its pipeline.config."""
    flags.DEFINE_string("model", None, "Model of the zoo; `tfodhelper zoo` lists them.", flag_values=fv)
    flags.DEFINE_integer("num_steps", None, "Steps of training.", lower_bound=1, flag_values=fv)
    flags.DEFINE_integer("batch_size", None, "Images a step.", lower_bound=1, flag_values=fv)
    flags.DEFINE_float(
        "learning_rate", None, "Base learning rate; scaled to the batch size when left out.", flag_values=fv
    )
    define_path(
        fv,
        "fine_tune_checkpoint",
        "zoo",
        "Where training starts: zoo (the model's published weights), a path to a checkpoint, or none.",
    )
    flags.DEFINE_multi_string(
        "set", [], "Change one field, as in train_config.batch_size=4; may be given several times.", flag_values=fv
    )
    define_path(fv, "cache_dir", None, "Folder of downloaded models; else $TFODHELPER_CACHE or ~/.cache/tfodhelper.")
    flags.DEFINE_bool(
        "ignore_unsupported_fields",
        False,
        "Warn of unsupported fields and continue.",
        flag_values=fv,
    )


def define_training_flags(fv):
    """How the training runs."""
    flags.DEFINE_integer(
        "eval_every", None, "Steps between evaluations; a tenth of the steps when left out.", 1, flag_values=fv
    )
    text = "Steps between checkpoints; else at every evaluation, at most 1000 steps."
    flags.DEFINE_integer("checkpoint_every", None, text, 1, flag_values=fv)
    define_sampling(fv)
    define_strategy(fv)


def define_sampling(fv):
    """Which images an epoch of training reads."""
    text = "Images of an epoch: base, as stored; random, with replacement; balanced, each class equally often."
    flags.DEFINE_enum("sampling", "base", ["base", "random", "balanced"], text, flag_values=fv)
    text = "Share of images without objects in an epoch; as stored when left out, 0 leaves them out."
    flags.DEFINE_float("negatives", None, text, 0.0, 1.0, flag_values=fv)


def define_strategy(fv):
    """Which devices are used."""
    text = "Name or grpc address of the TPU, with --strategy=tpu; else the TPU of this machine."
    flags.DEFINE_string("tpu_address", None, text, flag_values=fv)
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "cpu", "gpu", "mirrored", "multi_worker", "tpu"],
        "Which devices train.",
        flag_values=fv,
    )


def train_options(fv, num_steps=None):
    """The `TrainOptions` that the flags of training say; without `num_steps`, those of an evaluation."""
    from tfodhelper.inputs import sampling
    from tfodhelper.training import loop

    options = loop.TrainOptions(strategy=fv.strategy, tpu_address=fv.tpu_address)
    if num_steps is not None:
        options.seed = fv.seed
        options.eval_every = min(num_steps, fv.eval_every or max(1, num_steps // 10))
        options.checkpoint_every = fv.checkpoint_every
        options.sampling = sampling.Sampling(fv.sampling, fv.negatives)
    return options


def define_pipeline_config_path(fv, text="The pipeline.config to use."):
    """--pipeline_config_path, as in the Object Detection API's programs."""
    define_path(fv, "pipeline_config_path", None, text)


def require(fv, *names):
    """Checks that flags are given.

    Raises:
      UsageError: naming the ones that are not.
    """
    missing = [name for name in names if fv[name].value is None]
    if missing:
        raise errors.UsageError(
            "missing: " + ", ".join(f"--{name}" for name in missing),
            expected="; ".join(f"--{name}: {_help_of(fv[name])}" for name in missing),
        )


def refuse_arguments(args):
    """Checks that nothing is left of the command line; for verbs that take flags only.

    Raises:
      UsageError: naming what is left.
    """
    if args:
        raise errors.UsageError(
            f"{args[0]!r} is no flag, and this verb takes only flags",
            fix="flags are written --name=value; a value with spaces needs quotes",
        )


def make_flag_values(module):
    """A `FlagValues` with the flags of a verb's module."""
    fv = flags.FlagValues()
    fv.set_gnu_getopt(True)
    module.define_flags(fv)
    return fv


def parse(fv, argv):
    """Parses a verb's part of the command line.

    Args:
      fv: the verb's `FlagValues`.
      argv: strings after the verb.

    Returns:
      The arguments that are no flags.

    Raises:
      UsageError: naming the flag, what it takes and what came.
    """
    for argument in argv:
        _check_argument(fv, argument)
    try:
        args = fv(["tfodhelper", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(fv, error.flagname) from error
    except flags.IllegalFlagValueError as error:
        raise _explain_illegal_value(fv, error) from error
    except (flags.Error, ValueError) as error:
        raise errors.UsageError(str(error), expected="--name=value; --help lists the flags") from error
    for name in fv:
        value = fv[name].value
        if isinstance(value, str) and value.startswith("--"):
            raise errors.UsageError(f"--{name} is given without a value", received=value, expected=_help_of(fv[name]))
    return args


def _check_argument(fv, argument):
    """Refuses a flag with an empty value, as an unset shell variable leaves it."""
    match = re.fullmatch(r"--?(\w+)=(.*)", argument, re.DOTALL)
    if not match or match[1] not in fv:
        return
    if not match[2].strip():
        raise errors.UsageError(f"--{match[1]} is given without a value", expected=_help_of(fv[match[1]]))


def _unknown_flag(fv, name):
    names = list(fv)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near += [other for other in names if name in other.split("_") and other not in near]
    if near:
        fix = "did you mean " + " or ".join(f"--{other}" for other in near[:3]) + "?"
    else:
        fix = "--help lists the flags"
    return errors.UsageError(f"unknown flag --{name}", fix=fix)


def _explain_illegal_value(fv, error):
    match = re.match(r"flag --(\w+)=(.*?): (.*)", str(error), re.DOTALL)
    if not match or match[1] not in fv:
        return errors.UsageError(str(error))
    flag = fv[match[1]]
    expected = _KINDS.get(flag.flag_type(), flag.flag_type())
    if _choices(flag):
        expected = "one of " + ", ".join(_choices(flag))
    elif flag.parser.syntactic_help:
        expected = flag.parser.syntactic_help
    return errors.UsageError(f"--{match[1]} cannot be that", expected=expected, received=match[2])


def format_help(verb, module, fv):
    """The text of `tfodhelper VERB --help`: what the verb does, and its flags with their defaults."""
    summary, _, body = (module.__doc__ or "").strip().partition("\n")
    parts = [f"tfodhelper {verb}: {summary}"]
    if body.strip():
        parts.append(textwrap.dedent(body).strip("\n").rstrip())
    parts.append("Flags:\n" + "\n".join(_format_flag(fv[name]) for name in fv))
    return "\n\n".join(parts) + "\n"


def _choices(flag):
    return getattr(flag.parser, "enum_values", ())


def _help_of(flag):
    """The text that the flag was defined with, without what absl adds to it."""
    text = " ".join((flag.help or "").split())
    text = text.removesuffix("; repeat this option to specify a list of values")
    return re.sub(r"^<[^>]*>: ", "", text) if _choices(flag) else text


def _format_flag(flag):
    head = f"  --{flag.name}"
    if flag.boolean:
        head = f"  --[no]{flag.name}"
    elif _choices(flag):
        head += "=" + "|".join(_choices(flag))
    else:
        head += "=" + _PLACEHOLDERS.get(flag.flag_type(), "VALUE")
    text = _help_of(flag)
    if flag.default is not None and flag.default is not False and flag.default != []:
        text += f" Default: {flag.default}."
    return head + "\n" + textwrap.fill(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
