"""Drafts in Label Studio: put there once, whatever happens, and adopted with their changes.

The server is a fake one, see `fake_studio`; `test_real_label_studio` runs against a real one.
"""

import dataclasses
import io
import itertools
import json
import pathlib
import shutil
import ssl
import subprocess

import pytest
from PIL import Image

from tests.active_learning import rounds_on_disk
from tests.active_learning.oracles.fake_studio import LEGACY, PERSONAL, FakeStudio
from tests.active_learning.questions import SIZE, draw_image, make_question
from tfodhelper import errors
from tfodhelper.active_learning import answers, rounds
from tfodhelper.active_learning.oracles import build, drafts, label_studio, studio_project, studio_server
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Edits
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import make_label_map

LABEL_MAP = make_label_map(["cat", "cow", "dog"])
CAT, DOG = ("cat", 0.9, 0.2, 20, 60, 80), ("dog", 0.6, 120, 10, 200, 90.4)
LEFT, RIGHT = ("cat", 0, 20, 60, 80), ("dog", 120, 10, 200, 90)  # as a draft has them, in whole pixels
FOUND = {"a": [CAT, DOG], "b": [DOG], "c": [], "d": [CAT], "e": [CAT, ("cow", 0.2, 1, 1, 9, 9)]}


class Round:
    """A round's folder with questions, and the oracle."""

    def __init__(self, tmp_path, studio, found=FOUND, **options):
        self.folder, self.studio = tmp_path / "rounds" / "001", studio
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options = {"studio_url": studio.address, "studio_project": 3} | options
        self.questions = []
        for stem, detections in found.items():
            path = tmp_path / "photos" / f"{stem}.jpg"
            path = path if path.exists() else draw_image(path)
            self.questions.append(make_question(detections, name=f"pool/{stem}.jpg", path=path))

    def ask(self, **options):
        oracle = build.build_oracle("label_studio", label_map=LABEL_MAP, **(self.options | options))
        given = list(oracle.ask(iter(self.questions), self.folder))
        assert [answer.name for answer in given] == [question.image.name for question in self.questions]
        return {pathlib.PurePath(answer.name).stem: answer for answer in given}


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv(studio_server.TOKEN_VARIABLE, LEGACY)
    monkeypatch.setattr(studio_server.StudioServer.__init__, "__defaults__", (0.001,))


@pytest.fixture
def studio():
    with FakeStudio() as fake:
        yield fake


@pytest.fixture
def asked(tmp_path, studio):
    round_ = Round(tmp_path, studio)
    given = round_.ask()
    assert {(answer.verdict, answer.reason) for answer in given.values()} == {(WAITING, label_studio.NOT_SUBMITTED)}
    return round_


def move(number, **changes):
    def change(result):
        result[number]["value"] |= changes
        return result

    return change


def without(number):
    return lambda result: result[:number] + result[number + 1 :]


def test_the_drafts_in_the_project(asked, studio):
    assert len(studio.tasks) == len(studio.uploads) == 5
    task = studio.find("a")
    path, data = next(upload for upload in studio.uploads.values() if upload[0] in task["data"]["image"])
    assert task["data"]["image"] == f"/data/{path}" and task["data"]["file_name"] == "pool/a.jpg"
    assert data == pathlib.Path(asked.questions[0].image.path).read_bytes()
    (prediction,) = task["predictions"]
    assert prediction["score"] == pytest.approx(0.75)
    first, second = prediction["result"]
    assert first["value"] == {"x": 0, "y": 20, "width": 30, "height": 60, "rotation": 0, "rectanglelabels": ["cat"]}
    assert (second["score"], second["original_width"], second["type"]) == (0.6, 200, "rectanglelabels")
    assert studio.find("c")["predictions"][0]["result"] == [] and len(studio.find("e")["predictions"][0]["result"]) == 1
    (config,) = studio.patched
    assert '<Label value="cow"/>' in config and 'value="difficult"' in config
    steps = build.build_oracle("label_studio", **asked.options).next_steps(asked.folder)
    assert steps == (f"open {studio.address}/projects/3/data",)


@pytest.mark.parametrize(
    "stem, change, edits, scores, boxes",
    [
        ("a", lambda result: result, Edits(kept=2), (0.9, 0.6), [LEFT, RIGHT]),
        ("a", move(0, x=0.25), Edits(kept=2), (0.9, 0.6), [LEFT, RIGHT]),
        ("a", move(1, height=60), Edits(kept=1, moved=1), (0.9, None), [LEFT, ("dog", 120, 10, 200, 70)]),
        (
            *("a", move(0, rectanglelabels=["cow"]), Edits(kept=1, relabelled=1), (None, 0.6)),
            [("cow", *LEFT[1:]), RIGHT],
        ),
        ("a", without(0), Edits(kept=1, deleted=1), (0.6,), [RIGHT]),
        ("c", lambda result: result, Edits(), (), []),
    ],
)
def test_edits_come_back_as_counted(asked, studio, stem, change, edits, scores, boxes):
    studio.submit(stem, change, lead_time=7.5)
    answer = asked.ask()[stem]
    assert (answer.verdict, answer.reason, answer.edits) == (ADOPTED, "verified by a person", edits)
    assert answer.scores == scores and answer.annotation.verified and answer.seconds == 7.5
    assert [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in answer.annotation.boxes] == boxes
    assert (answer.annotation.filename, answer.annotation.width, answer.annotation.height) == (f"{stem}.jpg", *SIZE)
    assert answers.from_json(json.loads(json.dumps(answers.to_json(answer)))) == answer


def test_flags_and_fractions_and_the_time_of_everybody(asked, studio):
    def add(result):
        key = result[0]["id"]
        flags = result[0] | {"type": "choices", "from_name": "flags", "value": {"choices": ["difficult"]}, "id": key}
        drawn = json.loads(json.dumps(result[0])) | {"id": "new"}
        drawn["value"] |= {"x": 50.125, "y": 1, "width": 10, "height": 10, "rectanglelabels": ["cow"]}
        return [*result, flags, drawn]

    studio.submit("d", add, was_cancelled=True, lead_time=3)
    studio.submit("d", add, lead_time=4)
    answer = asked.ask()["d"]
    cat, cow = answer.annotation.boxes
    assert cat.difficult and not cow.difficult and (cow.xmin, cow.xmax) == (100.25, 120.25) and answer.seconds == 7
    assert answer.edits == Edits(kept=1, added=1)


def test_skipped_deleted_and_contradictory_tasks(asked, studio, capsys):
    studio.submit("a", was_cancelled=True, lead_time=1.5)
    del studio.tasks[studio.find("b")["id"]]
    studio.submit("d")
    studio.submit("d", move(0, x=20), completed_by=2)
    studio.submit("e", move(0, rectanglelabels=["dogg"]))
    studio.submit("c", lambda result: [{"id": "x", "type": "rectanglelabels", "image_rotation": 90, "value": {}}])
    given = asked.ask()
    assert {stem: (answer.verdict, answer.reason) for stem, answer in given.items()} == {
        "a": (REFUSED, label_studio.SKIPPED),
        "b": (REFUSED, label_studio.DELETED),
        "c": (WAITING, label_studio.BAD_REGION),
        "d": (WAITING, label_studio.CONTRADICTORY),
        "e": (WAITING, label_studio.BAD_CLASS),
    }
    assert given["a"].seconds == 1.5
    said = capsys.readouterr().err
    assert "contradict each other" in said and "did you mean 'dog'" in said and "submit again" in said
    studio.find("d")["annotations"][1]["ground_truth"] = True
    assert asked.ask()["d"].edits == Edits(moved=1)


def test_asking_again_sends_nothing(asked, studio):
    studio.seen.clear()
    memory = (asked.folder / drafts.MEMORY).read_bytes()
    asked.ask()
    assert all(method == "GET" for method, _, _ in studio.seen)
    assert (asked.folder / drafts.MEMORY).read_bytes() == memory and len(studio.tasks) == 5


def test_turned_images_are_sent_upright_and_come_back(tmp_path, studio):
    round_ = Round(tmp_path, studio, {"t": [CAT]})
    draw_image(tmp_path / "photos" / "t.jpg", orientation=6)
    round_.ask()
    entry = studio.find("t")["predictions"][0]["result"][0]
    assert (entry["original_width"], entry["original_height"]) == SIZE[::-1]
    assert entry["value"]["x"] == pytest.approx(100 * (100 - 80) / 100) and entry["value"]["y"] == 0
    (upload,) = studio.uploads.values()
    image = Image.open(io.BytesIO(upload[1]))
    assert image.size == SIZE[::-1] and image.getexif().get(0x0112, 1) == 1
    studio.submit("t")
    (box,) = round_.ask()["t"].annotation.boxes
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (0, 20, 60, 80)


def test_images_that_cannot_be_read_are_refused(tmp_path, studio):
    round_ = Round(tmp_path, studio)
    pathlib.Path(round_.questions[0].image.path).write_bytes(b"no image")
    given = round_.ask()
    assert (given["a"].verdict, given["a"].reason) == (REFUSED, drafts.UNREADABLE) and len(studio.tasks) == 4


MANY = {f"im{number:02d}": [CAT, DOG] for number in range(12)}


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(studio_project, "_FILES", 2)
    monkeypatch.setattr(studio_project, "_TASKS", 4)
    monkeypatch.setattr(studio_project, "_PAGE", 5)
    monkeypatch.setattr(studio_project, "_IDS", 3)


def check_all_once(studio, found=MANY):
    keys = sorted(task["data"]["tfodhelper"].rpartition("/")[2] for task in studio.tasks.values())
    assert keys == sorted(f"{stem}.jpg" for stem in found)


@pytest.mark.parametrize("fault", ["drop", "late", 503, 429])
@pytest.mark.parametrize("every", [2, 3])
def test_broken_connections_lose_and_double_nothing(tmp_path, studio, small_batches, fault, every):
    round_ = Round(tmp_path, studio, MANY)
    studio.fault = lambda method, path, number: fault if number % every == 0 and number < 60 else None
    for _ in range(8):  # a person who types the command again whenever it gives up
        try:
            round_.ask()
            break
        except errors.ServerError as error:
            assert "same command again" in str(error)
    check_all_once(studio)
    assert len({path.partition("-")[2] for path, _ in studio.uploads.values()}) == 12
    for stem in MANY:
        studio.submit(stem)
    assert {answer.verdict for answer in round_.ask().values()} == {ADOPTED}


class _Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("is_late", [False, True])
def test_killed_at_every_request_and_typed_again(tmp_path, monkeypatch, small_batches, is_late):
    send = studio_server.StudioServer._send
    for at in itertools.count(1):
        with FakeStudio() as studio:
            round_, count = Round(tmp_path / str(at), studio, MANY), itertools.count(1)

            def killed(self, *values, count=count, at=at, **more):
                number = next(count)
                made = send(self, *values, **more) if number != at or is_late else None
                if number == at:
                    raise _Killed
                return made

            monkeypatch.setattr(studio_server.StudioServer, "_send", killed)
            try:
                round_.ask()
                break  # fewer requests than that
            except _Killed:
                monkeypatch.setattr(studio_server.StudioServer, "_send", send)
                round_.ask()
                check_all_once(studio)
                assert len(studio.uploads) == 12
    assert at > 15


def test_a_task_that_arrived_twice_keeps_its_answer(asked, studio):
    first = studio.find("a")
    copy = json.loads(json.dumps(first)) | {"id": 99}
    studio.tasks[99] = copy
    copy["annotations"].append({"result": [], "was_cancelled": False, "lead_time": 1})
    known = drafts.read_memory(asked.folder)
    drafts.write_memory(asked.folder, known[0], [dataclasses.replace(d, is_written=False) for d in known[1].values()])
    asked.ask()
    answer = asked.ask()["a"]
    assert first["id"] not in studio.tasks and 99 in studio.tasks and answer.edits == Edits(deleted=2)


def test_personal_tokens_are_exchanged_and_renewed(tmp_path, studio, monkeypatch):
    (tmp_path / "token.txt").write_text(f"{PERSONAL}\n")
    monkeypatch.delenv(studio_server.TOKEN_VARIABLE)
    studio.lifetime = 3
    Round(tmp_path, studio, studio_token_file=tmp_path / "token.txt").ask()
    assert len(studio.tasks) == 5
    assert sum(path == "/api/token/refresh/" for _, path, _ in studio.seen) >= 2
    assert PERSONAL not in (tmp_path / "rounds" / "001" / drafts.MEMORY).read_text()


@pytest.mark.parametrize(
    "token, words", [("wrong", "refuses the token"), ("a.b.c", "refuses the token"), ("a b", "one line")]
)
def test_wrong_tokens_are_refused(tmp_path, studio, monkeypatch, token, words):
    monkeypatch.setenv(studio_server.TOKEN_VARIABLE, token)
    with pytest.raises(errors.UsageError, match=words) as caught:
        Round(tmp_path, studio).ask()
    assert "a b" not in str(caught.value) and not studio.tasks


def test_without_a_token_it_is_said_where_it_belongs(tmp_path, studio, monkeypatch):
    monkeypatch.delenv(studio_server.TOKEN_VARIABLE)
    with pytest.raises(errors.UsageError, match="LABEL_STUDIO_API_KEY"):
        Round(tmp_path, studio).ask()
    with pytest.raises(errors.UsageError, match="cannot be read"):
        Round(tmp_path, studio).ask(studio_token_file=tmp_path / "none")


def test_the_token_goes_to_no_other_server(tmp_path, studio):
    with FakeStudio() as other:
        studio.fault = lambda method, path, number: f"{other.address}{path}"
        with pytest.raises(errors.ServerError, match="redirects to another server"):
            Round(tmp_path, studio).ask()
        assert not other.seen
    studio.fault = lambda method, path, number: f"{studio.address}/api/projects/3/" if number == 1 else None
    assert Round(tmp_path, studio).ask()  # within one server


@pytest.mark.parametrize(
    "options, words",
    [
        ({"studio_project": 4}, "studio_project"),
        ({"studio_url": "ftp://host"}, "not an address"),
        ({"studio_url": "http://user:secret@host"}, "not an address"),
        ({"studio_url": "http://[x"}, "not an address"),
        ({"studio_url": "http://127.0.0.1:1"}, "does not answer"),
    ],
)
def test_wrong_addresses_are_refused(tmp_path, studio, options, words):
    with pytest.raises(errors.TfodhelperError, match=words):
        Round(tmp_path, studio).ask(**options)


@pytest.mark.parametrize("name", ["studio_url", "studio_project"])
def test_server_and_project_must_be_given(name):
    with pytest.raises(errors.UsageError, match=name):
        build.build_oracle("label_studio", **({"studio_url": "http://localhost", "studio_project": 1} | {name: None}))


def test_the_drafts_of_a_round_stay_in_their_project(asked):
    with pytest.raises(errors.UsageError, match="studio_project=3"):
        asked.ask(studio_project=5)


CONFIG = """<View><Header value="x"/><Image name="pic" value="$photo"/><RectangleLabels name="r" toName="pic">
<Label value="cat"/><Label value="dog" alias="hound"/><Label value="cow"/></RectangleLabels></View>"""


def test_a_project_of_ones_own_keeps_its_labels(tmp_path, studio):
    studio.config = CONFIG
    round_ = Round(tmp_path, studio, {"a": [CAT, DOG]})
    round_.ask()
    task = studio.find("a")
    assert task["data"]["photo"].startswith("/data/upload/3/") and not studio.patched
    first, second = task["predictions"][0]["result"]
    assert (first["from_name"], first["to_name"], second["value"]["rectanglelabels"]) == ("r", "pic", ["hound"])
    studio.submit("a")
    assert [box.name for box in round_.ask()["a"].annotation.boxes] == ["cat", "dog"]


@pytest.mark.parametrize(
    "config, words",
    [
        (CONFIG.replace('<Label value="cow"/>', ""), "lacks the label 'cow'"),
        ('<View><Text name="t" value="$text"/></View>', "no RectangleLabels"),
        ("<View", "not XML"),
        ('<!DOCTYPE v [<!ENTITY a "b">]><View><Text name="&a;"/></View>', "no RectangleLabels"),
    ],
)
def test_a_project_that_asks_for_something_else_is_refused(tmp_path, studio, config, words):
    studio.config = config
    with pytest.raises(errors.UsageError, match=words):
        Round(tmp_path, studio).ask()
    assert not studio.tasks and not studio.patched


@pytest.mark.parametrize("value", [None, [], {}, {"tasks": 1}, {"tasks": [None, {"data": 1}, {"id": 1}], "total": "x"}])
def test_answers_of_another_form_are_errors_in_words(tmp_path, studio, monkeypatch, value):
    monkeypatch.setattr(FakeStudio, "answer", lambda self, *request: (200, value))
    with pytest.raises(errors.TfodhelperError):
        Round(tmp_path, studio).ask()


def test_a_round_waits_for_a_person_and_adopts_what_was_submitted(tmp_path, studio, capsys):
    folder, names = tmp_path / "growing", [f"pool/{stem}.jpg" for stem in "abc"]
    paths = [draw_image(tmp_path / name, (64, 48)) for name in names]
    space = rounds_on_disk.start(folder, ["cat", "dog"], [(name, str(path)) for name, path in zip(names, paths)])
    evaluations = [(1, rounds_on_disk.metrics(0.5, {"cat": 0.5, "dog": 0.5}))]
    round_ = rounds_on_disk.add_training(space, 1, {"t.jpg": ["cat", "dog"]}, {"v.jpg": ["cat"]}, evaluations)
    oracle = {"name": "label_studio", "studio_url": studio.address, "studio_project": 3}
    round_.state["settings"] = round_.settings | {"oracle": oracle}
    rounds_on_disk.add_predictions(round_, dict.fromkeys(names, [("cat", 0.9, (5, 6, 30, 40))]))
    rounds_on_disk.add_selection(round_, map(rounds_on_disk.chosen, names), 3)
    rounds_on_disk.finish(round_, train=1.0, predict=1.0, select=1.0)
    assert rounds.run_rounds(folder) == rounds.WAITS
    assert "3 waiting" in capsys.readouterr().out and len(studio.tasks) == 3
    (waiting,) = space.rounds()
    assert waiting.state["next_steps"] == [f"open {studio.address}/projects/3/data"]
    assert LEGACY not in "".join(path.read_text() for path in folder.rglob("*.json"))
    studio.submit("a", lead_time=6)
    studio.submit("b", was_cancelled=True, lead_time=1)
    with FakeStudio() as moved:  # the same server at another address
        moved.tasks = studio.tasks
        changes = {"oracle": {"studio_url": moved.address}}
        assert rounds.run_rounds(folder, changes=changes, finish_review=True) == rounds.DONE
        assert moved.seen
    verdicts = {answer.name: (answer.verdict, answer.seconds) for answer in answers.read_answers(round_.answers_path)}
    assert verdicts == {names[0]: (ADOPTED, 6), names[1]: (REFUSED, 1), names[2]: (WAITING, None)}
    (box,) = labelimg.read_labelimg(space.set_dir / "pool" / "a.xml").boxes
    assert (box.name, box.xmin, box.ymin, box.xmax, box.ymax) == ("cat", 5, 6, 30, 40)
    assert set(space.adopted()) == {names[0]}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, studio):
    files = [str(tmp_path / name) for name in ("key.pem", "certificate.pem")]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", files[0], "-out", files[1]]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    studio.use_tls(context)
    with pytest.raises(errors.ServerError, match="certificate cannot be verified"):
        Round(tmp_path, studio).ask()
    assert not studio.seen
