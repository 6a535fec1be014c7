"""What all plots share, tried on the plots of every module that draws some."""

import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from tests.active_learning import rounds_on_disk as disk
from tests.render import fonts_on_disk
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.active_learning.report import plots as round_plots
from tfodhelper.active_learning.report import round_facts
from tfodhelper.dataset.analysis import box_statistics
from tfodhelper.dataset.analysis import plots as set_plots
from tfodhelper.fields import Losses
from tfodhelper.render import figures, fonts, palette
from tfodhelper.training import curves, evaluation

pytestmark = pytest.mark.slow

NAMES = ["红细胞", "白血球 <b>", "小血板"]


def draw_set(folder, names):
    """The figures of `stats`."""
    label = np.array([names[i % len(names)] for i in range(60)], object)
    folder.mkdir(exist_ok=True)
    sizes = np.random.default_rng(0).uniform(10, 90, (60, 2))
    images = [(f"{i}.jpg", ("train", "validate")[i % 2], 2) for i in range(30)]
    table = box_statistics.Table(images, np.arange(60) // 2, label, sizes, np.full((60, 2), 100.0))
    set_plots.write_plots(folder, table, {})
    set_plots.write_distances(folder / "distances.png", names, np.eye(len(names)))


def draw_rounds(folder, names):
    """The figures of `active report`, with the classes as lines or as a table."""
    space = disk.start(folder / "space", names)
    labels = {f"{i}.jpg": [names[i % len(names)]] for i in range(30)}
    for number in (1, 2):
        metrics = disk.metrics(0.5, dict.fromkeys(names, 0.5))
        one = disk.add_training(space, number, labels, labels, [(1, metrics)])
        disk.add_answers(one, [disk.adopted("new.jpg", names[:1], disk.Edits(kept=1))])
        disk.finish(one, train=30.0, predict=1.0, merge=1.0)
    rounds, class_names = round_facts.read_rounds(space.folder), round_facts.read_class_names(space.folder)
    for name, figure in round_plots.make_figures(rounds, class_names).items():
        figures.save(folder / f"{name}.png", figure)


def draw_many_classes(folder, names):
    draw_rounds(folder, [f"{name} {i}" for i in range(5) for name in names])


def draw_training(folder, names):
    """The figure of a training, which names no class."""
    history = evaluation.History(folder / "evaluations.jsonl")
    for step in (1, 2):
        history.add(step, {Losses.TOTAL: 1.0, evaluation.MAP: 0.5, evaluation.MAP_50: 0.7}, train={Losses.TOTAL: 1.0})
    curves.write_curves(history, folder)


DRAWERS = {
    "set": (draw_set, 4),
    "rounds": (draw_rounds, 6),
    "many classes": (draw_many_classes, 6),
    "training": (draw_training, 1),
}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    kept, save = [], figures.save
    monkeypatch.setattr(figures, "save", lambda path, figure: (kept.append(figure), save(path, figure))[1])
    return kept


def find_missing_letters(figure):
    """What matplotlib complains of while it draws."""
    with figures.style(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FigureCanvasAgg(figure).draw()
    return [str(warning.message) for warning in caught]


@pytest.mark.skipif(sys.platform != "linux", reason="places fonts where Linux looks for them")
@pytest.mark.parametrize("draw, count", DRAWERS.values(), ids=DRAWERS)
def test_an_installed_font_shows_names_in_chinese(tmp_path, drawn, draw, count, capfd):
    with fonts_on_disk.installed(tmp_path, {"NotoSansCJK-Regular.ttc": fonts_on_disk.CHINESE}):
        draw(tmp_path, NAMES)
        assert len(drawn) == count
        for figure in drawn:
            assert find_missing_letters(figure) == []
            families = {tuple(text.get_fontfamily()) for text in figure.findobj(Text) if text.get_text()}
            assert families == {tuple(map(str, fonts.find_fonts()))}
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="places fonts where Linux looks for them")
@pytest.mark.parametrize("draw, count", DRAWERS.values(), ids=DRAWERS)
def test_without_a_font_nothing_is_said(tmp_path, drawn, draw, count, capfd):
    with fonts_on_disk.installed(tmp_path, {}), warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path, NAMES)
    assert len(drawn) == count
    assert capfd.readouterr().err == ""
    assert len(list(tmp_path.glob("*.png"))) == count
    if draw is not draw_training:  # nothing would be said of letters that are not drawn
        with fonts_on_disk.installed(tmp_path / "none", {}):
            assert any("Glyph" in message for figure in drawn for message in find_missing_letters(figure))


def test_names_of_any_kind_are_text(tmp_path, drawn):
    names = ["$\\frac{1}$", "_hidden", "a\x1b[31mb\n", "x" * 300, "<b>&"]
    for draw in (draw_set, draw_rounds):
        draw(tmp_path / draw.__name__, names)
    (classes,) = [figure for figure in drawn if figure.axes[0].get_title().startswith("boxes per class")]
    assert sorted(label.get_text() for label in classes.axes[0].get_yticklabels()) == sorted(
        map(figures.shorten_name, names)
    )
    (growth,) = [figure for figure in drawn if figure.axes[0].get_title() == "images in the training set"]
    shown = [text.get_text() for text in growth.axes[1].get_legend().get_texts()]
    assert sorted(shown) == sorted(map(figures.shorten_name, names))


@pytest.mark.parametrize(
    "name, expected",
    [("cat", "cat"), ("$x$", r"\$x\$"), ("_a", "\u200b_a"), ("a\n\x1b", "a??"), ("x" * 29, "x" * 27 + "…")],
)
def test_names_are_short_and_no_formula(name, expected):
    assert figures.shorten_name(name) == expected


def test_a_class_has_the_same_color_in_all_plots(tmp_path, drawn):
    draw_rounds(tmp_path, ["ant", "bee", "cow"])
    by_title = {figure.axes[-1].get_title(): figure.axes[-1] for figure in drawn}
    bars = by_title["boxes in the training set, by class"].containers
    lines = by_title["average precision at IoU 0.5, by class"].get_lines()
    expected = {"ant": palette.color_of(1), "bee": palette.color_of(2), "cow": palette.color_of(3)}
    assert {bar.get_label(): matplotlib.colors.to_hex(bar[0].get_facecolor()) for bar in bars} == expected
    assert {line.get_label(): line.get_color() for line in lines} == expected


def test_classes_whose_colors_repeat_differ_otherwise():
    assert figures.class_bar(1) != figures.class_bar(21) != figures.class_bar(41)
    assert figures.class_line(1) != figures.class_line(21) != figures.class_line(41)
    assert figures.class_bar(1)["color"] == figures.class_bar(21)["color"] == figures.class_line(21)["color"]


def test_no_setting_of_the_user_shows_or_changes(tmp_path):
    pixels = []
    own = {"text.usetex": True, "axes.facecolor": "red", "font.family": "serif", "savefig.facecolor": "black"}
    for number, theirs in enumerate(({}, own)):
        with matplotlib.rc_context(theirs):
            before = dict(matplotlib.rcParams)
            with figures.style():
                figure = figures.new_figure(3, 2)
                figure.subplots().plot([0, 1], [0, 1])
            figures.save(tmp_path / f"{number}.png", figure)
            assert dict(matplotlib.rcParams) == before
        pixels.append(np.asarray(Image.open(tmp_path / f"{number}.png")))
    assert (pixels[0] == pixels[1]).all()


def test_a_figure_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    figure = figures.new_figure(3, 2)
    path = figures.save(tmp_path / "a.png", figure)
    before = path.read_bytes()

    def fail(file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(errors.StorageError, match="the disk is full"):
        figures.save(path, figure)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == before


def test_no_window_is_needed_and_pyplot_is_not_imported():
    code = "import sys\nfrom tfodhelper.render import figures\nassert 'matplotlib.pyplot' not in sys.modules"
    environment = {"MPLBACKEND": "tkagg", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=REPOSITORY, check=True)


def test_numbers_in_a_table_can_be_read():
    figure = figures.new_figure(3, 3)
    axes = figure.subplots()
    values = np.array([[0.0, 1.0], [float("nan"), 0.5]])
    figures.draw_table(axes, values, ["a", "b"], ["c", "d"], "{:.1f}".format, "viridis")
    inks = {text.get_text(): text.get_color() for text in axes.texts}
    assert inks == {"0.0": palette.LIGHT, "1.0": palette.DARK, "0.5": palette.DARK}  # dark blue, yellow, green
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
