"""Which classes a checkpoint was trained with: the label map that belongs to it."""

import contextlib
import dataclasses
import pathlib
import re

from tfodhelper import errors, spelling
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import label_maps as known_label_maps
from tfodhelper.config import pipeline as pipelines
from tfodhelper.zoo import base_configs, catalogue

_BESIDE = "label_map.pbtxt"
_DIGEST = re.compile(r"-[0-9a-f]{16}$")  # what the cache adds to the name of an archive of the user
# Dataset that a published model was trained on -> label map; those of several versions are tried in turn.
_OF_DATASETS = {
    "COCO": ("mscoco",),
    "COCO 2017": ("mscoco",),
    "AVA v2.1": ("ava_label_map_v2.1",),
    "KITTI": ("kitti",),
    "Open Images": ("oid_v4", "oid_bbox_trainable"),
    "iNaturalist Species": ("fgvc_2854_classes",),
    "Snapshot Serengeti": ("snapshot_serengeti",),
}
_SHOWN = 12  # names in a line


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A label map that may be the one of a checkpoint, and where it is from."""

    label_map: label_maps.LabelMap
    source: str


@dataclasses.dataclass(frozen=True)
class KnownClasses:
    """Classes of a model that a checkpoint knows by name.

    Attributes:
      source_of: {class of the model: class of the checkpoint}, both 0-based.
      text: which are known and which are new, in lines.
    """

    source_of: dict
    text: str


def find_label_map(prefix, num_classes, given=None):
    """Finds the label map of a checkpoint.

    Without `given`, it is `label_map.pbtxt` beside the checkpoint or in its run folder; else that of the dataset on
    which the model of the zoo was trained whose name the folder has; else the one that the pipeline.config beside it
    names.

    Args:
      prefix: of the checkpoint.
      num_classes: of the checkpoint, which has to be the largest id of the label map.
      given: as --checkpoint_label_map: a path or the name of a known label map; None: not given.

    Returns:
      A `Candidate`.

    Raises:
      CheckpointError: none has this number of classes.
      AnnotationError, ConfigError, UsageError: see `config.label_maps.find_label_map`.
    """
    if given is not None:
        path = known_label_maps.find_label_map(given)
        candidates = [Candidate(label_maps.read_label_map(path), str(path))]
    else:
        candidates = [*_beside(pathlib.Path(prefix)), *of_zoo(pathlib.Path(prefix)), *_of_config(pathlib.Path(prefix))]
    for candidate in candidates:
        if candidate.label_map.num_classes == num_classes:
            return candidate
    tried = [f"{each.source}, whose largest id is {each.label_map.num_classes}" for each in candidates]
    raise errors.CheckpointError(
        f"{prefix}: the names of its classes are not known, and so none can be kept",
        expected=f"a label map whose largest id is {num_classes}, since the checkpoint has "
        + spelling.count(num_classes, "class"),
        received="; ".join(tried) or f"no {_BESIDE} beside it, and no folder with the name of a model of the zoo",
        fix="--checkpoint_label_map=PATH, or the name of a label map: "
        + ", ".join(name.removesuffix("_label_map") for name in base_configs.label_map_names()),
    )


def _beside(prefix):
    """Label maps in the folder of a checkpoint, in the export and in the run folder around it."""
    folders = list(prefix.parents)[:3]
    for folder in (*folders[:2], *(folder / "data" for folder in folders)):
        if (folder / _BESIDE).is_file():
            yield Candidate(label_maps.read_label_map(folder / _BESIDE), str(folder / _BESIDE))


def of_zoo(prefix):
    """Label maps of the datasets of the models of the zoo that folders around a checkpoint are named after."""
    for folder in list(prefix.parents)[:3]:
        with contextlib.suppress(errors.ZooError):
            model = catalogue.find_model(_DIGEST.sub("", folder.name)) if folder.name else None
            for name in _OF_DATASETS.get(model.trained_on, ()) if model else ():
                path = base_configs.label_map_path(name)
                yield Candidate(label_maps.read_label_map(path), f"{pathlib.Path(path).name}, of {model.trained_on}")


def _of_config(prefix):
    """The label map that the pipeline.config beside a checkpoint names."""
    for folder in list(prefix.parents)[:2]:
        if not (folder / "pipeline.config").is_file():
            continue
        with contextlib.suppress(errors.ConfigError):
            path = pathlib.Path(pipelines.read_pipeline(folder / "pipeline.config").train_input_reader.label_map_path)
            if path.is_file():
                yield Candidate(label_maps.read_label_map(path), str(path))


def match_classes(label_map, candidate):
    """Finds the classes of a model among those of a checkpoint: those of the same name, whatever the case of letters.

    Args:
      label_map: the `LabelMap` of the model.
      candidate: the `Candidate` of the checkpoint.

    Returns:
      `KnownClasses`.

    Raises:
      CheckpointError: there is none.
    """
    known = {}
    for item in candidate.label_map:
        for name in _names(item):
            known.setdefault(name.casefold(), item)
    pairs = {
        item: known.get(next((n for n in map(str.casefold, _names(item)) if n in known), "")) for item in label_map
    }
    kept = [item for item, other in pairs.items() if other is not None]
    new = [item for item in label_map if pairs[item] is None]
    if not kept:
        raise errors.CheckpointError(
            f"--keep_classes: no class of this data is one of the checkpoint's, by {candidate.source}",
            expected="at least one of " + _brief([item.shown_name for item in candidate.label_map]),
            received=_brief([_with_hint(item, known) for item in new]),
            fix="name the classes as the checkpoint does, or leave out --keep_classes",
        )
    text = f"classes: {len(kept)} of {len(label_map)} kept from the checkpoint ({candidate.source}): "
    text += _brief([item.name for item in kept])
    if new:
        text += f"\n  {len(new)} new, with initial values: " + _brief([_with_hint(item, known) for item in new])
    return KnownClasses({item.id - 1: pairs[item].id - 1 for item in kept}, text)


def _names(item):
    return [name for name in (item.name, item.display_name) if name]


def _with_hint(item, known):
    near = spelling.nearest(item.name, list(known), count=1, cutoff=0.75)
    return item.name + (f" (the checkpoint has {known[near[0]].shown_name})" if near else "")


def _brief(names):
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
