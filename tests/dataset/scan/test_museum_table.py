"""The table of real annotation problems contains every file of every case."""

import pathlib
import subprocess
import sys

from tests.shared_data import shared

SCRIPT = pathlib.Path(__file__).parents[3] / "scripts" / "museum_table.py"


def test_every_file_is_accounted_for():
    museum = shared("data/messy/dev")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(museum), "--markdown"], capture_output=True, text=True, check=True
    )
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    files = {path.relative_to(museum).as_posix() for path in museum.rglob("*") if path.is_file()}
    assert {f"{row[0]}/{row[1]}" for row in rows if "alone" not in row[1]} == files - {"INDEX.md"}
    happened = {f"{row[0][:2]} {row[1].rsplit('/', 1)[-1]}": row[2] for row in rows}
    assert happened["01 31.jpg"] == "re-encoded, 8 boxes"
    assert happened["07 13.jpg"] == happened["07 102.xml"] == "the dataset is rejected"
    assert happened["16 78.jpg"] == "used as it is, a negative"
    assert happened["23 misc.xml"] == happened["23 desktop.ini"] == "ignored"
    assert happened["25 entrenamiento.record"].startswith("read from the bytes: 44 images, 244 boxes")
