"""Archives: safe unpacking, the cache, the meaning of --fine_tune_checkpoint."""

import gzip
import hashlib
import io
import multiprocessing
import tarfile
import time

import pytest

from tests import shared_data
from tests.zoo import servers
from tfodhelper import errors, storage
from tfodhelper.checkpoints import find
from tfodhelper.zoo import archive as archives
from tfodhelper.zoo import cache, catalogue, digests

MODEL = catalogue.find_model("ssd_mobilenet_v1")
NAME = MODEL.url.rpartition("/")[2]
PUBLISHED = dict(digests.SHA256_OF_INDEX)
CONTENT = {
    "checkpoint/ckpt-0.index": b"index",
    "checkpoint/ckpt-0.data-00000-of-00001": b"data" * 1000,
    "checkpoint/checkpoint": b'model_checkpoint_path: "ckpt-0"\n',
    "pipeline.config": b"model { }\n",
}


def make_archive(content=None, top="top/", extra=()):
    """Bytes of a .tar.gz; the `TarInfo`s in `extra` are added as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (CONTENT if content is None else content).items():
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def tar_info(name, kind=tarfile.REGTYPE, link="", size=0):
    """A member of an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.fixture
def archive(tmp_path):
    """Writes bytes as an archive and returns its path."""

    def write(data):
        path = tmp_path / "a.tar.gz"
        path.write_bytes(data)
        return path

    return write


def test_unpacks_without_the_top_folder(archive, tmp_path):
    archives.unpack(archive(make_archive()), tmp_path / "out", {"a": 1})
    for name, data in CONTENT.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert archives.is_complete(tmp_path / "out")
    assert storage.read_json(tmp_path / "out" / archives.MARKER) == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_unpacks_an_archive_without_top_folder(archive, tmp_path):
    archives.unpack(archive(make_archive(top="")), tmp_path / "out")
    assert (tmp_path / "out" / "pipeline.config").is_file()


@pytest.mark.parametrize(
    "member",
    [
        tar_info("../evil"),
        tar_info("top/../../evil"),
        tar_info("/absolute/evil"),
        tar_info("C:/evil"),
        tar_info("top\\..\\evil"),
        tar_info("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        tar_info("top/link", tarfile.LNKTYPE, "top/pipeline.config"),
        tar_info("top/device", tarfile.CHRTYPE),
        tar_info("top/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.type!r}",
)
def test_malicious_members_are_rejected_and_nothing_remains(archive, tmp_path, member):
    with pytest.raises(errors.ZooError, match="nothing was unpacked"):
        archives.unpack(archive(make_archive(extra=[member])), tmp_path / "inner" / "out")
    assert list((tmp_path / "inner").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_archive_bombs_are_rejected(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_BYTES", 1 << 20)
    path = archive(make_archive(extra=[tar_info("top/big", size=1 << 21)]))
    with pytest.raises(errors.ZooError, match="larger than .* GiB when unpacked"):
        archives.unpack(path, tmp_path / "out")
    monkeypatch.setattr(archives, "_MAX_BYTES", 1 << 30)
    monkeypatch.setattr(archives, "_MAX_FILES", 3)
    with pytest.raises(errors.ZooError, match="more than any model"):
        archives.unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-200],
        lambda data: data[:50] + bytes([data[50] ^ 255]) + data[51:],
        lambda data: data[:-6] + b"\0" + data[-5:],
        lambda data: b"<html>not found</html>",
        lambda data: b"",
        lambda data: gzip.compress(b"not a tar file at all" * 100),
    ],
    ids=["cut", "flipped", "checksum", "html", "empty", "no tar"],
)
def test_damaged_archives_are_rejected(archive, tmp_path, damage):
    with pytest.raises(errors.ZooError, match="is not a complete"):
        archives.unpack(archive(damage(make_archive())), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def make_checkpoint(folder, *names):
    """Makes empty index files of checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.index").write_bytes(b"")


@pytest.fixture
def mirror():
    """(address, behaviour) of a server with the model's archive."""
    with servers.serve({f"/{NAME}": make_archive()}) as served:
        yield served


@pytest.fixture(autouse=True)
def _no_real_addresses(monkeypatch):
    """Keeps tests off the network: only mirrors are tried, and there are no pauses after broken connections."""
    monkeypatch.setattr(digests, "SHA256_OF_INDEX", {})  # the archives of these tests are not the published ones
    original = cache.addresses_of
    monkeypatch.setattr(cache, "addresses_of", lambda *args: [a for a in original(*args) if "tensorflow.org" not in a])
    original_download = cache.transfer.download
    monkeypatch.setattr(
        cache.transfer, "download", lambda *args, **options: original_download(*args, pause_s=0.0, **options)
    )


def test_archive_is_fetched_once(mirror, tmp_path):
    address, behaviour = mirror
    folder = cache.fetch_archive(MODEL, tmp_path, [address])
    assert folder == tmp_path / MODEL.name
    assert find.find_checkpoint(folder) == str(folder / "checkpoint" / "ckpt-0")
    assert cache.fetch_archive(MODEL, tmp_path, [address]) == folder
    assert len(behaviour.requests) == 1
    assert not (tmp_path / f"{MODEL.name}.tar.gz").exists()
    recorded = (tmp_path / f"{MODEL.name}.tar.gz.sha256").read_text(encoding="utf-8")
    assert recorded.split()[0] == hashlib.sha256(behaviour.files[f"/{NAME}"]).hexdigest()


def test_digest_of_the_first_download_is_required_later(mirror, tmp_path):
    address, behaviour = mirror
    folder = cache.fetch_archive(MODEL, tmp_path, [address])
    (folder / archives.MARKER).unlink()
    behaviour.files[f"/{NAME}"] = make_archive({**CONTENT, "more": b"1"})
    with pytest.raises(errors.ZooError, match="sha256") as caught:
        cache.fetch_archive(MODEL, tmp_path, [address])
    assert ".sha256" in caught.value.received
    assert "--fine_tune_checkpoint=none" in caught.value.fix


def test_half_unpacked_folder_is_unpacked_again(mirror, tmp_path):
    address, behaviour = mirror
    (tmp_path / MODEL.name / "checkpoint").mkdir(parents=True)
    (tmp_path / MODEL.name / "checkpoint" / "ckpt-0.index").write_bytes(b"half")
    folder = cache.fetch_archive(MODEL, tmp_path, [address])
    assert (folder / "checkpoint" / "ckpt-0.index").read_bytes() == b"index"
    assert len(behaviour.requests) == 1


def test_damaged_mirror_is_skipped(mirror, tmp_path):
    address, behaviour = mirror
    behaviour.files[f"/bad/{NAME}"] = make_archive()[:-100]
    cache.fetch_archive(MODEL, tmp_path, [f"{address}/bad", address])
    assert [path for path, _ in behaviour.requests] == [f"/bad/{NAME}", f"/{NAME}"]


def test_archive_without_checkpoint_is_rejected(mirror, tmp_path):
    address, behaviour = mirror
    behaviour.files[f"/{NAME}"] = make_archive({"readme": b"hello", "a": b""})
    with pytest.raises(errors.ZooError, match="no checkpoint"):
        cache.fetch_archive(MODEL, tmp_path, [address])
    assert not (tmp_path / MODEL.name).exists()


def test_failure_names_what_was_tried_and_the_fix(mirror, tmp_path):
    address, behaviour = mirror
    behaviour.status[f"/{NAME}"] = 403
    with pytest.raises(errors.ZooError) as caught:
        cache.fetch_archive(MODEL, tmp_path, [address])
    assert f"{address}/{NAME}: HTTP 403" in caught.value.received
    assert "--fine_tune_checkpoint=PATH" in caught.value.fix and "none" in caught.value.fix


def test_mirror_may_be_a_folder_and_come_from_the_environment(tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / NAME).write_bytes(make_archive())
    monkeypatch.setenv("TFODHELPER_MIRRORS", f"{tmp_path / 'none'} {tmp_path / 'mirror'}")
    monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path / "cache"))
    prefix = cache.resolve_checkpoint("zoo", MODEL)
    assert prefix == str(tmp_path / "cache" / MODEL.name / "checkpoint" / "ckpt-0")


def test_published_addresses_come_last(monkeypatch):
    monkeypatch.undo()
    addresses = cache.addresses_of(MODEL, ["https://mirror.example/models/"])
    assert addresses[0] == f"https://mirror.example/models/{NAME}"
    assert addresses[1].startswith("https://storage.googleapis.com/download.tensorflow.org/")
    assert addresses[-1] == MODEL.url


def test_paths_and_none(tmp_path):
    make_checkpoint(tmp_path, "ckpt-0")
    assert cache.resolve_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-0")
    assert cache.resolve_checkpoint("none") is None
    with pytest.raises(errors.CheckpointError):
        cache.resolve_checkpoint(str(tmp_path / "ckpt-1"))
    with pytest.raises(errors.ZooError):
        cache.resolve_checkpoint("zoo", None)


def test_archive_on_disk_is_unpacked_once(archive, tmp_path):
    path = archive(make_archive())
    first = cache.resolve_checkpoint(str(path), cache_dir=tmp_path / "cache")
    assert first.endswith("checkpoint/ckpt-0")
    path_again = cache.resolve_checkpoint(str(path), cache_dir=tmp_path / "cache")
    assert path_again == first
    archive(make_archive({**CONTENT, "more": b"1"}))
    assert cache.resolve_checkpoint(str(path), cache_dir=tmp_path / "cache") != first


def _hold_until(folder, ready, sign):
    with storage.hold(folder):
        ready.set()
        while not sign.exists():
            time.sleep(0.01)


def test_second_process_waits_for_the_first(mirror, tmp_path, monkeypatch):
    address, _ = mirror
    context = multiprocessing.get_context("spawn")
    ready, said = context.Event(), []
    (tmp_path / "cache").mkdir()

    def say(text):
        said.append(text)
        (tmp_path / "sign").touch()

    monkeypatch.setattr(cache.console, "say", say)
    process = context.Process(target=_hold_until, args=(tmp_path / "cache", ready, tmp_path / "sign"))
    process.start()
    try:
        assert ready.wait(60)
        cache.fetch_archive(MODEL, tmp_path / "cache", [address])
    finally:
        (tmp_path / "sign").touch()
        process.join()
    assert said[0].startswith("waiting for another process")


EMPTY_TAR = gzip.compress(bytes(10240))


@pytest.mark.parametrize(
    "first",
    [
        b"",
        EMPTY_TAR,
        gzip.compress(b""),
        b"<html>sign in</html>",
        make_archive({"readme": b"hello"}),
        make_archive(extra=[tar_info("../evil")]),
        make_archive(extra=[tar_info("top/pipeline.config/below")]),
        make_archive(extra=[tar_info("top/" + "x" * 300)]),
        gzip.compress(bytes(100 << 20)),
    ],
    ids=["empty", "empty tar", "empty gzip", "page", "no checkpoint", "evil", "clash", "long name", "bomb"],
)
def test_wrong_archive_from_the_first_address_does_not_end_the_search(first, mirror, tmp_path):
    address, behaviour = mirror
    behaviour.files[f"/bad/{NAME}"] = first
    folder = cache.fetch_archive(MODEL, tmp_path, [f"{address}/bad", address])
    assert storage.read_json(folder / archives.MARKER)["address"] == f"{address}/{NAME}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", MODEL.name, f"{NAME}.sha256"]


def test_known_model_must_have_its_published_index(mirror, tmp_path, monkeypatch):
    address, behaviour = mirror
    digest = hashlib.sha256(CONTENT["checkpoint/ckpt-0.index"]).hexdigest()
    monkeypatch.setitem(digests.SHA256_OF_INDEX, MODEL.name, digest)
    behaviour.files[f"/bad/{NAME}"] = make_archive({**CONTENT, "checkpoint/ckpt-0.index": b"other"})
    with pytest.raises(errors.ZooError, match="not contain the weights that were published") as caught:
        cache.fetch_archive(MODEL, tmp_path, [f"{address}/bad"])
    assert digest in str(caught.value) or "sha256" in str(caught.value)
    cache.fetch_archive(MODEL, tmp_path, [f"{address}/bad", address])
    assert len(behaviour.requests) == 3


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_indices_are_those_of_published_checkpoints(name):
    index = shared_data.shared(f"zoo/indices/{name}.index")
    assert storage.sha256_of(index) == PUBLISHED[name]
    assert catalogue.find_model(name).name == name


def pax_member(records):
    """A header of further facts about the next member."""
    info = tar_info("pax", tarfile.XHDTYPE, size=len(records))
    return info, records


def write_headers(*members):
    """A .tar.gz of headers as they are given: (TarInfo, content)."""
    data = b"".join(
        info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)
        for info, content in members
    )
    return gzip.compress(data + bytes(1024))


def negative_size(info):
    """The header of a member with a size of -512."""
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


HOSTILE = {
    "header of 60 MB": write_headers((tar_info("p", tarfile.XHDTYPE, size=60 << 20), bytes(60 << 20))),
    "long name of 60 MB": write_headers((tar_info("p", tarfile.GNUTYPE_LONGNAME, size=60 << 20), b"x" * (60 << 20))),
    "chain of headers": write_headers(*[pax_member(b"12 path=abc\n")] * 3000),
    "sparse": write_headers((tar_info("a", tarfile.GNUTYPE_SPARSE, size=0), b"")),
    "zero byte": write_headers(pax_member(b"13 path=a\0bc\n"), (tar_info("a", size=3), b"abc")),
    "negative": gzip.compress(negative_size(tar_info("a")) * 30 + bytes(1024)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_errors_in_words(archive, tmp_path, data):
    with pytest.raises(errors.ZooError):
        archives.unpack(archive(data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_count_as_members(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_FILES", 20)
    data = make_archive(extra=[tar_info(f"d{number}", tarfile.DIRTYPE) for number in range(20)])
    with pytest.raises(errors.ZooError, match="more than any model"):
        archives.unpack(archive(data), tmp_path / "out")


def test_no_home_folder_is_said_with_the_fix(monkeypatch, tmp_path):
    for name in ("TFODHELPER_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.pathlib.Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(errors.StorageError, match="no home folder") as caught:
        cache.cache_folder()
    assert "$TFODHELPER_CACHE" in caught.value.fix and "--cache_dir" in caught.value.fix


def test_home_folder_that_cannot_be_written_is_said_with_the_fix(monkeypatch, tmp_path):
    monkeypatch.delenv("TFODHELPER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(errors.StorageError, match="the cache of downloads") as caught:
        cache.cache_folder()
    assert "--cache_dir" in caught.value.fix


def test_the_usual_cache_folder_is_that_of_the_system(monkeypatch, tmp_path):
    monkeypatch.delenv("TFODHELPER_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "tfodhelper"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.cache_folder() == tmp_path / ".cache" / "tfodhelper"
