"""What the console says about a workspace: its state and what to type next."""

import collections

from tfodhelper import console, invocation
from tfodhelper.active_learning import workspace as workspaces


def say_status(folder):
    """Prints the numbers of images, the rounds, and what comes next."""
    space = workspaces.Workspace(folder)
    rounds = space.rounds()
    adopted = space.adopted()
    num_pool = sum(1 for _ in space.pool())
    rows = [
        ("labelled at the start", len(space.labelled())),
        ("adopted since", len(adopted)),
        ("validation", len(space.validation())),
        ("left in the pool", num_pool - len(adopted)),
    ]
    console.say(console.format_table(("images", "number"), rows, numbers=(1,)))
    console.say("")
    counts = collections.Counter(adopted.values())
    rows = [(round_.number, _state_of(round_), counts[round_.number]) for round_ in rounds]
    if rows:
        console.say(console.format_table(("round", "state", "adopted"), rows, numbers=(0, 2)))
    else:
        console.say("no round has begun yet")
    say_next(space)


def _state_of(round_):
    if round_.is_finished:
        return "finished"
    phase = round_.next_phase
    if phase == "ask" and "ask" in round_.state.get("spent", {}):
        return f"waiting for the oracle {round_.settings['oracle']['name']}"
    return f"next phase: {phase}"


def say_outcome(folder, outcome):
    """Ends `round` and `run` with their outcome and what to type next."""
    space = workspaces.Workspace(folder)
    if outcome == "waits":
        console.say("the round is waiting for answers; when they are complete, type `active round` again")
    say_next(space)


def say_next(space):
    """Prints what to type next."""
    rounds = space.rounds()
    waiting = rounds[-1].state.get("next_steps", []) if rounds else []
    commands = list(waiting)
    if next(space.open_pool(), None) is not None:
        commands.append(invocation.format_command("active round", workspace=space.folder))
    elif not rounds or rounds[-1].is_finished or not rounds[-1].has("train"):  # to learn what was adopted last
        commands.append(invocation.format_command("active round", until="train", workspace=space.folder))
    if any(round_.is_finished for round_ in rounds):
        commands.append(invocation.format_command("active report", workspace=space.folder))
    trained = [round_ for round_ in rounds if round_.has("train")]
    if trained:
        flags = {"saved_model_dir": trained[-1].model_dir, "output_dir": "predictions", "draw": True}
        commands.append(invocation.format_command("predict", "IMAGES_OR_FOLDER", **flags))
    console.say_next(*commands)
