"""What the console says about a workspace: its state and what to type next."""

import collections

from tfodhelper import console, invocation, spelling
from tfodhelper.active_learning import workspace as workspaces
from tfodhelper.active_learning.adoption import class_worth, trial

_MOST_CLASSES = 12  # on the console


def say_status(folder):
    """Prints the numbers of images, the rounds, and what comes next."""
    space = workspaces.Workspace(folder)
    rounds = space.rounds()
    adopted = space.standing()
    relabelled = collections.Counter(image.boxes for image in adopted.values() if image.is_relabelled)
    num_pool = sum(1 for _ in space.pool())
    rows = [
        ("labelled at the start", len(space.labelled())),
        ("adopted since", len(adopted)),
        *([("of these relabelled", relabelled.total())] if relabelled else []),
        ("validation", len(space.validation())),
        ("left in the pool", num_pool - len(adopted)),
    ]
    console.say(console.format_table(("images", "number"), rows, numbers=(1,)))
    console.say("")
    counts = collections.Counter(image.adopted for image in adopted.values())
    rows = [(each.number, _state_of(each), counts[each.number], relabelled[each.number]) for each in rounds]
    if rows:
        columns = 4 if relabelled else 3
        header = ("round", "state", "adopted", "boxes of adopted images")[:columns]
        console.say(console.format_table(header, [row[:columns] for row in rows], numbers=range(columns)))
    else:
        console.say("no round has begun yet")
    _say_law(rounds)
    say_next(space)


def describe_worth(state, confirmed=None):
    """Lines on what the boxes of a round were worth.

    Args:
      state: of the round, see `workspace.Round`.
      confirmed: {class: number of images with such boxes}; others are left out. None for all classes.
    """
    worth, lines = state["worth"], []
    pairs = [(each, verdict) for each, verdict in class_worth.from_facts(worth)]
    if confirmed is not None:
        pairs = [(each, verdict) for each, verdict in pairs if each.name in confirmed]
        pairs.sort(key=lambda pair: -confirmed[pair[0].name])
    lines += [class_worth.to_words(each, verdict, worth["least"]) for each, verdict in pairs[:_MOST_CLASSES]]
    if len(pairs) > _MOST_CLASSES:
        lines.append(f"{spelling.count(len(pairs) - _MOST_CLASSES, 'more class', 'more classes')}: see `active report`")
    if state["held_back"]:
        images = spelling.count(state["held_back"], "confirmed image stays", "confirmed images stay")
        lines.append(f"{images} in the pool: {class_worth.CONFIRMED} of the round lists them, the most useful first")
    return lines


def _say_law(rounds):
    """Prints the last trial, and what the boxes of the last round were worth."""
    lines = []
    tried = [round_ for round_ in rounds if "trial" in round_.state]
    if tried:
        lines.append(trial.from_facts(tried[-1].state["trial"]).to_words(tried[-1].number))
    judged = [round_ for round_ in rounds if "worth" in round_.state]
    if judged:
        lines.append(f"what the boxes of round {judged[-1].number} are worth on the validation images:")
        lines += describe_worth(judged[-1].state)
    if lines:
        console.say("")
    for line in lines:
        console.say(line)


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
