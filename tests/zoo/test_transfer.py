"""Downloads from a local server."""

import hashlib

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
    behaviour.files["/other"] = b"no"

    def check(path):
        if path.stat().st_size < 10:
            raise errors.ZooError("too short")

    download([f"{address}/other", f"{address}/a"], tmp_path / "a", check=check)
    assert (tmp_path / "a").read_bytes() == BODY


def test_folder_that_cannot_be_written(server, tmp_path):
    address, _ = server
    with pytest.raises(errors.StorageError):
        download([f"{address}/a"], tmp_path / "missing" / "a")
