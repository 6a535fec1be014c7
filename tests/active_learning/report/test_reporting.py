"""What the console suggests to type next."""

from tests.active_learning import rounds_on_disk as disk
from tfodhelper.active_learning.report import reporting


def commands(space, capsys):
    capsys.readouterr()
    reporting.say_next(space)
    return [line.split("tfodhelper ")[1].split(" --")[0:2] for line in capsys.readouterr().out.splitlines()[2:]]


def finish_round(space, number, adopted):
    round_ = space.begin_round(number, disk.SETTINGS)
    disk.add_answers(round_, [disk.adopted(name, ["cat"]) for name in adopted])
    disk.finish(round_, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)


def test_a_round_comes_next_as_long_as_the_pool_holds_images(tmp_path, capsys):
    space = disk.start(tmp_path, ["cat"], [("pool/a.jpg", "/a.jpg"), ("pool/b.jpg", "/b.jpg")])
    assert commands(space, capsys) == [["active round", f"workspace={tmp_path}"]]
    finish_round(space, 1, ["pool/a.jpg"])
    assert commands(space, capsys)[:2] == [
        ["active round", f"workspace={tmp_path}"],
        ["active report", f"workspace={tmp_path}"],
    ]


def test_the_last_images_of_a_used_up_pool_are_still_to_be_learned(tmp_path, capsys):
    space = disk.start(tmp_path, ["cat"], [("pool/a.jpg", "/a.jpg")])
    finish_round(space, 1, ["pool/a.jpg"])
    assert commands(space, capsys)[0] == ["active round", "until=train"]
    disk.finish(space.begin_round(2, disk.SETTINGS), train=1.0)
    assert [command for command, _ in commands(space, capsys)] == ["active report", "predict"]
