"""The Beam pipeline with the local runner: the records of `convert`, what is left out, identical images together."""

import collections
import shutil

import pytest

import tfodhelper
from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.structures import Box
from tfodhelper.records import reader

apache_beam = pytest.importorskip("apache_beam", reason="needs the extra beam")


def test_the_direct_runner(tmp_path):
    data = save_set(tmp_path / "data", ["cat", "dog"], 10)
    for ending in (".jpg", ".xml"):
        shutil.copy(data / f"cat_000{ending}", data / f"copy{ending}")
    save_image(data / "pool.jpg", seed=500)
    save_pair(data, "bird", [Box("bird", 1, 1, 20, 20)], seed=501)
    label_map = label_maps.make_label_map(["cat", "dog"])
    tfodhelper.convert_with_beam(
        str(data / "*"), tmp_path / "out", label_map, val_fraction=0.3, num_shards=2, argv=["--runner=DirectRunner"]
    )
    sides = collections.defaultdict(set)
    for path in sorted((tmp_path / "out").glob("*.record-*")):
        for start, length in reader.iterate_spans(path):
            with open(path, "rb") as file:
                file.seek(start)
                content = file.read(length)
            for name in [p.name for p in data.glob("*.jpg")]:
                if name.encode() in content:
                    sides[path.name.split(".")[0]].add(name)
                    assert (data / name).read_bytes() in content
    assert sides["train"] | sides["validate"] == {p.name for p in data.glob("*.jpg")} - {"pool.jpg", "bird.jpg"}
    assert not sides["train"] & sides["validate"]
    assert any({"cat_000.jpg", "copy.jpg"} <= names for names in sides.values())
    left_out = "".join(path.read_text() for path in (tmp_path / "out").glob("left_out*"))
    assert "unlabelled" in left_out and "class-unknown" in left_out
