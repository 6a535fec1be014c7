"""Films and cameras: small films that PyAV writes, and a detector whose answers can be computed by hand."""

import json
import os
import signal
import sys

import numpy as np
import pytest

from tests.exporting import fake_detector
from tests.files import list_files
from tfodhelper import errors
from tfodhelper.cli import main as cli
from tfodhelper.prediction import films, predict_film

av = pytest.importorskip("av", reason="needs PyAV: pip install -e .[video]")

WIDTH, HEIGHT, RATE, NUM = 96, 64, 10, 25
REDS = [10 * number for number in range(NUM)]  # how red each frame is


@pytest.fixture(scope="module")
def saved_model_dir(tmp_path_factory):
    folder = fake_detector.save_model(tmp_path_factory.mktemp("model"), fake_detector.FakeDetector(gain=1.0))
    (folder / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    return folder


def write_film(path, num_frames=NUM, codec="libx264", rotation=None, options=None):
    """A film whose frames become red; the left half of each frame is brighter in blue."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "1"} if codec == "libx264" else {}
        stream.gop_size = 5
        for number in range(num_frames):
            image = np.zeros([HEIGHT, WIDTH, 3], np.uint8)
            image[..., 0] = REDS[number % NUM]
            image[:, : WIDTH // 2, 2] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


def predict(saved_model_dir, tmp_path, *arguments):
    flags = [f"--saved_model_dir={saved_model_dir}", f"--output_dir={tmp_path}/out", "--score_threshold=0.3"]
    return cli.main(["predict", *flags, *map(str, arguments)])


def read_lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out/detections.jsonl").read_text().splitlines()]


def test_frames_with_their_numbers_and_times(film):
    with films.open_film(film) as opened:
        frames = list(opened.read())
        assert (opened.rate, opened.num_frames, opened.problem) == (RATE, NUM, None)
    assert [frame.index for frame in frames] == list(range(NUM))
    assert [frame.time_s for frame in frames] == pytest.approx([number / RATE for number in range(NUM)])
    for frame, red in zip(frames, REDS):
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(frame.image[..., 0].mean() - red) < 6  # colours are compressed


def test_every_fifth_frame(film):
    with films.open_film(film) as opened:
        assert [frame.index for frame in opened.read(every=5)] == [0, 5, 10, 15, 20]


def test_a_film_has_a_line_for_each_frame(saved_model_dir, film, tmp_path, capsys):
    assert predict(saved_model_dir, tmp_path, film) == 0
    lines = read_lines(tmp_path)
    assert [(line["frame"], line["time"]) for line in lines] == [(i, pytest.approx(i / RATE)) for i in range(NUM)]
    assert {(line["path"], line["width"], line["height"]) for line in lines} == {(str(film), WIDTH, HEIGHT)}
    found = [bool(line["detections"]) for line in lines]
    assert found == [red / 255 >= 0.3 for red in REDS]
    assert lines[-1]["detections"][0]["score"] == pytest.approx(REDS[-1] / 255, abs=0.03)
    assert list_files(tmp_path / "out") == [".command.json", "detections.jsonl"]
    said = capsys.readouterr().out
    assert "25 frames, 17 detections with a score of 0.3 or more" in said
    assert "frames per second; " in said and "film.mp4 has 10\n" in said
    assert f"predict --saved_model_dir={saved_model_dir} --output_dir=OTHER_FOLDER --draw {film}" in said


def test_the_film_with_boxes_lasts_as_long(saved_model_dir, film, tmp_path):
    assert predict(saved_model_dir, tmp_path, "--draw", "--every=4", film) == 0
    assert list_files(tmp_path / "out") == [".command.json", "detections.jsonl", "film.mp4"]
    assert [line["frame"] for line in read_lines(tmp_path)] == [0, 4, 8, 12, 16, 20, 24]
    with films.open_film(tmp_path / "out/film.mp4") as drawn:
        frames = list(drawn.read())
        assert drawn.problem is None
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4])
    assert frames[0].image.shape == (5 * HEIGHT, 5 * WIDTH, 3)  # enlarged for the labels
    with films.open_film(film) as opened:
        plain = {frame.index: frame.image for frame in opened.read()}
    first, last = (np.abs(frames[i].image[::5, ::5].astype(int) - plain[index]) for i, index in ((0, 0), (6, 24)))
    assert first.mean() < 10  # nothing is found in it
    assert last[:, 0].mean() > 40  # the line around the whole image


def test_sides_that_are_odd_lose_a_line(tmp_path):
    with films.FilmWriter(tmp_path / "odd.mp4", None) as writer:
        for number in range(3):
            writer.write(np.full([33, 51, 3], 80 * number, np.uint8), number / 2)
    with films.open_film(tmp_path / "odd.mp4") as opened:
        frames = list(opened.read())
    assert [frame.image.shape for frame in frames] == [(32, 50, 3)] * 3
    assert [round(frame.image.mean(), -1) for frame in frames] == [0, 80, 160]
    assert [frame.time_s for frame in frames] == [0, 0.5, 1]


def test_tiles_of_frames(saved_model_dir, film, tmp_path):
    assert predict(saved_model_dir, tmp_path, "--tiles=64", "--tiles_only", "--max_frames=3", film) == 0
    assert [line["frame"] for line in read_lines(tmp_path)] == [0, 1, 2]


def test_the_same_command_leaves_its_result_as_it_is(saved_model_dir, film, tmp_path, capsys):
    for _ in range(2):
        assert predict(saved_model_dir, tmp_path, "--max_frames=2", film) == 0
    assert "left as it is" in capsys.readouterr().out


def test_a_rotated_film_is_upright(tmp_path, monkeypatch):
    """A phone says how its film is to be turned; PyAV reads it from the frames."""
    turned = films._to_image

    class Picture:
        rotation = -90  # to be turned clockwise by 90 degrees

        def to_ndarray(self, format):
            assert format == "rgb24"
            image = np.zeros([2, 3, 3], np.uint8)
            image[0, 0] = 255  # top left: after a turn clockwise, top right
            return image

    image = turned(Picture())
    assert image.shape == (3, 2, 3)
    assert image[0, 1, 0] == 255 and image.sum() == 3 * 255


@pytest.mark.parametrize("name", ["film.mkv", "film.mts", "film.mpg", "film.mov"])
def test_times_begin_with_the_film_whatever_its_clock_says(tmp_path, name):
    codec = "mpeg2video" if name == "film.mpg" else "libx264"
    with films.open_film(write_film(tmp_path / name, codec=codec)) as opened:
        assert [frame.time_s for frame in opened.read()] == pytest.approx([i / RATE for i in range(NUM)], abs=0.002)
        assert opened.problem is None


@pytest.mark.parametrize("name", ["cut.mkv", "cut.mp4", "cut.mts"])
def test_a_film_that_is_cut_off_keeps_what_was_read(saved_model_dir, tmp_path, capsys, name):
    whole = write_film(tmp_path / name, options={"movflags": "faststart"} if name == "cut.mp4" else None)
    data = whole.read_bytes()
    start = max(data.find(b"mdat"), 0)  # of what is left of an MP4 file after its index
    whole.write_bytes(data[: start + (len(data) - start) * 6 // 10])
    status = predict(saved_model_dir, tmp_path, "--draw", whole)
    lines = read_lines(tmp_path)
    assert 5 <= len(lines) < NUM
    if name == "cut.mts":  # a format for broadcasts, which states no length
        return
    assert status == 1
    assert "what could be read is kept" in capsys.readouterr().err
    path, reason = (tmp_path / "out/unreadable.txt").read_text().rstrip().split("\t")
    assert path == str(whole) and ("ends after" in reason or "cannot be read further" in reason)
    with films.open_film(tmp_path / "out/film.mp4") as drawn:
        assert len(list(drawn.read())) == len(lines)


def test_a_film_with_a_damaged_middle_is_reported(film, tmp_path):
    data = bytearray(film.read_bytes())
    middle = data.index(b"mdat") + 4 + (len(data) - data.index(b"mdat")) // 3
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "film.mp4").write_bytes(data)
    with films.open_film(tmp_path / "film.mp4") as opened:
        frames = list(opened.read())
        assert opened.problem is not None
    assert 0 < len(frames) <= NUM


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot be opened"), (b"this is not a film" * 100, "cannot be opened"), (None, "no such file")],
)
def test_what_is_not_a_film_is_an_error(saved_model_dir, tmp_path, capsys, content, words):
    if content is not None:
        (tmp_path / "film.mp4").write_bytes(content)
    assert predict(saved_model_dir, tmp_path, tmp_path / "film.mp4") == 1
    assert f"film.mp4: {words}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_half_of_an_mp4_without_its_index_is_an_error(saved_model_dir, film, tmp_path, capsys):
    (tmp_path / "half.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    assert predict(saved_model_dir, tmp_path, tmp_path / "half.mp4") == 1
    assert "half.mp4: cannot be opened" in capsys.readouterr().err


def test_a_playlist_does_not_fetch_anything(tmp_path):
    (tmp_path / "film.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(errors.PredictionError, match="cannot be opened"), films.open_film(tmp_path / "film.mp4"):
        pass


def test_without_the_extra_the_command_is_said(saved_model_dir, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert predict(saved_model_dir, tmp_path, film) == 1
    assert 'pip install -c constraints.txt ".[video]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["film.mp4", "other.mp4"], "a film is predicted by itself"),
        (["film.mp4", "photos"], "a film is predicted by itself"),
        (["film.mp4", "--image_dir=photos"], "a film is predicted by itself"),
        (["film.mp4", "--write_xml"], "--write_xml has no effect with films"),
        (["film.mp4", "--camera=0"], "--camera cannot be combined with files"),
        (["--camera=0", "--image_dir=photos"], "--camera has no effect with --image_dir"),
        (["--camera=-1"], "--camera=-1: invalid value"),
        (["photo.jpg", "--every=2"], "--every has no effect with images"),
        (["photo.jpg", "--max_frames=2"], "--max_frames has no effect with images"),
    ],
)
def test_flags_that_have_no_effect_are_refused(saved_model_dir, tmp_path, capsys, arguments, words):
    assert predict(saved_model_dir, tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def device(monkeypatch):
    """A test pattern of FFmpeg, which does not end, in the place of a camera."""
    monkeypatch.setattr(films, "find_device", lambda number: (f"testsrc=size={64 + number}x48:rate=20", "lavfi"))


@pytest.mark.usefixtures("device")
def test_a_camera_until_a_number_of_frames(saved_model_dir, tmp_path, capsys):
    assert predict(saved_model_dir, tmp_path, "--camera=2", "--draw", "--max_frames=6", "--every=2") == 0
    lines = read_lines(tmp_path)
    assert [(line["path"], line["frame"], line["time"]) for line in lines] == [
        ("camera 2", 2 * number, pytest.approx(number / 10)) for number in range(6)
    ]
    assert {(line["width"], line["height"]) for line in lines} == {(66, 48)}
    assert (tmp_path / "out/film.mp4").is_file()
    assert "camera 2 has 20\n" in capsys.readouterr().out


@pytest.mark.usefixtures("device")
def test_ctrl_c_ends_a_camera_and_keeps_what_was_predicted(saved_model_dir, tmp_path, monkeypatch, capsys):
    write = predict_film.film_results.FilmResultWriter.write

    def interrupt(self, *args):
        write(self, *args)
        if self.num_frames == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(predict_film.film_results.FilmResultWriter, "write", interrupt)
    former = signal.getsignal(signal.SIGINT)
    assert predict(saved_model_dir, tmp_path, "--camera=0") == 0
    assert signal.getsignal(signal.SIGINT) is former
    assert len(read_lines(tmp_path)) >= 3
    assert "Ctrl-C ends the recording" in capsys.readouterr().out


def test_ctrl_c_drops_a_film(saved_model_dir, film, tmp_path, monkeypatch):
    def interrupt(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_film.film_results.FilmResultWriter, "write", interrupt)
    assert predict(saved_model_dir, tmp_path, film, "--draw") == 130
    assert list(tmp_path.iterdir()) == []


def test_no_camera_is_an_error_that_names_the_device(saved_model_dir, tmp_path, capsys):
    assert predict(saved_model_dir, tmp_path, "--camera=97") == 1
    printed = capsys.readouterr().err
    assert "camera 97: cannot be opened" in printed and "/dev/video97" in printed and "ls /dev/video*" in printed
    assert not (tmp_path / "out").exists()
