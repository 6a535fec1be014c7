"""Who answers for the images that a round chose.

An oracle is any object with

* `name`: a short text, kept with each adopted image;
* `ask(questions, folder)`: takes an iterable of `structures.Question` and the round's folder, and yields an
  `structures.Answer` for each, in the same order. It may be asked the same again, after an interruption or while a
  person is still at work; it writes only in that folder, and answers again what it answered before.

It may have `next_steps(folder)`: lines that tell a person what to do while answers are missing.

`build.build_oracle` makes the three that are built in; `build.OPTIONS` lists what can be set.
"""
