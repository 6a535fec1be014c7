"""Tables for spreadsheets: no cell is a formula, numbers stay numbers, and reading restores the texts."""

import csv

import pytest

from tfodhelper import errors, sheets

FORMULAS = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3+cmd", "@SUM(1)", "\t=1", "  =1", "a;=1", "a,@b", "a\n=b", "\uff1d1"]
HARMLESS = ["cat", "a=b", "a-b", "-1.5", "+3e4", "-", "it's", "'a'", "", "semi;colon", "2026-01-01", "x_-1"]
AWKWARD = ["'=1", "''@x", "'-2", "a;'=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text):
    cell = sheets.to_cell(text)
    for part in [cell, *cell.replace(",", ";").split(";"), *cell.splitlines()]:
        assert part.strip()[:1] not in ("=", "+", "-", "@", "\uff1d")


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay(text):
    assert sheets.to_cell(text) == text


def test_numbers_stay_and_nothing_is_an_empty_cell():
    assert [sheets.to_cell(value) for value in (-1, -1.5, None, float("nan"))] == [-1, -1.5, "", ""]


def test_what_is_written_is_read_back(tmp_path):
    texts = [text for text in FORMULAS + HARMLESS + AWKWARD if "\n" not in text]
    sheets.write_csv(tmp_path / "a.csv", ("=name", "number"), [(text, -1) for text in texts])
    assert [row["=name"] for row in sheets.read_csv(tmp_path / "a.csv")] == texts
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        cells = [row[0] for row in csv.reader(file)]
    assert cells[0] == "'=name" and "'=cmd|' /C calc'!A0" in cells


def test_a_table_of_another_program_is_read_as_it_stands(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n'=1,2,3\n4\n", encoding="utf-8")
    rows = list(sheets.read_csv(tmp_path / "a.csv", is_neutralized=False))
    assert rows == [{"a": "'=1", "b": "2"}, {"a": "4", "b": ""}]


@pytest.mark.parametrize("content", [b"a,b\n\xff,1\n", b"a,b\n" + b"x" * 200_000 + b",1\n"])
def test_a_damaged_table_is_an_error_in_words(content, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(errors.StorageError, match="cannot be read as a table"):
        list(sheets.read_csv(tmp_path / "a.csv"))
    with pytest.raises(errors.StorageError, match="cannot be read"):
        list(sheets.read_csv(tmp_path / "none.csv"))
