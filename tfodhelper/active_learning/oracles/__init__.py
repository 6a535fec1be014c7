"""Who answers for the images that a round chose.

An oracle is any object with

* `name`: a short text, kept with each adopted image;
* `ask(questions, folder)`: takes an iterable of `structures.Question` and the round's folder, and yields a
  `structures.Answer` for each, in the same order. It may be asked the same questions again, after an interruption or
  while a person is still at work; it writes only to that folder, and repeats the answers that it gave before.

It may have

* `next_steps(folder)`: lines that tell a person what to do while answers are missing;
* `take_answers(questions, folder)`, which is called instead of `ask` when nobody is to be waited for;
* `can_rehearse`, true if its answers follow from the questions alone: then it is also asked about the validation
  images, without a folder, to learn what its answers are worth (`adoption.law`);
* `needs_zones`, true if it weighs boxes by zones of the score: then it has `find_candidates(question)`, [(box,
  `Detection`)], and its `zones` are set before it is asked (`adoption.rehearsal.find_zones`).

`build.build_oracle` builds those that are included; `build.OPTIONS` lists what can be set.
"""
