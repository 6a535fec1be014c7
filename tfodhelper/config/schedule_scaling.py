"""Scales the learning rates and the steps of an optimizer's schedule."""

from tfodhelper import spelling

SHORTEST_WARMUP = 50  # steps, if the training is long enough

_RATES = {
    "constant_learning_rate": ("learning_rate",),
    "exponential_decay_learning_rate": ("initial_learning_rate", "burnin_learning_rate", "min_learning_rate"),
    "manual_step_learning_rate": ("initial_learning_rate",),
    "cosine_decay_learning_rate": ("learning_rate_base", "warmup_learning_rate"),
}
_STEPS = {
    "constant_learning_rate": (),
    "exponential_decay_learning_rate": ("decay_steps", "burnin_steps"),
    "manual_step_learning_rate": (),
    "cosine_decay_learning_rate": ("total_steps", "warmup_steps", "hold_base_rate_steps"),
}


def _schedule(optimizer):
    """(name of the schedule, its message) of an Optimizer message; (None, None) if none is set."""
    kind = optimizer.WhichOneof("optimizer")
    learning_rate = getattr(optimizer, kind).learning_rate if kind else None
    name = learning_rate.WhichOneof("learning_rate") if learning_rate is not None else None
    return (name, getattr(learning_rate, name)) if name else (None, None)


def base_rate(optimizer):
    """The base rate of a schedule: after the warm-up, before the decay. None if there is no schedule."""
    name, schedule = _schedule(optimizer)
    return getattr(schedule, _RATES[name][0]) if name else None


def scale_rates(optimizer, factor):
    """Multiplies all rates of the schedule of an Optimizer message by a factor, in place."""
    name, schedule = _schedule(optimizer)
    if name is None or factor == 1.0:
        return
    for message, field in _fields(schedule, _RATES[name], "learning_rate"):
        if getattr(message, field):
            setattr(message, field, float(f"{getattr(message, field) * factor:.6g}"))


def scale_steps(optimizer, old, new):
    """Scales the steps of the schedule of an Optimizer message to another number of training steps, in place.

    Args:
      optimizer: the message.
      old: training steps that the schedule was made for; if it is 0, the total of a cosine schedule is used.
      new: training steps.

    Returns:
      A list of notes.
    """
    name, schedule = _schedule(optimizer)
    if name is None:
        return []
    old = old or (schedule.total_steps if name == "cosine_decay_learning_rate" else new)
    if old == new:
        return []
    notes, least = [], 1
    for message, field in _fields(schedule, _STEPS[name], "step"):
        before = getattr(message, field)
        if not before:
            continue
        after = max(least, round(before * new / old))
        if field == "step":
            least = after + 1  # rounding must not make two steps of a list the same
        if field == "warmup_steps":
            after = max(after, min(SHORTEST_WARMUP, new // 10))
        setattr(message, field, after)
        notes.append(f"{field}: {after} (was {before}), scaled to {spelling.count(new, 'step')}")
    if name == "cosine_decay_learning_rate":
        _fit_cosine(schedule)
    return notes


def _fit_cosine(schedule):
    """Shortens the plateau if rounding has made warm-up and plateau longer than the training."""
    room = schedule.total_steps - schedule.warmup_steps
    if schedule.hold_base_rate_steps > room:
        schedule.hold_base_rate_steps = max(0, room)


def _fields(schedule, names, step_field):
    """(message, field name) of the schedule's own fields and of those in its list of steps."""
    fields = [(schedule, name) for name in names]
    if "schedule" in schedule.DESCRIPTOR.fields_by_name:
        fields += [(item, step_field) for item in schedule.schedule]
    return fields
