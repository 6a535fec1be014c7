"""What the console says of a workspace: where it stands and what to type next."""

import collections

from tfodhelper import console
from tfodhelper.active_learning import workspace as workspaces


def say_status(folder):
    """Says how many images are where, which rounds there are, and what comes next."""
    space = workspaces.Workspace(folder)
    found = space.rounds()
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
    rows = [(one.number, _state_of(one), counts[one.number]) for one in found]
    if rows:
        console.say(console.format_table(("round", "state", "adopted"), rows, numbers=(0, 2)))
    else:
        console.say("no round has begun")
    say_next(space)


def _state_of(one):
    if one.is_finished:
        return "finished"
    phase = one.next_phase
    if phase == "ask" and "ask" in one.state.get("spent", {}):
        return f"waits for the oracle {one.settings['oracle']['name']}"
    return f"next phase: {phase}"


def say_outcome(folder, outcome):
    """Ends `round` and `run` with what came out and what to type next."""
    space = workspaces.Workspace(folder)
    if outcome == "waits":
        console.say("the round waits for answers; with them, type `active round` again")
    say_next(space)


def say_next(space):
    """What to type next."""
    found = space.rounds()
    waiting = found[-1].state.get("next_steps", []) if found else []
    commands = list(waiting)
    if next(space.open_pool(), None) is not None:
        commands.append(f"tfodhelper active round --workspace={space.folder}")
    elif not found or found[-1].is_finished or not found[-1].has("train"):  # what was adopted last is to be learned
        commands.append(f"tfodhelper active round --until=train --workspace={space.folder}")
    if any(one.is_finished for one in found):
        commands.append(f"tfodhelper active report --workspace={space.folder}")
    trained = [one for one in found if one.has("train")]
    if trained:
        commands.append(
            f"tfodhelper predict --saved_model_dir={trained[-1].model} --output_dir=predictions --draw IMAGES_OR_FOLDER"
        )
    console.say_next(*commands)
