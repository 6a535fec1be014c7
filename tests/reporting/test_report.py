"""The report of a run: its figures are those of the stored detections, and names are only text."""

import re
import shlex

import numpy as np
import pytest
from lxml import html

import tfodhelper
from tests.reporting import stored_run
from tfodhelper import errors, options, run_layout, run_options
from tfodhelper.cli import flagging, main, option_flags
from tfodhelper.cli import run as run_verb
from tfodhelper.metrics import detection_file
from tfodhelper.reporting import run_facts, write

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run with its report."""
    folder = stored_run.make_run(tmp_path_factory.mktemp("runs") / "first")
    assert main.main(["report", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return html.parse(str(folder / write.PAGE))


def rows_below(page, heading):
    """The cells of the first table below a heading, with the first row as keys."""
    (table,) = page.xpath(f"(//h2[@id='{heading}']/following::table)[1]")
    header, *rows = [["".join(cell.itertext()) for cell in row.xpath("./th|./td")] for row in table.xpath(".//tr")]
    return {row[0]: dict(zip(header, row)) for row in rows}


def match(detected, threshold, class_row=None):
    """(right, wrong, missed) at an overlap of 0.5, counted one by one: the best score takes the best free object."""
    right = wrong = missed = 0
    for image in range(detected.num_images):
        objects, found = detected.of_image(image)
        for row in range(detected.num_classes) if class_row is None else [class_row]:
            free = [i for i in range(objects.start, objects.stop) if detected.gt_class[i] == row]
            rows = [i for i in range(found.start, found.stop) if detected.det_class[i] == row]
            rows = [i for i in rows if detected.det_scores[i] >= threshold]
            for i in sorted(rows, key=lambda i: -detected.det_scores[i]):
                ious = {j: iou(detected.det_boxes[i], detected.gt_boxes[j]) for j in free}
                best = max(ious, key=ious.get, default=None)
                if best is not None and ious[best] >= 0.5:
                    free.remove(best)
                    right += 1
                else:
                    wrong += 1
            missed += len(free)
    return right, wrong, missed


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = np.prod(np.maximum(high - low, 0))
    return inside / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside)


def average_precision(detected, row):
    """AP50 of a class: the mean over 101 recalls of the highest precision at that recall or a higher one."""
    scores = sorted({float(s) for s in detected.det_scores[detected.det_class == row]}, reverse=True)
    points = [match(detected, score, row) for score in scores]
    num_objects = int((detected.gt_class == row).sum())
    curve = [(right / num_objects, right / (right + wrong)) for right, wrong, _ in points]
    return np.mean([max((p for r, p in curve if r >= level - 1e-12), default=0.0) for level in np.linspace(0, 1, 101)])


def test_five_figures_of_the_page_follow_from_the_stored_detections(folder, page):
    detected = detection_file.read_detections(run_layout.evaluation_of(folder, "best"))
    rows = rows_below(page, "classes")
    thresholds = {float(score) for score in detected.det_scores}

    def f1(counts):
        right, wrong, missed = counts
        return 2 * right / (2 * right + wrong + missed)

    best = max(f1(match(detected, threshold)) for threshold in thresholds)
    tiles = {
        "".join(t.xpath("./span/text()")): "".join(t.xpath("./b/text()")) for t in page.xpath("//div[@class='tile']")
    }
    shown_f1 = next(value for text, value in tiles.items() if text.startswith("F1 "))
    assert shown_f1 == rows["all"]["F1"] == f"{best:.3f}"  # 1
    stored = run_facts.read_run(folder).analysis["settings"]["score_threshold"]
    right, wrong, missed = match(detected, stored)
    assert f1((right, wrong, missed)) == pytest.approx(best)
    assert (rows["all"]["right"], rows["all"]["wrong"], rows["all"]["missed"]) == (
        str(right),
        str(wrong),
        str(missed),
    )  # 2
    assert rows["all"]["P"] == f"{right / (right + wrong):.3f}"  # 3
    assert rows["all"]["R"] == f"{right / (right + missed):.3f}"  # 4
    for row, name in enumerate(detected.names):
        assert rows[name]["AP50"] == f"{average_precision(detected, row):.3f}"  # 5
        assert rows[name]["objects"] == str((detected.gt_class == row).sum())
        counts = match(detected, stored, row)
        assert [rows[name][key] for key in ("right", "wrong", "missed")] == list(map(str, counts))


def test_the_worst_images_have_the_errors_that_are_said(folder, page):
    detected = detection_file.read_detections(run_layout.evaluation_of(folder, "best"))
    stored = run_facts.read_run(folder).analysis["settings"]["score_threshold"]
    right, wrong, missed = match(detected, stored)
    text = "".join(page.xpath("//h2[@id='worst']/following::div[contains(@class,'cards')][1]")[0].itertext())
    assert sum(int(n) for n in re.findall(r"(\d+) false positive", text)) == wrong
    assert sum(int(n) for n in re.findall(r"(\d+) missed", text)) == missed
    assert right
    assert len(list((folder / "figures" / "worst_images").glob("*.jpg"))) == len(re.findall("false positive", text))


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(page, folder):
    text = (folder / write.PAGE).read_text(encoding="utf-8")
    assert not page.xpath("//script|//link|//iframe|//*[@*[starts-with(name(), 'on')]]")
    assert all(source.startswith("data:image/") for source in page.xpath("//@src"))
    assert all(target.startswith("#") for target in page.xpath("//@href"))
    assert "Content-Security-Policy" in text and "default-src 'none'" in text
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"labels.png", "history.png", "best_pr.png", "best_f1.png", "best_p.png", "best_r.png"} <= names
    assert {"best_confusion.png", "best_confusion_normalized.png", "best_errors.png", "best_sizes.png"} <= names


def test_the_command_on_the_page_repeats_the_run(page, folder):
    (command,) = page.xpath("//h2[@id='repeat']/following::pre[1]/text()")
    words = shlex.split(command)
    fv = flagging.make_flag_values(run_verb)
    flagging.parse(fv, words[words.index("run") + 1 :])
    repeated = option_flags.read_options(fv, run_options.RunOptions)
    assert repeated.output_dir.endswith("first-again")
    assert run_options.settings_of(repeated) == run_layout.read_state(folder)["settings"]


def test_names_of_classes_and_files_are_only_text(folder, tmp_path, monkeypatch):
    read = run_facts.read_run

    def renamed(path):
        facts = read(path)
        for entry in (*facts.manifest.classes, *facts.analysis["per_class"], *facts.analysis["curves"]["per_class"]):
            entry["name"] = EVIL
        for entry in (*facts.analysis["worst"]["false_positives"], *facts.analysis["worst"]["images"]):
            entry["image"] = EVIL
            entry["class"] = EVIL
        facts.state["environment"] = {EVIL: EVIL}
        return facts

    monkeypatch.setattr(run_facts, "read_run", renamed)
    write.write_report(folder)
    text = (folder / write.PAGE).read_text(encoding="utf-8")
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;" in text
    assert not html.fromstring(text).xpath("//*[@onerror]")
    monkeypatch.undo()
    tfodhelper.report(runs=[folder])


def test_a_run_without_a_stored_evaluation_has_a_page_that_says_so(tmp_path):
    folder = stored_run.make_run(tmp_path / "old")
    (folder / "checkpoints/evaluation/best/analysis.json").unlink()
    (path,) = tfodhelper.report(runs=[folder])
    text = path.read_text(encoding="utf-8")
    assert "was not stored" in text and 'id="classes"' not in text and 'id="training"' in text


@pytest.mark.parametrize("kind", ["nothing", "unfinished"])
def test_what_is_not_a_finished_run_is_refused(tmp_path, capsys, kind):
    if kind == "unfinished":
        state = {"settings": {"data": {}}, "phases": {}, "finished": False}
        run_layout.storage.write_json(tmp_path / run_layout.STATE, state)
    assert main.main(["report", str(tmp_path)]) == 2
    assert "is not the folder of a finished run" in capsys.readouterr().err
    with pytest.raises(errors.UsageError, match="no run given"):
        tfodhelper.report()


def test_flags_of_every_kind_are_repeated():
    flags = run_facts.command_flags(
        {"num_steps": 5, "overrides": ["a=1", "b=2"], "strict": True, "seed": 0, "unknown": 3, "val_fraction": 0.2},
        run_options.RunOptions,
    )
    assert sorted(flags) == ["--num_steps=5", "--set=a=1", "--set=b=2", "--strict"]
    assert {option.flag for option in options.options_of(run_options.RunOptions)} >= {"num_steps", "set", "strict"}
