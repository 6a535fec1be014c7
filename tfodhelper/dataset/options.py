"""Options for a dataset: where it is, how it is split, and how faults are treated; nothing here reads the data."""

import dataclasses
import re

from tfodhelper import errors, options, storage

HEADER, FULL = "header", "full"  # how images are validated
LINK, COPY, NONE = "link", "copy", "none"  # how images get to a new folder

_IDENTITY = ("val_fraction", "test_fraction", "fold", "group_by", "group_near_duplicates", "seed")
_IDENTITY += ("swap_inverted", "drop_unknown_classes", "validate")
_LATER = ("split_by_folder", "corner_order")  # only if they are used: existing conversions do not mention them
_LISTS = ("train_list", "val_list", "test_list")
_FILES = ("train_list", "val_list", "test_list", "label_map")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOptions(options.Options):
    """Where images and annotations are; see `discover.make_source`."""

    title = "Images and annotations"

    data_dir: options.Path | None = options.option(
        None,
        "Folder with images and their LabelImg XML files; its subfolders are searched, too. When omitted, the usual "
        "layouts are looked for in the current folder.",
    )
    image_dir: options.Path | None = options.option(
        None, "Folder with the images, when the XML files are in another folder."
    )
    annotation_dir: options.Path | None = options.option(None, "Folder with the XML files; requires --image_dir.")
    label_map: options.Path | None = options.option(
        None, "label_map.pbtxt to use; when omitted, one is made from the classes that occur."
    )

    def located(self):
        """These options with the folders of the images: as given, or as found; see `data_folders.fill_in`."""
        from tfodhelper.dataset import data_folders

        return data_folders.fill_in(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitOptions(options.Options):
    """Which images are for training, validation and test."""

    title = "Split"

    val_fraction: float = options.option(
        0.2,
        "Fraction of the images used for validation.",
        least=0,
        most=1,
        not_with=(*_LISTS, "fold", "split_by_folder"),
    )
    test_fraction: float = options.option(
        0.0,
        "Fraction of the images set aside as a test set, which training never sees.",
        least=0,
        most=1,
        not_with=_LISTS,
    )
    train_list: options.Path | None = options.option(
        None, "Text file that lists the training images, one name without extension per line."
    )
    val_list: options.Path | None = options.option(None, "The same for the validation images.")
    test_list: options.Path | None = options.option(None, "The same for the test images.")
    split_by_folder: bool = options.option(
        False,
        "Uses folders named train, valid and test as the split; if there is none for validation, test is used for it.",
    )
    fold: str | None = options.option(
        None, "Such as 2/5: the second of five folds is for validation, the others are for training."
    )
    group_by: str | None = options.option(
        None,
        "Keeps images together in the split: video (images whose names differ only in the frame number), folder, or a "
        "regular expression for the name without extension; images with the same first group stay together.",
        not_with=_LISTS,
    )
    group_near_duplicates: bool = options.option(
        False,
        "Keeps images that look nearly the same together in the split; decodes all images.",
        not_with=_LISTS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaultOptions(options.Options):
    """How to treat faults in the data that have no safe correction."""

    title = "Faults in the data"

    strict: bool = options.option(False, "Treats every image that would be corrected or left out as an error.")
    swap_inverted: bool = options.option(False, "Swaps the corners of inverted boxes instead of leaving the boxes out.")
    corner_order: str | None = options.option(
        None,
        "What the tags xmin, ymin, xmax and ymax contain if a program filled them in a different order, such as "
        "xmin,xmax,ymin,ymax or xmin,ymin,width,height.",
    )
    drop_unknown_classes: bool = options.option(
        False, "Leaves out only the boxes of classes that are not in the label map, instead of their images."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetOptions(FaultOptions, SplitOptions, SourceOptions):
    """A dataset and how it is used. `check_early` finds errors before any image is read."""

    title = "Processing"

    validate: str = options.option(
        FULL,
        "How images are validated.",
        choices={HEADER: "reads their headers", FULL: "decodes each image, which also finds damage inside"},
    )
    num_workers: int = options.option(
        0, "Number of processes that read and write; 0 starts one per processor. The result is the same.", least=0
    )
    seed: int = options.seed_option()

    def make_source(self):
        """The folders, checked; see `discover.make_source`."""
        from tfodhelper.dataset.scan import discover

        return discover.make_source(self.data_dir, self.image_dir, self.annotation_dir)

    def make_check_options(self):
        """The `checks.CheckOptions` of the faults in the data.

        Raises:
          UsageError: --corner_order is invalid.
        """
        from tfodhelper.annotations import checks, corner_order

        order = corner_order.parse_order(self.corner_order) if self.corner_order else None
        return checks.CheckOptions(self.swap_inverted, self.drop_unknown_classes, order)

    def check_early(self):
        """Checks everything that can be checked before any image is read: folders, fractions, lists, label map.

        Raises:
          UsageError, DatasetError, AnnotationError: an input cannot be used.
        """
        from tfodhelper.annotations import label_map as label_maps
        from tfodhelper.dataset.split import groups, image_lists, split

        split.check_fractions(self.val_fraction, self.test_fraction)
        if self.fold:
            parse_part(self.fold, "--fold")
        if self.fold and (self.test_fraction or any(self.lists)):
            raise errors.UsageError(
                "--fold cannot be combined with --test_fraction, --train_list, --val_list or --test_list"
            )
        if self.split_by_folder:
            self._check_split_by_folder()
        groups.make_key(self.group_by)
        self.make_check_options()
        self.make_source()
        for path in self.lists:
            if path:
                image_lists.read_list(path)
        if self.label_map:
            label_maps.read_label_map(self.label_map)

    def _check_split_by_folder(self):
        others = ("test_fraction", "train_list", "val_list", "test_list", "fold", "group_by", "group_near_duplicates")
        given = [f"--{name}" for name in others if getattr(self, name)]
        if given:
            raise errors.UsageError(f"--split_by_folder cannot be combined with {', '.join(given)}", fix="use only one")

    @property
    def lists(self):
        """The paths of the lists of training, validation and test; None where there is no list."""
        return self.train_list, self.val_list, self.test_list

    @property
    def most_compared(self):
        """Up to how many images are compared with each other to find those that look the same on different sides."""
        return 0

    def identity(self):
        """Everything that the result depends on besides images and annotations, as plain values."""
        files = {name: getattr(self, name) for name in _FILES}
        digests = {f"{name}_sha256": storage.sha256_of(path) if path else None for name, path in files.items()}
        later = {name: getattr(self, name) for name in _LATER if getattr(self, name)}
        return {name: getattr(self, name) for name in _IDENTITY} | later | digests


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownOptions(options.Options):
    """How much of a report is shown."""

    title = "Report"

    max_shown: int = options.option(10, "How many findings of one kind are shown; 0 shows all.", least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListsOptions(SetOptions):
    """Options of the verb `split`, which writes lists of the images of a split or of folds."""

    title = "Result"

    num_folds: int | None = options.option(
        None,
        "Number of folds, instead of a single split.",
        least=2,
        not_with=(*_LISTS, "fold", "split_by_folder", "val_fraction", "test_fraction"),
    )
    output_dir: options.Path = options.option(options.REQUIRED, "Folder for the lists.")
    validate: str = options.like(SetOptions, "validate", HEADER)


def parse_part(text, flag):
    """Parses text like "2/5" into (number, count) with 1 <= number <= count.

    Raises:
      UsageError: the text has another form.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise errors.UsageError(f"{flag}={text}: invalid value", expected="NUMBER/COUNT, such as 2/5", received=text)
    return int(match[1]), int(match[2])
