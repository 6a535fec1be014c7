"""Which font writes which text on a picture."""

import sys

import pytest

from tests.render import fonts_on_disk as disk
from tfodhelper.render import fonts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="places fonts where Linux looks for them")


def test_fonts_are_found_in_the_order_of_choice(tmp_path):
    letters = {"wqy-zenhei.ttc": "", "NotoSansCJK-Regular.ttc": "", "unknown.ttf": "", "DEJAVUSANS.TTF": ""}
    with disk.installed(tmp_path, letters):
        names = [path.name for path in fonts.find_fonts()]
    assert names == ["DEJAVUSANS.TTF", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc"]
    with disk.installed(tmp_path / "none", {}):
        assert [path.name for path in fonts.find_fonts()] == ["DejaVuSans.ttf"]  # the one that matplotlib brings


def test_the_built_in_font_writes_what_it_can(tmp_path):
    with disk.installed(tmp_path, {"NotoSansCJK-Regular.ttc": disk.CHINESE}):
        font, shown = fonts.choose_font("cat 90%", 20)
        assert font.getname()[0] == "Aileron" and shown == "cat 90%"


@pytest.mark.parametrize("text", ["Käfer", "Жук", "κάνθαρος", "Żuk", "bọ cánh cứng"])
def test_latin_greek_and_cyrillic_letters_need_no_installed_font(tmp_path, text):
    with disk.installed(tmp_path, {}):
        font, shown = fonts.choose_font(text, 20)
        assert font.getname()[0] == "DejaVu Sans" and shown == text


def test_the_first_font_with_all_letters_is_chosen(tmp_path):
    letters = {"DejaVuSans.ttf": "红", "NotoSansCJK-Regular.ttc": "红细胞", "wqy-zenhei.ttc": disk.CHINESE}
    with disk.installed(tmp_path, letters):
        font, shown = fonts.choose_font("红细胞 90%", 20)
        assert (font.getname()[0], font.size, shown) == ("NotoSansCJK-Regular", 20, "红细胞 90%")


def test_letters_that_no_font_has_become_question_marks(tmp_path):
    with disk.installed(tmp_path, {"DejaVuSans.ttf": "红", "wqy-zenhei.ttc": "红细"}):
        font, shown = fonts.choose_font("红细胞 90%", 20)
        assert (font.getname()[0], shown) == ("wqy-zenhei", "红细? 90%")
    with disk.installed(tmp_path / "none", {}):
        assert fonts.choose_font("红细胞 90%", 20)[1] == "? 90%"
        assert fonts.choose_font("a\x1b[31mb", 20)[1] == "a?[31mb"


def test_a_damaged_font_is_passed_over(tmp_path):
    with disk.installed(tmp_path, {"wqy-zenhei.ttc": disk.CHINESE}):
        (tmp_path / "fonts" / "DejaVuSans.ttf").write_bytes(b"no font")
        assert fonts.choose_font("红细胞", 20)[0].getname()[0] == "wqy-zenhei"
