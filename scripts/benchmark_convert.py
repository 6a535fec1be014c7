#!/usr/bin/env python3
"""Images per second of `tfodhelper convert`, compared with a straightforward single-process writer on the same files.

    python scripts/benchmark_convert.py [--num_images=20000] [--rounds=3] [--data_dir=FOLDER] [--few=300]
    python scripts/benchmark_convert.py --num_images=1000000 --memory_only

The straightforward writer reads each XML file with lxml, the image's size from its header with Pillow, and writes
tf.train.Examples with tf.io.TFRecordWriter, one after the other: no check, no split, no manifest. Both run in turn,
each in its own process, and are measured from the start of the interpreter to its end, so that start-up counts. The
table shows wall-clock time, processor time, and the peak resident memory over all processes of the conversion. Other
users of the machine distort the wall-clock time, so the load is printed too.

The images are drawn once (160 x 120 pixels, about 4 KB, one to three boxes; beyond 20,000 they differ in a comment
only), or taken from --data_dir, where NAME.xml is next to each NAME.jpg.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SIZE_PX = (160, 120)
CLASSES = ("buoy", "boat", "bird", "kite")
_SAMPLE_EVERY_S = 0.05
_NUM_DRAWN = 20_000


def main():
    """Draws the images, runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_images", type=int, default=20_000)
    parser.add_argument("--few", type=int, default=300, help="size of the small set, for start-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory_only", action="store_true", help="leave out the rounds")
    parser.add_argument("--data_dir", help="images and XML files side by side; drawn when left out")
    parser.add_argument("--part", nargs=2, metavar=("DATA", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        write_straightforward(pathlib.Path(arguments.part[0]), arguments.part[1])
        return
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        data = pathlib.Path(arguments.data_dir or work / "images")
        if not arguments.data_dir:
            draw_images(data, arguments.num_images)
        few, tenth = work / "few", work / "tenth"
        num_images = link_first(data, work / "all", None)
        link_first(data, few, arguments.few)
        link_first(data, tenth, num_images // 10)
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.2f} at the start")
        if not arguments.memory_only:
            compare(f"{num_images} images", work / "all", num_images, work, arguments.rounds)
            compare(f"{arguments.few} images", few, arguments.few, work, arguments.rounds)
        measure_memory(work, {num_images // 10: tenth, num_images: work / "all"})


def draw_images(folder, count):
    """Draws `count` images of noise and boxes; all differ."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(min(count, _NUM_DRAWN)):
        ground = chance.integers(60, 200, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(ground).resize(SIZE_PX, Image.Resampling.BICUBIC)
        objects = []
        for _ in range(1 + number % 3):
            x, y = (int(chance.integers(1, side - 40)) for side in SIZE_PX)
            w, h = (int(side) for side in chance.integers(8, 38, 2))
            image.paste(tuple(int(v) for v in chance.integers(0, 256, 3)), (x, y, x + w, y + h))
            objects.append((CLASSES[int(chance.integers(len(CLASSES)))], x, y, x + w, y + h))
        image.save(folder / f"img_{number:06d}.jpg", quality=85)
        (folder / f"img_{number:06d}.xml").write_text(to_xml(f"img_{number:06d}.jpg", objects), encoding="utf-8")
    for number in range(_NUM_DRAWN, count):
        copy_with_comment(folder, f"img_{number % _NUM_DRAWN:06d}", f"img_{number:06d}")


def copy_with_comment(folder, name, new_name):
    """Copies an image with its XML file; the new name is a comment in the JPEG file, so that its bytes differ."""
    data, comment = (folder / f"{name}.jpg").read_bytes(), new_name.encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    (folder / f"{new_name}.jpg").write_bytes(data[:2] + segment + data[2:])
    text = (folder / f"{name}.xml").read_text(encoding="utf-8")
    (folder / f"{new_name}.xml").write_text(text.replace(name, new_name), encoding="utf-8")


def to_xml(filename, objects):
    """The text of an annotation file."""
    body = "".join(
        f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{xmin}</xmin>\n\t\t\t<ymin>{ymin}</ymin>\n"
        f"\t\t\t<xmax>{xmax}</xmax>\n\t\t\t<ymax>{ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for name, xmin, ymin, xmax, ymax in objects
    )
    return (
        f"<annotation>\n\t<folder>images</folder>\n\t<filename>{filename}</filename>\n"
        f"\t<path>{filename}</path>\n\t<source>\n\t\t<database>Unknown</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{SIZE_PX[0]}</width>\n\t\t<height>{SIZE_PX[1]}</height>\n\t\t<depth>3</depth>\n"
        f"\t</size>\n\t<segmented>0</segmented>\n{body}</annotation>\n"
    )


def link_first(source, target, count):
    """Links the first `count` images (None: all) with their XML files into a folder; returns how many there are."""
    target.mkdir()
    names = sorted(path.stem for path in source.glob("*.xml"))[:count]
    for name in names:
        for ending in (".jpg", ".xml"):
            os.link(source / (name + ending), target / (name + ending))
    return len(names)


def compare(title, data, num_images, work, rounds):
    """Prints one line per round and the medians."""
    print(f"\n{title}\n{'':8}{'convert':>36}{'straightforward':>36}{'of which':>10}{'':8}{'without':>10}")
    head = f"{'s':>8}{'CPU s':>8}{'img/s':>10}{'peak MB':>10}" * 2
    print(f"{'round':8}{head}{'start s':>10}{'ratio':>8}{'start':>10}{'load':>7}")
    ratios, bare_ratios = [], []
    for number in range(1, rounds + 1):
        ours = measure(convert_command(data, work / "out"), work / "out")
        theirs = measure([sys.executable, __file__, "--part", str(data), str(work / "plain.record")], None)
        (work / "plain.record").unlink()
        start = theirs["seconds"] - json.loads(theirs["said"].splitlines()[-1])["seconds"]
        ratios.append(theirs["seconds"] / ours["seconds"])
        bare_ratios.append((theirs["seconds"] - start) / ours["seconds"])
        cells = "".join(
            f"{m['seconds']:8.2f}{m['cpu_s']:8.2f}{num_images / m['seconds']:10.0f}{m['peak_mb']:10.0f}"
            for m in (ours, theirs)
        )
        last = f"{start:10.2f}{ratios[-1]:8.2f}{bare_ratios[-1]:10.2f}{os.getloadavg()[0]:7.2f}"
        print(f"{number:<8}{cells}{last}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}; {statistics.median(bare_ratios):.2f} if only convert starts")


def measure_memory(work, sets):
    """Peak memory of the conversion for sets of several sizes."""
    print("\nmemory of convert over all its processes")
    peaks = {
        count: measure(convert_command(data, work / "out"), work / "out")["peak_mb"] for count, data in sets.items()
    }
    for count, peak in peaks.items():
        print(f"  {count:8d} images: {peak:8.1f} MB")
    (few, low), (many, high) = sorted(peaks.items())
    print(f"  {(high - low) * 1024 / (many - few):.2f} KB per additional image")


def convert_command(data, output):
    return [sys.executable, "-m", "tfodhelper", "convert", f"--data_dir={data}", f"--output_dir={output}"]


def measure(command, output):
    """Runs a command; wall clock, processor time with its children, and peak memory summed over its processes."""
    if output is not None:
        subprocess.run(["rm", "-rf", str(output)], check=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    said, errors = process.communicate()
    seconds = time.perf_counter() - start
    watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak[0], "said": said.decode(errors="replace")}


def _watch(process, peak):
    """Keeps the greatest sum of private memory over a process and its children; pages that they share count once."""
    import psutil

    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            family = [parent, *parent.children(recursive=True)]
            # Linux: the proportional set size divides shared pages among those that share them.
            peak[0] = max(peak[0], sum(member.memory_full_info().pss for member in family) / 2**20)
        except (psutil.Error, AttributeError):
            pass  # it ended between two looks
        time.sleep(_SAMPLE_EVERY_S)


def write_straightforward(data, output):
    """The yardstick: one image after the other."""
    import hashlib
    import io

    import tensorflow as tf
    from lxml import etree
    from PIL import Image

    def ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def texts(values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    begin = time.perf_counter()
    ids = {name: number for number, name in enumerate(CLASSES, start=1)}
    with tf.io.TFRecordWriter(output) as writer:
        for path in sorted(data.glob("*.xml")):
            root = etree.fromstring(path.read_bytes())
            encoded = path.with_suffix(".jpg").read_bytes()
            width, height = Image.open(io.BytesIO(encoded)).size
            objects = root.findall("object")
            corners = [
                [float(o.find("bndbox").findtext(tag)) for tag in ("xmin", "xmax", "ymin", "ymax")] for o in objects
            ]
            names = [o.findtext("name") for o in objects]
            for name in names:
                ids.setdefault(name, len(ids) + 1)
            filename = root.findtext("filename").encode()
            feature = {
                "image/height": ints([height]),
                "image/width": ints([width]),
                "image/filename": texts([filename]),
                "image/source_id": texts([filename]),
                "image/key/sha256": texts([hashlib.sha256(encoded).hexdigest().encode()]),
                "image/encoded": texts([encoded]),
                "image/format": texts([b"jpeg"]),
                "image/object/bbox/xmin": floats([c[0] / width for c in corners]),
                "image/object/bbox/xmax": floats([c[1] / width for c in corners]),
                "image/object/bbox/ymin": floats([c[2] / height for c in corners]),
                "image/object/bbox/ymax": floats([c[3] / height for c in corners]),
                "image/object/class/text": texts([name.encode() for name in names]),
                "image/object/class/label": ints([ids[name] for name in names]),
                "image/object/difficult": ints([int(o.findtext("difficult")) for o in objects]),
                "image/object/truncated": ints([int(o.findtext("truncated")) for o in objects]),
                "image/object/view": texts([o.findtext("pose").encode() for o in objects]),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    print(json.dumps({"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
