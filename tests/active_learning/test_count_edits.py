"""What drafts save, counted by hand: scripts/count_edits.py on a workspace with made-up predictions."""

import csv
import importlib.util

import pytest

from tests.active_learning import rounds_on_disk as disk
from tests.dataset.scan.picture_set import save_image
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.active_learning.adoption import law
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box

FIRST, SECOND = (0, 0, 20, 20), (30, 20, 50, 40)
NEAR = (0, 0, 20, 12)  # IoU 0.6 with FIRST


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("count_edits", REPOSITORY / "scripts" / "count_edits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def space(tmp_path, monkeypatch):
    """Two cats, of which one is found badly; a dog taken for a cat; nothing, where a cat is found; no truth."""
    truths = {"a": [("cat", FIRST), ("cat", SECOND)], "b": [("dog", FIRST)], "c": []}
    pool = [(f"pool/{name}.jpg", str(save_image(tmp_path / "photos" / f"{name}.jpg"))) for name in "abcd"]
    space = disk.start(tmp_path / "w", ["cat", "dog"], pool)
    for name, objects in truths.items():
        boxes = tuple(Box(label, *corners) for label, corners in objects)
        (tmp_path / "truth").mkdir(exist_ok=True)
        labelimg.write_labelimg(tmp_path / "truth" / f"{name}.xml", Annotation(f"{name}.jpg", 64, 48, boxes))
    round_ = space.begin_round(1, disk.SETTINGS)
    found = {
        "pool/a.jpg": [("cat", 0.9, SECOND), ("cat", 0.6, NEAR), ("dog", 0.3, (40, 0, 60, 15))],
        "pool/b.jpg": [("cat", 0.8, FIRST), ("dog", 0.4, SECOND)],
        "pool/c.jpg": [("cat", 0.55, FIRST)],
        "pool/d.jpg": [("cat", 0.9, FIRST)],
    }
    disk.add_predictions(round_, found)
    disk.finish(round_, train=1.0, predict=1.0)

    def find_zones(evaluation_dir, oracle, prediction):
        oracle.zones = {"cat": Zone(0.7), "dog": Zone(0.35)}

    monkeypatch.setattr(law, "find_zones", find_zones)
    return space


def run(script, space, monkeypatch, *flags):
    """{(kind, score): cells of summary.csv behind them, as numbers}, and the rows of edits.csv."""
    folder = space.folder.parent
    argv = ["count_edits.py", f"--workspace={space.folder}", f"--truth_dir={folder / 'truth'}"]
    monkeypatch.setattr("sys.argv", [*argv, f"--output_dir={folder / 'out'}", *flags])
    script.main()
    with open(folder / "out" / "summary.csv", newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == script.SUMMARY_HEADER and {line[0] for line in lines} == {"round 1"}
    table = {(line[1], float(line[2])): tuple(map(float, line[3:])) for line in lines}
    with open(folder / "out" / "edits.csv", newline="") as file:
        return table, list(csv.DictReader(file))


def summary(with_draft, kept, moved, relabelled, added, deleted):
    """Of three images with three objects."""
    number = moved + relabelled + added + deleted
    counts = (kept, moved, relabelled, added, deleted, 0)  # nothing is ignored in the truth
    return pytest.approx((3, with_draft, *counts, number / 3, 1.0, 1 - number / 3))


def test_edits_by_kind_of_draft_and_score(script, space, monkeypatch, capsys):
    table, rows = run(script, space, monkeypatch, "--scores=0.2,0.5,0.85")
    assert table == {
        # a: one cat kept, one moved, a dog deleted; b: the cat becomes a dog, a dog is deleted; c: a cat is deleted
        ("draft", 0.2): summary(3, kept=1, moved=1, relabelled=1, added=0, deleted=3),
        ("draft", 0.5): summary(3, kept=1, moved=1, relabelled=1, added=0, deleted=1),
        ("draft", 0.85): summary(1, kept=1, moved=0, relabelled=0, added=2, deleted=0),
        # a: the dog becomes a cat; b: the cat is known to be a dog; c: known to show nothing
        ("known", 0.2): summary(2, kept=2, moved=1, relabelled=0, added=0, deleted=2),
        ("known", 0.5): summary(2, kept=2, moved=1, relabelled=0, added=0, deleted=0),
        ("known", 0.85): summary(1, kept=1, moved=0, relabelled=0, added=2, deleted=0),
        # a: the best cat; b: refused, since the best detection is a cat; c: known to show nothing
        **{
            ("best", score): summary(1, kept=1, moved=0, relabelled=0, added=2, deleted=0) for score in (0.2, 0.5, 0.85)
        },
        ("all", 0.2): summary(1, kept=1, moved=1, relabelled=0, added=1, deleted=0),
        ("all", 0.5): summary(1, kept=1, moved=1, relabelled=0, added=1, deleted=0),
        ("all", 0.85): summary(1, kept=1, moved=0, relabelled=0, added=2, deleted=0),
        # a: the second cat is in the zone of ignored regions; b: the cat is known to be a dog, a dog is deleted
        ("zones", 0.2): summary(2, kept=2, moved=0, relabelled=0, added=1, deleted=1),
        ("zones", 0.5): summary(2, kept=2, moved=0, relabelled=0, added=1, deleted=0),
        ("zones", 0.85): summary(1, kept=1, moved=0, relabelled=0, added=2, deleted=0),
    }
    said = capsys.readouterr()
    assert "round 1: 1 x the image has no truth file" in said.err
    assert "edits per image" in said.out and "-67%" in said.out  # five edits in place of three
    assert len(rows) == 3 * 5 * 3
    (row,) = [row for row in rows if (row["draft"], row["score_from"], row["image"]) == ("draft", "0.2", "pool/a.jpg")]
    assert [row[name] for name in ("objects", "kept", "moved", "deleted", "added", "edits")] == list("211102")


def test_a_box_that_fits_well_enough_is_left_as_it_is(script, space, monkeypatch):
    table, _ = run(script, space, monkeypatch, "--scores=0.5", "--keep_iou=0.55")
    assert table["draft", 0.5] == summary(3, kept=2, moved=0, relabelled=1, added=0, deleted=1)


def test_rounds_without_predictions_are_refused(script, space, monkeypatch):
    with pytest.raises(errors.DatasetError, match="no such round has predicted its pool"):
        run(script, space, monkeypatch, "--rounds=2")
