"""The notebook runs from top to bottom, at small settings, and is stored without outputs."""

import asyncio
import base64
import io
import json
import os
import re

import pytest
from PIL import Image

import tfodhelper
from tests.docs import pages
from tests.shared_data import REPOSITORY

NOTEBOOK = json.loads(pages.NOTEBOOK.read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]

# Instead of the cell that is tagged as parameters: another network, and settings with which nothing is learned.
SMALL = """
FOLDER = pathlib.Path("first_detector")
NUM_LABELLED, NUM_POOL, NUM_UNSEEN = 12, 6, 2
NUM_STEPS, ROUND_STEPS, EVAL_EVERY, BATCH_SIZE = 4, 2, 4, 4
MODEL, SIDE = "ssd_mobilenet_v1_0.75_depth", 96
"""


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def test_it_has_no_outputs():
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


def test_the_small_settings_replace_all_parameters():
    (parameters,) = [cell for cell in NOTEBOOK["cells"] if is_parameters(cell)]
    names = re.findall(r"^([A-Z_, ]+) = ", "".join(parameters["source"]), re.MULTILINE)
    assert names == re.findall(r"^([A-Z_, ]+) = ", SMALL, re.MULTILINE) != []


def test_only_public_names_are_used():
    code = "\n".join(CODE)
    imports = re.findall(r"^(?:import|from) (\S+)", code, re.MULTILINE)
    assert [name for name in imports if name.startswith("tfodhelper.")] == []
    assert set(re.findall(r"\btfodhelper\.(\w+)", code)) <= set(tfodhelper.__all__)
    assert {"run", "check", "Predictor", "create_workspace", "run_rounds"} <= set(
        re.findall(r"tfodhelper\.(\w+)", code)
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(the notebook after its execution, the folder it ran in)."""
    nbclient = pytest.importorskip("nbclient", reason='needs nbclient: pip install -c constraints.txt ".[dev]"')
    pytest.importorskip("ipykernel", reason='needs ipykernel: pip install -c constraints.txt ".[dev]"')
    import nbformat

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(pages.NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if is_parameters(cell):
            cell.source = SMALL
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(folder / "ipython")}
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute(env=environment))
    return notebook, folder


def texts_of(notebook):
    """Everything that the notebook printed."""
    return "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(executed):
    notebook, folder = executed
    text = texts_of(notebook)
    first = tfodhelper.read_annotation(folder / "first_detector/labelled/labelled_0000.xml").boxes[0]
    assert f"{first.name} {first.xmin} {first.ymin} {first.xmax} {first.ymax}\n" in text
    assert "12 images can be used; no errors" in text
    assert ":tensorflow:" not in text
    assert re.search(r"^mAP@0.5 \d\.\d{3}, mAP \d\.\d{3} at step 4$", text, re.MULTILINE)
    assert re.search(r"^\d+ labelled, \d+ for validation, 6 in pool$", text, re.MULTILINE)


@pytest.mark.slow
def test_a_round_adopts_images_and_trains_with_them(executed):
    _, folder = executed
    rounds = sorted((folder / "first_detector/growing/rounds").iterdir())
    answers = [json.loads(line) for line in (rounds[0] / "answers.jsonl").read_text().splitlines()]
    assert len(rounds) == 2 and [answer["verdict"] for answer in answers] == ["adopted", "adopted"]
    lists = [(path / "train.txt").read_text().split() for path in rounds]
    assert set(lists[1]) - set(lists[0]) == {answer["name"] for answer in answers}
    assert tfodhelper.Predictor(rounds[1] / "training").label_map.names == ("circle", "square", "triangle")


@pytest.mark.slow
def test_pictures_are_shown(executed):
    notebook, _ = executed
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    # A labelled image, the curves, two predictions, two plots of the round, the prediction of the newest detector.
    assert len(pictures) == 7
    assert pictures[0].size == (240, 200)
    assert all(picture.width >= 240 for picture in pictures)
