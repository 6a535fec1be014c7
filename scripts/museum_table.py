"""Prints the results for a folder with cases of annotation problems: case, file, what happened, findings.

  python scripts/museum_table.py FOLDER [--markdown]

Each folder below FOLDER is treated as a separate dataset, as by `check`; record files are read as
`import --from=records` reads them. Every file of a case is in the table.
"""

import argparse
import contextlib
import io
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfodhelper import console, errors  # noqa: E402
from tfodhelper.annotations import findings, images  # noqa: E402
from tfodhelper.dataset import plan  # noqa: E402
from tfodhelper.formats import tfrecord  # noqa: E402


def list_all(folder):
    """Names of all files of a case, including hidden ones."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def describe_case(folder):
    """Rows (file, what happened, findings) of one case."""
    names = list_all(folder)
    if any(name.endswith(".record") for name in names):
        return [row for name in names for row in describe_record(folder, name)]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            planned = plan.make_plan(plan.SetOptions(data_dir=folder), show_progress=False)
    except errors.DatasetError as error:
        seen = [name for name in names if is_looked_at(name)]
        said = str(error).replace(f"{folder}: ", "").splitlines()
        verdict = "the dataset is rejected" if seen else "ignored"
        return [(name, verdict, "; ".join(line.strip() for line in said) if name in seen[:1] else "") for name in names]
    rows = [describe_file(planned, name) for name in names]
    if any(finding.code == "annotations-conflict" for finding in planned.findings):
        rows += describe_one_by_one(folder)
    return rows


def describe_one_by_one(folder):
    """Rows for each folder of annotation files on its own, if the folders contradict each other."""
    for path in sorted({path.parent for path in folder.rglob("*.xml")}):
        options = plan.SetOptions(image_dir=folder, annotation_dir=path)
        with contextlib.redirect_stdout(io.StringIO()):
            alone = plan.make_plan(options, show_progress=False)
        for name in list_all(path):
            file, happened, said = describe_file(alone, name)
            boxes = sum(alone.examination.count_boxes().values())
            yield f"{path.name}/{file} alone", f"{happened}; {boxes} boxes", said


def is_looked_at(name):
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and os.path.splitext(name)[1].lower() in (*images.EXTENSIONS, ".xml")


def describe_file(planned, name):
    said = [finding for finding in planned.findings if finding.file == name and finding.code != "class-few"]
    text = "; ".join(f"{finding.severity} {finding.code}: {finding.message.split(': ', 1)[1]}" for finding in said)
    usable = {image.name: image for image in planned.examination.images}
    if name in usable:
        image = usable[name]
        boxes = len(image.annotation.boxes)
        verb = "rotated, re-encoded" if image.turn else "re-encoded" if image.facts.reencode_reason else "used as it is"
        happened = f"{verb}, {boxes} boxes" if boxes else f"{verb}, a negative"
    elif name in {image.xml for image in usable.values()}:
        happened = "used"
    elif not is_looked_at(name):
        happened = "ignored"
    elif name in planned.examination.unlabelled:
        happened = "left out: unlabelled"
    else:
        actions = sorted({finding.action for finding in said if finding.action not in (findings.KEPT, findings.FIXED)})
        happened = ", ".join(actions) or "left out with its annotation file"
    return name, happened, text


def describe_record(folder, name):
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        made = tfrecord.import_records({"train": folder / name}, out)
    counts = ", ".join(f"{key} {value}" for key, value in made.counts.items())
    said = ", ".join(f"{code} {count}" for code, count in findings.count_codes(made.findings).items())
    first = made.findings[0].message.rsplit("/", 1)[-1] if made.findings else ""
    yield name, f"read from the bytes: {made.num_images} images, {made.num_boxes} boxes ({counts})", f"{said}; {first}"


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    rows = []
    for case in sorted(path for path in args.folder.iterdir() if path.is_dir()):
        rows += [(case.name, *row) for row in describe_case(case)]
    header = ("case", "file", "what happened", "findings")
    if args.markdown:
        rows = [header, ("---",) * 4, *rows]
        print("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows))
    else:
        print(console.format_table(header, rows))


if __name__ == "__main__":
    main()
