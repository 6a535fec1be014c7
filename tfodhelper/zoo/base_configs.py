"""The base pipeline.config files and label maps that are shipped with the program.

In a checkout they are in `pipelines/` and `labelmaps/` next to the package, in an installation inside it.
"""

import pathlib

from tfodhelper import errors, spelling


def folder(name):
    """The folder "pipelines" or "labelmaps".

    Raises:
      ConfigError: the installation lacks it.
    """
    package = pathlib.Path(__file__).resolve().parents[1]
    for path in (package / name, package.parent / name):
        if path.is_dir():
            return path
    raise errors.ConfigError(
        f"the folder {name} is missing from the installation of tfodhelper in {package}",
        fix="reinstall tfodhelper",
    )


def base_names():
    """Sorted names of the models with a base file, which are those that can be trained."""
    return tuple(sorted(path.name.removesuffix(".config") for path in folder("pipelines").glob("*.config")))


def base_pipeline_path(name):
    """Path of a base file.

    Args:
      name: one of `base_names`, the name of the model's archive in the zoo.

    Raises:
      ConfigError: there is none; the message names the most similar one.
    """
    if name not in base_names():
        near = spelling.nearest(name, base_names(), count=1)
        raise errors.ConfigError(
            f"{name} cannot be trained here yet: there is no base pipeline.config for it",
            fix="`tfodhelper zoo --trainable` lists the models that can be trained"
            + (f"; the one with the most similar name is {near[0]}" if near else ""),
        )
    return folder("pipelines") / f"{name}.config"


def label_map_names():
    """Sorted names of the label maps of well-known datasets: "mscoco", "pascal" and others."""
    return tuple(sorted(path.name.removesuffix(".pbtxt") for path in folder("labelmaps").glob("*.pbtxt")))


def label_map_path(name):
    """Path of the label map of a well-known dataset.

    Args:
      name: "mscoco", "mscoco_label_map" or "mscoco_label_map.pbtxt".

    Raises:
      ConfigError: there is none; the message lists the existing ones.
    """
    wanted = name.removesuffix(".pbtxt")
    for known in label_map_names():
        if wanted in (known, known.replace("_label_map", "")):
            return folder("labelmaps") / f"{known}.pbtxt"
    raise errors.ConfigError(f"there is no label map {name!r}", expected="one of " + ", ".join(label_map_names()))
