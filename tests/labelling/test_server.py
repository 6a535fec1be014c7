"""Who is answered: only the page of this session, on this machine."""

import io
import json
import re
import socket
import threading
import urllib.request

import pytest
from PIL import Image

from tests.labelling.pages import CAT, DOG, HOST, PORT, Browser, make_items, make_session
from tfodhelper import errors
from tfodhelper.labelling import pictures, server


@pytest.fixture
def browser(tmp_path):
    return Browser(make_session(make_items(tmp_path, {"a": [CAT], "b": [DOG], "c": None})))


@pytest.mark.parametrize(
    "path", ["", "session", "images/0", "images/0/picture", "assets/main.js", "assets/style.css", "assets/label.css"]
)
def test_the_page_is_answered_with_headers_that_keep_others_out(browser, path):
    response = browser.request(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("token", ["", "x", "A" * 32, "%00"])
def test_without_the_token_nothing_is_answered(browser, token):
    for path in ("", "session", "images/0", "assets/main.js"):
        response = browser.request(path, token=token)
        assert response.status_code == 403 and "token" in json.loads(response.get_data())["error"]
    assert browser.request("end", {}, token=token).status_code == 403 and not browser.is_ended


def test_two_pages_have_different_tokens(tmp_path):
    tokens = {Browser(make_session(make_items(tmp_path, {"a": None}))).page.token for _ in range(5)}
    assert len(tokens) == 5 and all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "", "[::1]:4321"])
def test_other_host_names_are_refused(browser, host):
    assert browser.request("session", host=host).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_other_origins_are_refused(browser, headers):
    assert browser.request("session", **headers).status_code == 403
    assert browser.request("end", {}, **headers).status_code == 403 and not browser.is_ended


def test_the_own_origin_and_localhost_are_served(browser):
    assert browser.request("session", Origin=f"http://{HOST}", Sec_Fetch_Site="same-origin").status_code == 200
    assert browser.request("session", host=f"localhost:{PORT}").status_code == 200
    assert browser.request("", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status_code == 200  # a link


@pytest.mark.parametrize(
    "path",
    [
        *("assets/../server.py", "assets/..%2fserver.py", "assets/%2e%2e/server.py", "assets//etc/passwd"),
        *("../session", "images/-1", "images/3", "images/99999999999999999999", "images/a.jpg", "images/0/../../x"),
        *("assets/__init__.py", "assets/", "a.jpg", "images/0/picture/../../../a.xml"),
    ],
)
def test_nothing_outside_of_the_session_is_served(browser, path):
    assert browser.request(path).status_code in (403, 404)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken_which_other_sites_cannot_send(browser, kind):
    assert browser.request("end", "{}", Content_Type=kind).status_code == 415
    assert not browser.is_ended


@pytest.mark.parametrize("body", ["", "{", "[]", "3", "[" * 100_000, b"\xff\xfe"])
def test_what_is_not_a_json_object_is_refused(browser, body):
    assert browser.request("images/0", body).status_code == 400


def test_large_requests_are_refused(browser):
    assert browser.request("images/0", b" " * (9 << 20)).status_code == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(browser, method):
    assert browser.request("images/0", method=method).status_code in (403, 405)


def test_finishing_ends_the_page(browser):
    assert browser.post("end", {}) == {} and browser.is_ended


@pytest.mark.parametrize("body", [{"seconds": -1}, {"seconds": "9"}, {"seconds": True}, {}, {"seconds": float("nan")}])
def test_a_time_that_is_not_a_duration_is_refused(browser, body):
    assert browser.request("images/0/time", body).status_code == 400


def test_names_of_files_and_classes_cannot_run_script(tmp_path):
    name = '<img src=x onerror="alert(1)">'
    session = make_session(make_items(tmp_path, {"a": [CAT]}), classes=[name])
    page = server.Page(session, f"</title><script>{name}", lambda: None)
    page.port = PORT
    browser = Browser(session)
    browser.page = page
    from werkzeug.test import Client

    text = Client(page).get(f"/{page.token}/", headers={"Host": HOST}).get_data(as_text=True)
    assert "<script>" not in text and "&lt;script&gt;" in text
    scripts = re.findall(r"<script[^>]*>", text)
    assert scripts == ['<script type="module" src="assets/main.js">'] and " on" not in re.sub(r">[^<]*<", "><", text)
    for asset in server._ASSETS:  # what the server gives as JSON goes into the page as text only
        source = server._read_asset(asset).decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", source)
        assert not re.search(r"https?://", source)  # nothing is fetched from elsewhere


def test_pictures_are_upright_and_not_larger_than_a_screen(tmp_path):
    items = make_items(tmp_path, {"a": None}, size=(6000, 3000), orientation=6)
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    assert (doc["width"], doc["height"]) == (3000, 6000)
    picture = Image.open(io.BytesIO(browser.request("images/0/picture").get_data()))
    assert picture.size == (pictures.LONG_SIDE // 2, pictures.LONG_SIDE)
    part = browser.request("images/0/part?left=2900&top=-5&right=3100&bottom=95&scale=1").get_data()
    assert Image.open(io.BytesIO(part)).size == (100, 95)
    corner = Image.open(io.BytesIO(part)).getpixel((95, 5))  # the white spot was in the upper left corner before
    assert min(corner) > 200


@pytest.mark.parametrize("query", ["", "left=0&top=0&right=9&bottom=9&scale=0", "left=a&top=0&right=9&bottom=9&scale=1",
                                   "left=0&top=0&right=9&bottom=9&scale=nan"])  # fmt: skip
def test_parts_that_do_not_exist_are_refused(browser, query):
    assert browser.request(f"images/0/part?{query}").status_code == 400


def test_an_image_that_is_damaged_is_said_and_can_be_skipped(tmp_path):
    items = make_items(tmp_path, {"a": None, "b": [CAT]})
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    browser = Browser(make_session(items))
    assert "cannot be decoded" in browser.get("images/0")["problem"]
    response = browser.request("images/0/picture")
    assert response.status_code == 422 and "a.jpg" in json.loads(response.get_data())["error"]
    assert browser.post("next", {"leaving": 0})["index"] == 1


def test_a_real_server_listens_on_this_machine_only_and_ends_when_told(tmp_path, capsys):
    session = make_session(make_items(tmp_path, {"a": None}))
    answers = []

    def visit(end):
        def run():
            address = re.search(r"http://\S+", capsys.readouterr().out)[0]
            answers.append(json.loads(urllib.request.urlopen(address + "session").read()))
            answers.append(address)
            urllib.request.urlopen(
                urllib.request.Request(address + "end", b"{}", {"Content-Type": "application/json"})
            ).read()

        thread = threading.Thread(target=run)
        thread.start()
        return thread.join

    server.serve(session, "x", on_ready=visit)
    described, address = answers
    assert described["counts"]["total"] == 1 and address.startswith("http://127.0.0.1:")
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=2)
    with pytest.raises(errors.StorageError, match="has ended"):
        session.save(0, {})


def test_a_port_that_is_in_use_is_said(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(errors.UsageError, match=f"--port={port}"):
            server.serve(make_session(make_items(tmp_path, {"a": None})), "x", port)
