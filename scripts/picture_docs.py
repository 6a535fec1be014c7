"""Makes the pictures of README.md and docs/ from a finished `scripts/demo`.

    python scripts/picture_docs.py [runs/demo]

docs/images/detections.jpg shows what the detector of the demo finds on the first drawn images that it has never seen.
docs/images/run.jpg is a part of the page of its run, report.html: training, classes and the first curves.
docs/images/report.jpg is the page of `check --model` for drawn images, of which some labels were made wrong on purpose.
The screenshots need Chromium (`apt install chromium`).
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from PIL import Image

import tfodhelper

IMAGES = pathlib.Path(__file__).resolve().parents[1] / "docs/images"
WIDTH = 1000  # of all pictures, pixels
PART_OF_CHECK, PART_OF_RUN = (0, 860), (1630, 3050)  # rows of pixels of the pages
ROW_HEIGHT, GAP, WHITE = 250, 8, (255, 255, 255)
QUALITY = 82
QUALITY_OF_PAGES = 65
NUM_ROWS, NUM_CHECKED = 2, 24


def make_sheet(paths):
    """Lays the first pictures out in rows of one width and returns the image."""
    pictures = [Image.open(path).convert("RGB") for path in paths]
    rows, row = [], []
    for picture in pictures:
        row.append(picture.resize((round(picture.width * ROW_HEIGHT / picture.height), ROW_HEIGHT), Image.LANCZOS))
        if len(rows) < NUM_ROWS and sum(image.width + GAP for image in row) >= WIDTH:
            rows.append(_fit(row))
            row = []
    height = sum(image.height + GAP for image in rows) - GAP
    sheet = Image.new("RGB", (WIDTH, height), WHITE)
    top = 0
    for image in rows:
        sheet.paste(image, (0, top))
        top += image.height + GAP
    return sheet


def _fit(row):
    """A row of images, scaled to the width of the sheet."""
    strip = Image.new("RGB", (sum(image.width + GAP for image in row) - GAP, ROW_HEIGHT), WHITE)
    left = 0
    for image in row:
        strip.paste(image, (left, 0))
        left += image.width + GAP
    return strip.resize((WIDTH, round(ROW_HEIGHT * WIDTH / strip.width)), Image.LANCZOS)


def spoil_labels(source, target):
    """Copies images with their XML; every fourth set of labels loses a box or gets a wrong class."""
    names = sorted(path.stem for path in source.glob("*.xml"))[:NUM_CHECKED]
    for number, name in enumerate(names):
        annotation = tfodhelper.read_annotation(source / f"{name}.xml")
        shutil.copy(source / annotation.filename, target)
        boxes = list(annotation.boxes)
        if number % 8 == 3 and boxes:
            boxes.pop(0)
        elif number % 8 == 6 and boxes:
            boxes[0] = dataclasses.replace(boxes[0], name="star" if boxes[0].name == "circle" else "circle")
        tfodhelper.write_annotation(target / f"{name}.xml", dataclasses.replace(annotation, boxes=tuple(boxes)))


def take_screenshot(page, target, rows):
    """Takes rows of pixels of a page, with Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("error: Chromium is not installed\n  fix: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        screenshot = pathlib.Path(folder) / "page.png"
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--window-size={WIDTH},{rows[1]}", f"--screenshot={screenshot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        part = Image.open(screenshot).convert("RGB").crop((0, rows[0], WIDTH, rows[1]))
        part.save(target, quality=QUALITY_OF_PAGES, optimize=True)


def main():
    """Makes all pictures."""
    demo = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo").resolve()
    IMAGES.mkdir(exist_ok=True)
    pictures = sorted((demo / "predictions/pictures").iterdir())
    make_sheet(pictures).save(IMAGES / "detections.jpg", quality=QUALITY, optimize=True)
    take_screenshot(demo / "run/report.html", IMAGES / "run.jpg", PART_OF_RUN)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        labelled = pathlib.Path("shapes")
        labelled.mkdir()
        spoil_labels(demo / "images", labelled)
        tfodhelper.check(data_dir=labelled, model=demo / "run", output_dir="report")
        take_screenshot(pathlib.Path("report/report.html").resolve(), IMAGES / "report.jpg", PART_OF_CHECK)
    for path in sorted(IMAGES.glob("*.jpg")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
