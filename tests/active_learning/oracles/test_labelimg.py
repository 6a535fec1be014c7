"""Drafts for LabelImg: written, edited by hand as LabelImg does, and adopted with their changes."""

import os
import pathlib
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from tests.active_learning.questions import SIZE, draw_image, make_question
from tfodhelper import errors
from tfodhelper.active_learning.oracles import build, drafts, labelimg
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Edits
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.labelimg import read_labelimg
from tfodhelper.annotations.structures import Box

LABEL_MAP = make_label_map(["cat", "cow", "dog"])
CAT, DOG = ("cat", 0.9, 0.2, 20, 60, 80), ("dog", 0.6, 120, 10, 200, 90.4)
FOUND = {"a": [CAT, DOG], "b": [DOG], "c": [], "d": [CAT], "e": [CAT, ("cow", 0.2, 1, 1, 9, 9)]}


class Round:
    """A round's folder with five questions, the labelimg oracle, and a person's hands on the review folder."""

    def __init__(self, tmp_path, **options):
        self.folder = tmp_path / "rounds" / "001"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.review = self.folder / "review"
        self.options = options
        self.questions = []
        for stem, detections in FOUND.items():
            path = tmp_path / "photos" / f"{stem}.jpg"
            path = path if path.exists() else draw_image(path)
            self.questions.append(make_question(detections, name=f"pool/{stem}.jpg", path=path))

    def ask(self):
        oracle = build.build_oracle("labelimg", label_map=LABEL_MAP, **self.options)
        answers = list(oracle.ask(iter(self.questions), self.folder))
        assert [answer.name for answer in answers] == [question.image.name for question in self.questions]
        return {pathlib.PurePath(answer.name).stem: answer for answer in answers}

    def xml(self, stem):
        return next(self.review.glob(f"*_{stem}.xml"))

    def edit(self, stem, change=lambda root: None, verify=True):
        """Opens a draft, changes it and saves it as LabelImg 1.8.6 does."""
        path = self.xml(stem)
        root = ET.parse(path).getroot()
        change(root)
        if verify:
            root.set("verified", "yes")
        else:
            root.attrib.pop("verified", None)
        width, height = (int(root.find("size").find(tag).text) for tag in ("width", "height"))
        for element in root.findall("object"):
            corners = {side.tag: int(float(side.text)) for side in element.find("bndbox")}
            corners |= {tag: max(1, corners[tag]) for tag in ("xmin", "ymin")}
            for side in element.find("bndbox"):
                side.text = str(corners[side.tag])
            at_border = 1 in (corners["xmin"], corners["ymin"]) or corners["xmax"] == width or corners["ymax"] == height
            element.find("truncated").text = str(int(at_border))
        path.write_bytes(ET.tostring(root, encoding="utf-8"))


def set_side(number, **sides):
    def change(root):
        for tag, value in sides.items():
            root.findall("object")[number].find("bndbox").find(tag).text = str(value)

    return change


def set_name(number, name):
    def change(root):
        root.findall("object")[number].find("name").text = name

    return change


def delete(number):
    return lambda root: root.remove(root.findall("object")[number])


def add(name, xmin, ymin, xmax, ymax):
    def change(root):
        sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax)))
        corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in sides.items())
        details = f"<name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        root.append(ET.fromstring(f"<object>{details}<bndbox>{corners}</bndbox></object>"))

    return change


def all_of(*changes):
    def change(root):
        for part in changes:
            part(root)

    return change


@pytest.fixture
def asked(tmp_path):
    round_ = Round(tmp_path)
    answers = round_.ask()
    assert {(answer.verdict, answer.reason) for answer in answers.values()} == {(WAITING, labelimg.NOT_VERIFIED)}
    return round_


def test_the_review_folder(asked):
    stems = [f"{rank:04d}_{stem}" for rank, stem in enumerate(FOUND, start=1)]
    files = {f"{stem}{ending}" for stem in stems for ending in (".jpg", ".xml")}
    assert {path.name for path in asked.review.iterdir()} == files | {"predefined_classes.txt", "HOW_TO.txt"}
    assert (asked.review / "predefined_classes.txt").read_text(encoding="utf-8") == "cat\ncow\ndog\n"
    assert os.path.realpath(asked.review / "0001_a.jpg") == os.path.realpath(asked.questions[0].image.path)
    draft = read_labelimg(asked.review / "0001_a.xml")
    assert not draft.verified and (draft.filename, draft.width, draft.height) == ("0001_a.jpg", *SIZE)
    assert draft.boxes == (Box("cat", 1, 20, 60, 80, truncated=True), Box("dog", 120, 10, 200, 90, truncated=True))
    assert len(read_labelimg(asked.xml("e")).boxes) == 1  # the weak one is left out
    command = build.build_oracle("labelimg").next_steps(asked.folder)[0]
    assert command == f"labelImg {asked.review} {asked.review}/predefined_classes.txt {asked.review}"
    assert command in (asked.review / "HOW_TO.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "stem, change, edits, scores, boxes",
    [
        ("a", lambda root: None, Edits(kept=2), (0.9, 0.6), [("cat", 0, 20, 60, 80), ("dog", 120, 10, 200, 90)]),
        ("a", set_side(0, xmin=0), Edits(kept=2), (0.9, 0.6), [("cat", 0, 20, 60, 80), ("dog", 120, 10, 200, 90)]),
        (
            "a",
            set_side(1, ymax=70),
            Edits(kept=1, moved=1),
            (0.9, None),
            [("cat", 0, 20, 60, 80), ("dog", 120, 10, 200, 70)],
        ),
        (
            "a",
            all_of(set_name(0, "cow"), delete(1), add("dog", 5, 90, 30, 99)),
            Edits(relabelled=1, deleted=1, added=1),
            (None, None),
            [("cow", 1, 20, 60, 80), ("dog", 5, 90, 30, 99)],
        ),
        ("b", delete(0), Edits(deleted=1), (), []),
        ("c", lambda root: None, Edits(), (), []),
        ("c", add("cat", 0, 0, 20, 10), Edits(added=1), (None,), [("cat", 1, 1, 20, 10)]),
    ],
)
def test_edits_by_hand_come_back_as_counted(asked, stem, change, edits, scores, boxes):
    asked.edit(stem, change)
    answer = asked.ask()[stem]
    assert (answer.verdict, answer.reason, answer.edits) == (ADOPTED, labelimg.VERIFIED, edits)
    assert answer.scores == scores and answer.annotation.verified
    received = [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in answer.annotation.boxes]
    assert received == boxes
    assert (answer.annotation.filename, answer.annotation.width, answer.annotation.height) == (f"{stem}.jpg", *SIZE)


def test_what_is_not_verified_waits_however_it_was_edited(asked):
    asked.edit("a", delete(0), verify=False)
    asked.edit("b")
    asked.edit("b", verify=False)  # the space bar, twice
    asked.edit("c")
    answers = asked.ask()
    assert {stem: answer.verdict for stem, answer in answers.items()} == {
        **dict.fromkeys("abde", WAITING),
        "c": ADOPTED,
    }
    asked.edit("a")
    later = asked.ask()
    assert later["a"].edits == Edits(kept=1, deleted=1) and later["c"] == answers["c"]


def test_asking_again_changes_nothing(asked):
    asked.edit("a", delete(0))
    asked.edit("b", set_name(0, "cow"), verify=False)
    before = {path.name: (path.lstat().st_mtime_ns, path.read_bytes()) for path in asked.review.iterdir()}
    memory = (asked.folder / drafts.MEMORY).read_bytes()
    asked.ask()
    after = {path.name: (path.lstat().st_mtime_ns, path.read_bytes()) for path in asked.review.iterdir()}
    assert after == before and (asked.folder / drafts.MEMORY).read_bytes() == memory


def test_what_a_person_has_to_correct_is_reported(asked, capsys):
    asked.edit("a", set_name(1, "dogg"))
    asked.xml("b").write_text("<annotation verified='yes'><obj", encoding="utf-8")
    asked.xml("c").unlink()
    asked.edit("d", set_side(0, xmin=70))
    (asked.review / "0005_e.txt").write_text("0 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    reasons = {stem: answer.reason for stem, answer in asked.ask().items()}
    assert reasons == {
        "a": labelimg.BAD_CLASS,
        "b": labelimg.BAD_XML,
        "c": labelimg.NO_XML,
        "d": labelimg.BAD_BOX,
        "e": labelimg.OTHER_FORMAT,
    }
    said = capsys.readouterr().err
    assert "0001_a.xml: object 2 (dogg): class 'dogg' is not in the label map (did you mean 'dog'?); correct it" in said
    assert "0002_b.xml: is not well-formed XML" in said
    assert "0003_c.xml: is missing; save 0003_c.jpg again in LabelImg" in said
    assert "0004_d.xml: object 1 (cat): the minimum is greater than the maximum" in said
    assert "0005_e.txt: LabelImg is set to another format; switch it to PascalVOC" in said
    asked.edit("a", set_name(1, "dog"))
    assert asked.ask()["a"].edits == Edits(kept=2)


def test_hostile_xml_waits(asked):
    text = (
        "<!DOCTYPE annotation [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><annotation verified='yes'>&a;</annotation>"
    )
    asked.xml("a").write_text(text, encoding="utf-8")
    answer = asked.ask()["a"]
    assert (answer.verdict, answer.reason) == (WAITING, labelimg.BAD_XML)


def test_a_removed_image_is_refused_and_the_users_stays(asked):
    (asked.review / "0001_a.jpg").unlink()
    (asked.review / "0002_b.jpg").unlink()
    asked.xml("b").unlink()
    answers = asked.ask()
    assert [(answers[s].verdict, answers[s].reason) for s in "ab"] == [(REFUSED, labelimg.NO_IMAGE)] * 2
    assert os.path.exists(asked.questions[0].image.path)
    assert not (asked.review / "0001_a.jpg").is_symlink()


def test_the_round_waits_for_a_missing_image_of_the_pool(asked, capsys):
    path = pathlib.Path(asked.questions[0].image.path)
    path.rename(path.with_name("away.jpg"))
    asked.edit("a")
    answer = asked.ask()["a"]
    assert (answer.verdict, answer.reason) == (WAITING, labelimg.LOST_IMAGE)
    assert f"{path}: no longer exists" in capsys.readouterr().err
    path.with_name("away.jpg").rename(path)
    assert asked.ask()["a"].verdict == ADOPTED


def test_a_size_of_another_image(asked):
    def change(root):
        root.find("size").find("width").text = "4000"

    asked.edit("d", change)
    assert asked.ask()["d"].reason == labelimg.BAD_SIZE


def test_images_that_cannot_be_drafted_are_refused_each_time(tmp_path):
    round_ = Round(tmp_path)
    pathlib.Path(round_.questions[0].image.path).write_bytes(b"no image")
    draw_image(round_.questions[1].image.path, size=(50, 50))
    for _ in range(2):
        answers = round_.ask()
        assert [(answers[s].verdict, answers[s].reason) for s in "abc"] == [
            (REFUSED, drafts.UNREADABLE),
            (REFUSED, drafts.CHANGED),
            (WAITING, labelimg.NOT_VERIFIED),
        ]
    assert not list(round_.review.glob("0001*")) and not list(round_.review.glob("0002*"))


@pytest.mark.parametrize("how", ["link", "copy"])
@pytest.mark.parametrize("written", range(6))
def test_an_interruption_loses_and_overwrites_nothing(tmp_path, monkeypatch, written, how):
    round_ = Round(tmp_path, review_images=how)
    real, count = drafts.placing.write_annotation, iter(range(100))

    def interrupted(*args):
        if next(count) == written:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(drafts.placing, "write_annotation", interrupted)
    if written < 5:
        with pytest.raises(KeyboardInterrupt):
            round_.ask()
        if written:
            round_.edit("a", delete(0))
    monkeypatch.undo()
    answers = round_.ask()
    assert len(list(round_.review.glob("*.xml"))) == len(list(round_.review.glob("*.jpg"))) == 5
    if 0 < written < 5:
        assert answers["a"].edits == Edits(kept=1, deleted=1)


def test_a_copy_is_not_a_link(tmp_path):
    round_ = Round(tmp_path, review_images="copy")
    round_.ask()
    image = round_.review / "0001_a.jpg"
    assert not image.is_symlink()
    assert image.read_bytes() == pathlib.Path(round_.questions[0].image.path).read_bytes()


def test_images_asked_about_later_get_drafts_after_the_others(asked):
    asked.edit("a")
    path = draw_image(asked.folder.parent.parent / "photos" / "f.png", format="PNG", mode="L")
    asked.questions.append(make_question([DOG], name="pool/f.png", path=path))
    asked.xml("b").unlink()
    answers = asked.ask()
    assert (answers["a"].verdict, answers["f"].verdict) == (ADOPTED, WAITING)
    assert answers["b"].reason == labelimg.NO_XML  # it is not written again
    text = (asked.review / "0006_f.xml").read_text(encoding="utf-8")
    assert "<filename>0006_f.png</filename>" in text and "<depth>1</depth>" in text


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
def test_an_image_that_exif_rotates_is_shown_upright_and_comes_back_as_stored(tmp_path, orientation):
    round_ = Round(tmp_path)
    draw_image(round_.questions[0].image.path, orientation=orientation)
    round_.questions[0] = make_question(
        [("cat", 0.9, 0, 0, 20, 10)], name="pool/a.jpg", path=round_.questions[0].image.path
    )
    round_.ask()
    draft = read_labelimg(round_.xml("a"))
    with Image.open(round_.review / "0001_a.jpg") as image:
        assert image.getexif().get(0x0112, 1) == 1 and image.size == (draft.width, draft.height)
        box = draft.boxes[0]
        spot = image.convert("L").crop((int(box.xmin), int(box.ymin), int(box.xmax), int(box.ymax)))
        assert spot.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) > 230  # the white spot is in the box
    round_.edit("a", add("dog", 30, 30, 60, 70))
    answer = round_.ask()["a"]
    assert answer.edits == Edits(kept=1, added=1)
    assert answer.annotation.boxes[0] == Box("cat", 0, 0, 20, 10, truncated=True)
    assert (answer.annotation.width, answer.annotation.height) == SIZE


@pytest.mark.parametrize(
    "name, format, shown",
    [("x.jfif", "JPEG", "0001_x.jpg"), ("x.jpg", "PNG", "0001_x.png"), ("x.JPG", "JPEG", "0001_x.JPG")],
)
def test_endings_are_those_that_labelimg_looks_for(tmp_path, name, format, shown):
    path = draw_image(tmp_path / "photos" / name, format=format)
    round_ = Round(tmp_path)
    round_.questions = [make_question([CAT], name=f"pool/{name}", path=path)]
    round_.ask()
    assert (round_.review / shown).is_symlink() and (round_.review / "0001_x.xml").is_file()


def test_a_box_that_labelimg_cannot_show_is_in_no_draft(tmp_path):
    round_ = Round(tmp_path)
    narrow = ("dog", 0.8, 0, 10, 1, 50)  # LabelImg would save 1..1
    round_.questions = [make_question([CAT, narrow], name="pool/a.jpg", path=round_.questions[0].image.path)]
    round_.ask()
    assert [box.name for box in read_labelimg(round_.xml("a")).boxes] == ["cat"]
    round_.edit("a")
    assert round_.ask()["a"].edits == Edits(kept=1)


def test_a_folder_for_the_drafts_of_all_rounds(tmp_path):
    round_ = Round(tmp_path, review_dir=str(tmp_path / "to review"))
    round_.ask()
    round_.review = tmp_path / "to review" / "001"
    round_.edit("a")
    round_.options = {}  # their folder was recorded
    assert round_.ask()["a"].verdict == ADOPTED and not (round_.folder / "review").exists()
    command = build.build_oracle("labelimg").next_steps(round_.folder)[0]
    assert command.startswith(f"labelImg '{round_.review}' ")


def test_another_folder_for_reviews_counts_from_the_next_round_on(asked, tmp_path):
    asked.edit("a")
    asked.options = {"review_dir": str(tmp_path / "other")}
    assert asked.ask()["a"].verdict == ADOPTED and not (tmp_path / "other").exists()


def test_a_workspace_may_be_moved(asked, tmp_path):
    asked.edit("a")
    asked.folder.parent.rename(tmp_path / "moved")
    asked.folder = tmp_path / "moved" / "001"
    assert asked.ask()["a"].verdict == ADOPTED


def test_a_review_folder_that_is_not_empty_is_left_alone(tmp_path):
    round_ = Round(tmp_path)
    round_.review.mkdir()
    (round_.review / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(errors.UsageError, match="not empty"):
        round_.ask()
    assert [path.name for path in round_.review.iterdir()] == ["mine.txt"]


def test_a_review_folder_among_the_images_is_refused(tmp_path):
    round_ = Round(tmp_path, review_dir=str(tmp_path / "photos" / "drafts"))
    with pytest.raises(errors.UsageError, match="is inside a folder of pool images"):
        round_.ask()
    assert not (tmp_path / "photos" / "drafts").exists()


def test_a_missing_review_folder(asked):
    asked.review.rename(asked.folder / "elsewhere")
    with pytest.raises(errors.StorageError, match="the drafts of this round are missing"):
        asked.ask()
    (asked.folder / drafts.MEMORY).unlink()
    assert asked.ask()["a"].verdict == WAITING and len(list(asked.review.glob("*.xml"))) == 5


@pytest.mark.parametrize("text", ["{", '{"format": 9}', '{"format": 1, "drafts": [{"name": "a"}]}', "[]"])
def test_a_damaged_memory(asked, text):
    (asked.folder / drafts.MEMORY).write_text(text, encoding="utf-8")
    with pytest.raises(errors.StorageError, match=drafts.MEMORY):
        asked.ask()
