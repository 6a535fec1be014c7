"""The study's tables: their cells, their width on the console, and the files for spreadsheets."""

import csv
import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from tests.active_learning import rounds_on_disk as disk
from tfodhelper.active_learning.report import round_facts, tables
from tfodhelper.active_learning.report.tables import Table
from tfodhelper.active_learning.structures import Edits

NAMES_18 = [f"a_character_with_a_long_name_{i:02d}" for i in range(18)]


def make(folder):
    return {
        t.title: t for t in tables.make_tables(round_facts.read_rounds(folder), round_facts.read_class_names(folder))
    }


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_cells_of_two_rounds(tmp_path):
    by_title = make(disk.two_rounds(tmp_path).folder)
    assert by_title["Rounds"].rows == (
        ("1", "4", "-", "5", "6", "4", "2", "2", "0", "0.600", "0.300", "0:00:38"),
        ("2", "6", "+2  50%", "8", "4", "2", "1", "1", "0", "0.700", "0.400", "0:00:32"),
    )
    growing = by_title["Images per class and round"]
    assert growing.header == ("class", "1", "2", "next", "total")
    assert growing.rows == (
        ("cat", "3", "4", "4", "+1  33%"),
        ("dog", "1", "3", "4", "+3 300%"),
        ("all images", "4", "6", "7", "+3  75%"),
    )
    assert by_title["Increase of images per class over the previous round"].rows[1] == ("dog", "+2 200%", "+1  33%")
    assert by_title["Share of the set's images that show a class, the rarest first"].rows == (
        ("dog", "25.0%", "50.0%", "57.1%", "+32.1"),
        ("cat", "75.0%", "66.7%", "57.1%", "-17.9"),
    )
    assert by_title["Train and Validate per class, round 2"].rows[0] == ("cat", "1", "4", "5", "2", "2")
    assert by_title["Average precision at IoU 0.5 by round"].rows == (
        ("cat", "0.800", "0.900", "+0.100"),
        ("dog", "0.400", "-", "-"),
        ("mAP@0.5", "0.600", "0.700", "+0.100"),
        ("mAP@0.5:0.95", "0.300", "0.400", "+0.100"),
    )
    assert by_title["Images not adopted, and why"].rows == (
        ("refused: another class", "1", "1", "2"),
        ("refused: nothing found", "1", "-", "1"),
    )
    # 6 drafted boxes: 2 kept, 1 moved, 1 relabelled, 2 deleted; 5 changes over 3 images.
    assert by_title["Label cost in boxes"].rows == (("1", "3", "2", "1", "1", "1", "2", "0", "1.7", "33.3%"),)
    assert by_title["Time by phase and round, h:mm:ss"].rows[-1] == (
        "total",
        "0:00:38",
        "0:00:32",
        "0:01:11",
        "100.0%",
    )


def test_measured_time_is_part_of_the_label_cost(tmp_path):
    space = disk.start(tmp_path, ["cat"])
    for number, seconds in ((1, (90.0, 30.0)), (2, (None,)), (3, (6.0,))):
        round_ = space.begin_round(number, space.settings)
        answers = [disk.adopted(f"pool/{i}.jpg", ["cat"], Edits(kept=1)) for i in range(len(seconds))]
        disk.add_answers(round_, [dataclasses.replace(a, seconds=s) for a, s in zip(answers, seconds)])
    (table,) = [table for title, table in make(space.folder).items() if title == "Label cost in boxes"]
    assert table.header[-2:] == ("time", "seconds per image")
    times = [("0:02:00", "60.0"), ("-", "-"), ("0:00:06", "6.0"), ("0:02:06", "42.0")]
    assert [row[-2:] for row in table.rows] == times


def test_a_workspace_without_rounds_has_no_tables(tmp_path):
    assert make(disk.start(tmp_path, ["cat"]).folder) == {}


def test_tables_of_18_classes_and_8_rounds_fit_the_console(tmp_path):
    space = disk.start(tmp_path, NAMES_18)
    train = {f"start/{i}.jpg": [NAMES_18[i % 18]] for i in range(1800)}
    edits = Edits(12345, 12345, 12345, 12345, 12345)
    for number in range(1, 9):
        evaluations = [(20000, disk.metrics(0.66, dict.fromkeys(NAMES_18, 0.5)))]
        round_ = disk.add_training(space, number, train, train, evaluations, {"train": 3600 * number})
        names = [f"pool/{number}/{i}.jpg" for i in range(600)]
        disk.add_selection(round_, [disk.chosen(name) for name in names], 1_000_000)
        reason = disk.refused("no", "a reason that says at great length what was wrong with this image of the pool")
        disk.add_answers(round_, [disk.adopted(name, [NAMES_18[0]], edits) for name in names] + [reason])
        disk.finish(round_, train=40000.0, predict=360000.0, select=1.0, ask=1.0, merge=1.0)
        train |= {name: [NAMES_18[0]] for name in names}
    made = make(tmp_path)
    assert len(made) == 9
    for table in made.values():
        lines = tables.format_console(table).splitlines()
        assert max(map(len, lines)) <= 120, table.title
    lines = tables.format_console(made["Images per class and round"]).splitlines()
    assert len(lines) == 1 + 2 + 18 + 1 + 1  # title, header, classes, total, note
    counts = " ".join(map(str, range(700, 5500, 600)))
    assert " ".join(lines[3].split()) == f"a_character_with_a_long… 100 {counts} +4800 4800%"


@given(st.integers(1, 40), st.integers(1, 30), st.text("klm_ ", max_size=60))
def test_a_wide_table_continues_below(columns, width, name):
    header = ("class", *(f"c{i}" for i in range(columns)))
    table = Table("t", header, ((name, *("x" * width for _ in range(columns))),))
    lines = tables.format_console(table).split("\n")
    assert max(map(len, lines)) <= 120
    words = " ".join(lines).split()
    assert [word for word in words if word in header[1:]] == list(header[1:])
    assert words.count("x" * width) == columns


def test_files_for_spreadsheets(tmp_path):
    folder = disk.two_rounds(tmp_path / "w").folder
    rounds, names = round_facts.read_rounds(folder), round_facts.read_class_names(folder)
    curve, classes, times, reasons = map(read_csv, tables.write_tables(tmp_path, rounds, names))
    header = "round,n_images,n_boxes,adopted,refused,kept,moved,relabelled,added,deleted,ignored,mAP50,mAP50-95,seed"
    assert ",".join(curve[0]) == f"{header},label_seconds"
    assert ",".join(curve[0].values()) == "1,4,5,2,2,2,1,1,1,2,0,0.6,0.3,7,"
    assert ",".join(curve[1].values()) == "2,6,8,1,1,,,,,,,0.7,0.4,7,"
    dog = classes[3]
    assert dog == {
        "round": "2",
        "class": "dog",
        "images": "3",
        "increase": "2",
        "increase_percent": "200.0",
        "share_percent": "50.0",
        "boxes": "3",
        "box_share_percent": "37.5",
        "validate_images": "1",
        "validate_boxes": "1",
        "AP50": "",
        "adopted_images": "1",
        "adopted_boxes": "1",
    }
    assert {row["phase"]: row["seconds"] for row in times if row["round"] == "2"}["train"] == "20.0"
    assert reasons[0] == {"round": "1", "verdict": "refused", "reason": "nothing found", "images": "1"}
