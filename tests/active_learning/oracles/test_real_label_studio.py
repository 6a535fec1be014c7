"""The oracle with a real Label Studio, on loopback, from an environment of its own.

    python -m venv studio && studio/bin/pip install label-studio
    TFODHELPER_LABEL_STUDIO=studio/bin/label-studio pytest tests/active_learning/oracles/test_real_label_studio.py

Without the variable, `test_label_studio.py` has the answers of a fake server alone.
"""

import contextlib
import http.cookiejar
import json
import os
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from tests.active_learning.oracles.test_label_studio import CAT, DOG, Round, _Killed
from tfodhelper import errors
from tfodhelper.active_learning.oracles import label_studio, studio_project, studio_server
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Edits
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import label_studio as tasks_format

PROGRAM = "TFODHELPER_LABEL_STUDIO"
EMAIL, PASSWORD, LEGACY = "person@example.org", "correct-horse-7", "0123456789abcdef0123456789abcdef01234567"
FOUND = {f"im {number:02d}": [CAT, DOG] for number in range(30)}
START_S = 300

pytestmark = pytest.mark.slow


class Account:
    """A person who is logged in with a browser."""

    def __init__(self, address):
        self.address, self._cookies = address, http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        self._opener.open(f"{address}/user/login/", timeout=60).close()
        form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": self._csrf()}
        self._opener.open(f"{address}/user/login/", urllib.parse.urlencode(form).encode(), timeout=60).close()

    def _csrf(self):
        return next(cookie.value for cookie in self._cookies if cookie.name == "csrftoken")

    def post(self, path, value):
        headers = {"Content-Type": "application/json", "X-CSRFToken": self._csrf(), "Referer": self.address}
        request = urllib.request.Request(self.address + path, json.dumps(value).encode(), headers)
        with self._opener.open(request, timeout=60) as response:
            return json.loads(response.read())


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    if not os.environ.get(PROGRAM):
        pytest.skip(f"needs ${PROGRAM}, the program label-studio of an environment of its own")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("studio")
    words = [os.environ[PROGRAM], "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    words += ["--username", EMAIL, "--password", PASSWORD, "--user-token", LEGACY]
    environment = {"LABEL_STUDIO_BASE_DATA_DIR": str(folder), "COLLECT_ANALYTICS": "false", "SENTRY_DSN": ""}
    with open(folder / "log.txt", "wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, env=os.environ | environment)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while True:
            assert server.poll() is None and time.monotonic() < end, (folder / "log.txt").read_text()[-3000:]
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            time.sleep(1)
        yield Account(address)
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def tokens(account):
    """The two kinds of tokens."""
    account.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})
    return {"legacy": LEGACY, "personal": account.post("/api/token/", {})["token"]}


def submit(account, task, result, **more):
    value = {"result": result, "lead_time": 2.5, "was_cancelled": False} | more
    account.post(f"/api/tasks/{task['id']}/annotations/", value)


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_drafts_come_and_go(tmp_path, monkeypatch, account, tokens, kind):
    project = account.post("/api/projects/", {"title": f"round {kind}"})["id"]
    monkeypatch.setenv(studio_server.TOKEN_VARIABLE, tokens[kind])
    monkeypatch.setattr(studio_project, "_TASKS", 8)
    round_ = Round(tmp_path, account, FOUND, studio_project=project)
    post, sent = studio_server.StudioServer.post, []

    def killed(self, *values, **more):
        made = post(self, *values, **more)
        sent.append(made)
        if len(sent) == 2:
            raise _Killed
        return made

    monkeypatch.setattr(studio_server.StudioServer, "post", killed)
    with pytest.raises(_Killed):
        round_.ask()
    given = round_.ask()
    assert {(answer.verdict, answer.reason) for answer in given.values()} == {(WAITING, label_studio.NOT_SUBMITTED)}
    server = studio_server.StudioServer(account.address, tokens[kind])
    tasks = server.get("/api/tasks/", project=project, page_size=100, fields="all")["tasks"]
    names = sorted(task["data"]["file_name"] for task in tasks)
    assert names == sorted(f"pool/{stem}.jpg" for stem in FOUND)
    image = urllib.request.Request(account.address + tasks[0]["data"]["image"])
    image.add_header("Authorization", server._authorize())
    path = tmp_path / "photos" / tasks[0]["data"]["file_name"].removeprefix("pool/")
    with urllib.request.urlopen(image, timeout=60) as response:
        assert response.read() == path.read_bytes()
    by_stem = {task["data"]["file_name"][5:-4]: task for task in tasks}
    results = {stem: task["predictions"][0]["result"] for stem, task in by_stem.items()}
    for stem in list(FOUND)[5:]:
        submit(account, by_stem[stem], results[stem])
    results["im 00"][0]["value"]["x"] += 10
    results["im 01"][1]["value"]["rectanglelabels"] = ["cow"]
    submit(account, by_stem["im 00"], results["im 00"])
    submit(account, by_stem["im 01"], results["im 01"])
    submit(account, by_stem["im 02"], [])
    submit(account, by_stem["im 03"], results["im 03"], was_cancelled=True)
    server.delete(f"/api/tasks/{by_stem['im 04']['id']}/")
    given = round_.ask()
    assert {given[stem].edits for stem in list(FOUND)[5:]} == {Edits(kept=2)}
    assert [given[f"im 0{number}"].edits for number in range(3)] == [
        Edits(kept=1, moved=1),
        Edits(kept=1, relabelled=1),
        Edits(deleted=2),
    ]
    assert [given[f"im 0{number}"].reason for number in (3, 4)] == [label_studio.SKIPPED, label_studio.DELETED]
    verdicts = [answer.verdict for answer in given.values()]
    assert (verdicts.count(ADOPTED), verdicts.count(REFUSED)) == (28, 2)
    assert given["im 00"].seconds == 2.5
    boxes = [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in given["im 29"].annotation.boxes]
    assert boxes == [("cat", 0, 20, 60, 80), ("dog", 120, 10, 200, 90)]


def test_exported_files_come_back_from_the_server(tmp_path, account, tokens):
    """What `export-annotations` writes is imported by Label Studio, and what it exports is read back equal."""
    boxes = Box("cat", 1, 2, 63, 77, difficult=True), Box("dog", 10.125, 20.7, 33.3, 99, truncated=True)
    annotation = Annotation("a.jpg", 333, 217, boxes, verified=True)
    suggestion = tasks_format.PredictedImage(
        "sub/b c.jpg", 333, 217, (Box("cat", 0.001, 5.25, 7.125, 216.999),), (0.987654,)
    )
    given = [
        tasks_format.make_task("a.jpg", "/data/local-files/?d=a.jpg", (333, 217), annotation),
        tasks_format.make_task("sub/b c.jpg", "/data/local-files/?d=b.jpg", (333, 217), None, suggestion),
    ]
    config = tasks_format.make_config(["cat", "dog"], with_masks=True)
    project = account.post("/api/projects/", {"title": "files", "label_config": config})["id"]
    server = studio_server.StudioServer(account.address, tokens["personal"])
    server.post(f"/api/projects/{project}/import", given)
    snapshot = {"title": "all", "serialization_options": {"predictions": {"only_id": False}}}
    number = server.post(f"/api/projects/{project}/exports/", snapshot)["id"]
    exported = None
    for _ in range(30):
        with contextlib.suppress(errors.TfodhelperError):  # while it is being made
            exported = server.get(f"/api/projects/{project}/exports/{number}/download", exportType="JSON")
            break
        time.sleep(1)
    (tmp_path / "export.json").write_text(json.dumps(exported))
    read = tasks_format.read_tasks(tmp_path / "export.json")
    assert [image.annotation for image in read.images] == [annotation] and read.predicted == (suggestion,)
    usual = server.get(f"/api/projects/{project}/export", exportType="JSON", download_all_tasks="true")
    (tmp_path / "export.json").write_text(json.dumps(usual))
    read = tasks_format.read_tasks(tmp_path / "export.json")
    assert [image.annotation for image in read.images] == [annotation] and not read.predicted
