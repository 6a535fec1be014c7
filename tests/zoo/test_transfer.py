"""Downloads from a local server."""

import hashlib
import types

import pytest

from tests.zoo import servers
from tfodhelper import errors
from tfodhelper.zoo import transfer

BODY = bytes(range(256)) * 40
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    """(address, behaviour) of a server with the file /a."""
    with servers.serve({"/a": BODY}) as served:
        yield served


def download(addresses, target, **options):
    """Downloads without pauses between tries."""
    return transfer.download(addresses, target, pause_s=0.0, **options)


def leftovers(folder):
    """Names of all files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_file_arrives_completely(server, tmp_path):
    address, _ = server
    assert download([f"{address}/a"], tmp_path / "a") == (f"{address}/a", DIGEST)
    assert (tmp_path / "a").read_bytes() == BODY
    assert leftovers(tmp_path) == ["a"]


def test_file_address(tmp_path):
    (tmp_path / "source").write_bytes(BODY)
    download([(tmp_path / "source").as_uri()], tmp_path / "a", sha256=DIGEST.upper())
    assert (tmp_path / "a").read_bytes() == BODY


def test_broken_download_resumes_where_it_broke(server, tmp_path):
    address, behaviour = server
    behaviour.break_after, behaviour.breaks = 4000, 2
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert behaviour.requests == [("/a", None), ("/a", "bytes=4000-"), ("/a", "bytes=8000-")]


def test_next_call_resumes_from_the_partial_file(server, tmp_path):
    address, behaviour = server
    behaviour.break_after, behaviour.breaks = 1000, 3
    with pytest.raises(errors.ZooError, match="broke"):
        download([f"{address}/a"], tmp_path / "a")
    assert leftovers(tmp_path) == ["a.part", "a.part.json"]
    download([f"{address}/a"], tmp_path / "a")
    assert behaviour.requests[-1] == ("/a", "bytes=3000-")
    assert (tmp_path / "a").read_bytes() == BODY
    assert leftovers(tmp_path) == ["a"]


def test_file_that_changed_meanwhile_is_read_from_the_start(server, tmp_path):
    address, behaviour = server
    behaviour.break_after, behaviour.breaks = 1000, 3
    with pytest.raises(errors.ZooError):
        download([f"{address}/a"], tmp_path / "a")
    behaviour.files["/a"], behaviour.etag = BODY[::-1], '"two"'
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY[::-1]


def test_server_without_ranges(server, tmp_path):
    address, behaviour = server
    behaviour.ranges, behaviour.break_after, behaviour.breaks = False, 1000, 1
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_file_that_became_shorter(server, tmp_path):
    address, behaviour = server
    behaviour.break_after, behaviour.breaks = 5000, 2
    behaviour.files["/a"] = BODY
    with pytest.raises(errors.ZooError):
        behaviour.breaks = 3
        behaviour.break_after = 3000
        download([f"{address}/a"], tmp_path / "a")
    behaviour.files["/a"] = BODY[:100]
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY[:100]


def test_mirrors_are_tried_in_turn(server, tmp_path):
    address, behaviour = server
    behaviour.status["/forbidden"] = 403
    source, _ = download([f"{address}/none", f"{address}/forbidden", f"{address}/a"], tmp_path / "a")
    assert source == f"{address}/a"
    assert [path for path, _ in behaviour.requests] == ["/none", "/forbidden", "/a"]


def test_error_lists_all_answers(server, tmp_path):
    address, behaviour = server
    behaviour.status["/broken"] = 503
    with pytest.raises(errors.ZooError) as caught:
        download([f"{address}/none", f"{address}/broken", (tmp_path / "x").as_uri()], tmp_path / "a")
    assert "/none: HTTP 404" in caught.value.received
    assert "/broken: HTTP 503" in caught.value.received and "3 times" in caught.value.received
    assert "x: " in caught.value.received
    assert leftovers(tmp_path) == []


def test_nobody_listens(tmp_path):
    with pytest.raises(errors.ZooError, match="refused"):
        download(["http://127.0.0.1:9/a"], tmp_path / "a")


def test_wrong_digest_is_rejected_and_the_next_mirror_used(server, tmp_path):
    address, behaviour = server
    behaviour.files["/other"] = BODY + b"!"
    download([f"{address}/other", f"{address}/a"], tmp_path / "a", sha256=DIGEST)
    assert (tmp_path / "a").read_bytes() == BODY
    with pytest.raises(errors.ZooError, match="sha256"):
        download([f"{address}/other"], tmp_path / "b", sha256=DIGEST)
    assert leftovers(tmp_path) == ["a"]


def test_announced_md5_is_checked(server, tmp_path):
    address, behaviour = server
    behaviour.md5["/a"] = True
    download([f"{address}/a"], tmp_path / "a")
    behaviour.md5["/a"] = b"something else"
    with pytest.raises(errors.ZooError, match="damaged"):
        download([f"{address}/a"], tmp_path / "b")


def test_the_check_of_the_caller_is_used(server, tmp_path):
    address, behaviour = server
    behaviour.files["/other"], seen = b"no", []

    def check(path, source, digest):
        seen.append((source, digest == hashlib.sha256(path.read_bytes()).hexdigest()))
        if path.stat().st_size < 10:
            raise errors.ZooError("too short")

    download([f"{address}/other", f"{address}/a"], tmp_path / "a", check=check)
    assert (tmp_path / "a").read_bytes() == BODY
    assert seen == [(f"{address}/other", True), (f"{address}/a", True)]


def test_folder_that_cannot_be_written(server, tmp_path):
    address, _ = server
    with pytest.raises(errors.StorageError):
        download([f"{address}/a"], tmp_path / "missing" / "a")


@pytest.mark.parametrize("length", ["many", "-1", "1e3", "0x10", "9" * 5000, "", "\u0663", "10, 10"])
def test_odd_length_is_no_announcement(length, server, tmp_path):
    address, behaviour = server
    behaviour.headers["/a"] = {"Content-Length": length.encode().decode("latin-1")}
    try:
        download([f"{address}/a", f"{address}/a"], tmp_path / "a")
    except errors.ZooError as error:
        assert length == "9" * 5000 and "broke" in error.received
    else:
        assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize(
    "content_range",
    ["bytes", "bytes 3000-", "bytes */10", "bytes 3000-9/" + "9" * 5000, "bytes x-y/z", "bytes 1-2/3", "3000-1/2", ""],
)
def test_odd_range_starts_over(content_range, server, tmp_path):
    address, behaviour = server
    behaviour.break_after, behaviour.breaks = 3000, 1
    behaviour.headers["/a"] = {"Content-Range": content_range}
    behaviour.ranges = True
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked for _, asked in behaviour.requests] == [None, "bytes=3000-", None]


def test_announcement_of_more_than_any_archive_is_refused(server, tmp_path):
    address, behaviour = server
    behaviour.files["/b"] = BODY
    behaviour.headers["/b"] = {"Content-Length": str(10**13)}
    source, _ = download([f"{address}/b", f"{address}/a"], tmp_path / "a")
    assert source == f"{address}/a"
    assert leftovers(tmp_path) == ["a"]


@pytest.mark.parametrize("length", [None, str(len(BODY) + 1)])
def test_endless_body_is_refused(length, server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_MOST_BYTES", 1 << 20)
    address, behaviour = server
    behaviour.files["/b"] = BODY
    behaviour.headers["/b"] = {"Content-Length": length}
    behaviour.endless.add("/b")
    digest = hashlib.sha256(BODY).hexdigest()
    source, _ = download([f"{address}/b", f"{address}/a"], tmp_path / "a", sha256=digest)
    assert source == f"{address}/a"
    assert leftovers(tmp_path) == ["a"]


def set_clock(monkeypatch, seconds):
    """Makes the module read these times, one after the other."""
    times = iter(seconds)
    monkeypatch.setattr(transfer, "time", types.SimpleNamespace(monotonic=lambda: next(times), sleep=lambda _: None))


def test_connection_that_is_too_slow_is_given_up(server, tmp_path, monkeypatch):
    address, behaviour = server
    behaviour.files["/b"] = BODY * 100
    set_clock(monkeypatch, range(0, 10**9, 1000))
    with pytest.raises(errors.ZooError, match="slower than 1024 bytes per second"):
        download([f"{address}/b"], tmp_path / "b")


def test_a_fast_connection_is_not_too_slow(monkeypatch):
    set_clock(monkeypatch, [0.0, 61.0, 62.0, 100.0, 130.0])
    pace = transfer._Pace()
    pace.advance(62_500)
    pace.advance(10)
    with pytest.raises(transfer._BrokenError):
        pace.advance(10)


def test_redirect_within_the_web_is_followed_and_a_different_host_is_said(server, tmp_path, capsys):
    address, behaviour = server
    behaviour.redirects["/here"] = f"{address}/a"
    behaviour.redirects["/there"] = f"{address.replace('127.0.0.1', 'localhost')}/a"
    download([f"{address}/here"], tmp_path / "a")
    assert "redirects" not in capsys.readouterr().out
    download([f"{address}/there"], tmp_path / "b")
    assert "127.0.0.1 redirects to localhost" in capsys.readouterr().out
    assert (tmp_path / "b").read_bytes() == BODY


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,x", "gopher://x/"])
def test_redirect_out_of_the_web_is_refused(target, server, tmp_path):
    address, behaviour = server
    behaviour.redirects["/there"] = target
    with pytest.raises(errors.ZooError, match="redirects from http to|unknown url|not followed|302"):
        download([f"{address}/there"], tmp_path / "a")
    assert leftovers(tmp_path) == []


def test_redirect_from_https_to_http_is_refused():
    request = transfer.urllib.request.Request("https://a.example/x")
    with pytest.raises(transfer._RefusedError, match="redirects from https to http://a.example/x"):
        transfer._Redirects().redirect_request(request, None, 302, "Found", {}, "http://a.example/x")


def test_redirects_in_a_circle_end(server, tmp_path):
    address, behaviour = server
    behaviour.redirects["/b"] = f"{address}/b"
    assert download([f"{address}/b", f"{address}/a"], tmp_path / "a")[0] == f"{address}/a"


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/a", "data:,x", "jar:file:///a", "a", "", "http://[", "http:///a"])
def test_address_of_a_different_kind_is_refused(address, tmp_path):
    with pytest.raises(errors.ZooError, match="could not be downloaded"):
        download([address], tmp_path / "a")


def test_reason_of_a_server_cannot_steer_the_terminal(server, tmp_path):
    address, behaviour = server
    behaviour.status["/b"], behaviour.reason["/b"] = 404, "\x1b[2J\x9b" + "x" * 5000
    with pytest.raises(errors.ZooError) as caught:
        download([f"{address}/b"], tmp_path / "a")
    assert "HTTP 404 \\x1b[2J" in str(caught.value) and "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("state", ['{"address": 1}', "[]", "[" * 100_000, '{"validator": "\\r\\n"}', "\udc00"])
def test_damaged_state_of_a_partial_file_starts_over(state, server, tmp_path):
    address, _ = server
    text = state.replace("{", f'{{"address": "{address}/a", ', 1) if "validator" in state else state
    (tmp_path / "a.part").write_bytes(b"old")
    (tmp_path / "a.part.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    download([f"{address}/a"], tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
