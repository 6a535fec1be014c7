"""Makes a workspace of labelled images, validation images and a pool (`active init`); originals are not changed."""

import collections
import dataclasses
import os
import pathlib

from tfodhelper import console, errors, own_files, sheets, spelling, storage
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.oracles import image_labels
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import ERROR
from tfodhelper.dataset import placing, plan
from tfodhelper.dataset.scan import near_duplicates
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.prediction import sources

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class InitResult:
    """What `init` made.

    Attributes:
      workspace: the `Workspace`.
      num_labelled, num_validation, num_pool: images.
      refused: {reason: number of images kept out of the pool}.
    """

    workspace: workspace.Workspace
    num_labelled: int
    num_validation: int
    num_pool: int
    refused: dict


def init(options):
    """Makes a workspace.

    Args:
      options: `options.InitOptions`.

    Returns:
      `InitResult`.

    Raises:
      UsageError, DatasetError, AnnotationError: the input cannot be used; no workspace is left behind.
    """
    folder = pathlib.Path(options.workspace)
    if (folder / workspace.NAME).exists():
        raise errors.UsageError(
            f"{folder}: is already a workspace",
            fix="continue it with `tfodhelper active round`, or choose another folder with --workspace",
        )
    if options.image_labels is None and options.settings.get("oracle", {}).get("name") == "image_label":
        raise errors.UsageError(
            "missing: --image_labels",
            expected="what the images of the pool are known to show",
            fix="use --image_labels=folder, or the path of a CSV file",
        )
    _check_folder(folder)
    options = options.located()
    given = _find_named_pool(options)
    labelled, validation = _plan(options)
    storage.make_folder(folder)
    with storage.hold(folder), console.process_log(folder / "process.log"):
        _remove_leftovers(folder)
        label_maps.write_label_map(folder / "label_map.pbtxt", labelled.label_map)
        placed = _link_images(folder / "set" / "labelled", labelled.images_of(TRAIN))
        held_out = _link_images(folder / "set" / "validation", validation)
        rows = [(f"labelled/{name}", str(image.path.absolute())) for image, name in placed]
        sheets.write_csv(folder / "labelled.csv", workspace.LABELLED_HEADER, rows)
        names = "".join(f"validation/{name}\n" for _, name in held_out)
        storage.write_text(folder / "validation.txt", names)
        pool_images, classes_of = given or _find_unlabelled(options, labelled)
        num_pool, refused = _write_pool(folder, pool_images, classes_of, labelled, validation)
        workspace.write_new(folder, options.settings)
    return InitResult(workspace.Workspace(folder), len(placed), len(held_out), num_pool, refused)


def _find_named_pool(options):
    """(images of `pool_dir`, {name: classes}), or None; wrong paths are reported before hours of reading."""
    if options.pool_dir:
        skipped = []
        pool_images = sources.find_images([options.pool_dir], skipped.append)
        sources.warn_of_skipped(skipped)
        return pool_images, _read_image_labels(options, pool_images)
    if options.image_labels:
        image_labels.check_source(options.image_labels)
    return None


def _find_unlabelled(options, labelled):
    """As `_find_named_pool`, for the images without XML among the labelled ones."""
    source = labelled.examination.source
    names = labelled.examination.unlabelled
    if not names:
        raise errors.DatasetError(
            f"{source.image_dir}: every image has an XML file, so there is no pool",
            fix="use --pool_dir with a folder of unlabelled images",
        )
    pool_images = [sources.Source(source.image_dir / name, name) for name in names]
    return pool_images, _read_image_labels(options, pool_images)


def _read_image_labels(options, pool_images):
    return image_labels.read_image_labels(options.image_labels, pool_images) if options.image_labels else {}


def _plan(options):
    """(plan of the labelled images, `UsableImage`s of the validation)."""
    data = options
    if options.val_dir:
        data = dataclasses.replace(options, val_fraction=0.0)
        for name in ("val_list", "train_list", "test_list", "fold"):
            if getattr(options, name):
                raise errors.UsageError(f"--val_dir cannot be combined with --{name}", fix="use one of the two")
    labelled = plan.make_plan(data)
    _warn_of_errors(labelled)
    labelled.check(options.strict, is_validated=not options.val_dir)
    if not options.val_dir:
        validation = labelled.images_of(VALIDATE)
    else:
        validation = _plan_validation(options, labelled)
    if not validation:
        raise errors.DatasetError(
            "no images are left for validation, so rounds could not be compared",
            fix="use --val_dir=FOLDER, or a --val_fraction above 0",
        )
    return labelled, validation


def _plan_validation(options, labelled):
    """The images of `val_dir`, checked against the classes of the labelled ones."""
    planned = plan.make_plan(plan.SetOptions(data_dir=options.val_dir, val_fraction=0.0))
    _warn_of_errors(planned)
    known, usable, unknown = {item.name for item in labelled.label_map}, [], collections.Counter()
    for image in planned.images_of(TRAIN):
        strange = set(image.labels) - known
        unknown.update(strange)
        if not strange:
            usable.append(image)
    for name, count in sorted(unknown.items()):
        left_out = f"{spelling.count(count, 'validation image')} left out"
        console.warn(f"{options.val_dir}: class {name!r} has no labelled image; {left_out}")
    return usable


def _warn_of_errors(planned):
    for finding in planned.findings:
        if finding.severity == ERROR:
            console.warn(f"{finding.code}: {finding.message}")


def _check_folder(folder):
    own = {"set", "label_map.pbtxt", "labelled.csv", "validation.txt", "pool.csv", "pool_refused.csv"}
    own |= {".lock", "process.log"}
    if folder.is_dir():
        own_files.remove_dead(folder)
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in own) if folder.is_dir() else []
    if strangers:
        raise errors.UsageError(
            f"--workspace={folder} contains other files",
            expected="an empty or new folder",
            received=", ".join(strangers[:_SHOWN]),
            fix="choose another folder; existing files are never overwritten",
        )


def _remove_leftovers(folder):
    """Removes the links and XML files that an interrupted `init` left behind."""
    tree = folder / "set"
    for parent, names, files in os.walk(tree, topdown=False):
        for name in files:
            (pathlib.Path(parent) / name).unlink()
        for name in names:
            path = pathlib.Path(parent) / name
            path.unlink() if path.is_symlink() else path.rmdir()


def _link_images(folder, images):
    """Links images with corrected XML into a folder; returns [(image, name)]."""
    names = placing.Names([image.name for image in images])
    folder.mkdir(parents=True, exist_ok=True)
    return [(image, placing.place_corrected(image, folder, names, placing.LINK)) for image in images]


def _write_pool(folder, pool_images, classes_of, labelled, validation):
    """Writes pool.csv and pool_refused.csv; returns (number of images, {reason: number refused})."""
    guard = _Guard(labelled.images_of(TRAIN), validation)
    with console.Progress("pool images compared with the validation set", len(pool_images)) as progress:
        hashes = near_duplicates.hash_files("/", [str(source.path.absolute()) for source in pool_images], progress)
    stems, pool, refused = placing.FreeNames(), [], []
    for source in pool_images:
        path = str(source.path.absolute())
        reason = guard.refuse(path, hashes[path])
        if reason:
            refused.append((path, reason))
        else:
            stem, ending = os.path.splitext(source.name)  # each image has an XML file of its own
            pool.append((f"pool/{stems.take(stem)}{ending}", path, classes_of.get(source.name)))
    if not pool:
        raise errors.DatasetError(
            "the pool contains no images to label",
            received=f"{spelling.count(len(pool_images), 'image')}, all refused; the first {refused[0][1]}"
            if refused
            else "no images",
            fix="use --pool_dir with a folder of unlabelled images",
        )
    rows = ((name, path, workspace.join_classes(classes)) for name, path, classes in pool)
    sheets.write_csv(folder / "pool.csv", workspace.POOL_HEADER, rows)
    sheets.write_csv(folder / "pool_refused.csv", workspace.REFUSED_HEADER, refused)
    _warn_of_unknown_classes(pool, labelled.label_map)
    return len(pool), collections.Counter(reason.split(":")[0] for _, reason in refused)


def _warn_of_unknown_classes(pool, label_map):
    known = {item.name for item in label_map}
    unknown = collections.Counter(name for _, _, classes in pool for name in classes or () if name not in known)
    for name, count in sorted(unknown.items()):
        shown = spelling.count(count, "image of the pool shows", "images of the pool show")
        console.warn(
            f"class {name!r}: {shown} it, but no labelled image does; the detector cannot find it, so none will be "
            "adopted until some are labelled"
        )


class _Guard:
    """Keeps images out of the pool that are already labelled or that show what the validation set shows."""

    def __init__(self, labelled, validation):
        self._real = {os.path.realpath(image.path): "is already labelled" for image in labelled}
        self._real |= {os.path.realpath(image.path): "is a validation image" for image in validation}
        self._digests = {image.sha256: f"is the same file as a labelled image: {image.name}" for image in labelled}
        self._digests |= {image.sha256: f"is the same file as a validation image: {image.name}" for image in validation}
        self._sizes = {image.num_bytes for image in (*labelled, *validation)}
        paths = {str(image.path.absolute()): image.name for image in validation}
        hashes = near_duplicates.hash_files("/", list(paths))
        self._near = near_duplicates.Lookup({paths[path]: hash_ for path, hash_ in hashes.items()})

    def refuse(self, path, hash_):
        """Why an image does not belong to the pool, or None."""
        reason = self._real.get(os.path.realpath(path))
        if reason is None and os.path.getsize(path) in self._sizes:
            reason = self._digests.get(storage.sha256_of(path))
        if reason is None and hash_ is not None:
            near = self._near.find(hash_)
            reason = f"looks almost the same as a validation image: {near}" if near else None
        return reason
