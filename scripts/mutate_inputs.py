"""Gives mutated inputs to every parser of the program, each in a process of its own, and reports what happened.

    python scripts/mutate_inputs.py --num_cases=50000 --seed=1
    python scripts/mutate_inputs.py --target=xml --seed=1 --case=123 --save=case.xml

No case may crash: the parser returns, or raises an error in words, within 2 s of processor time and 300 MB. A case is
made from its target, the seed and its number, which the report prints for everything that fails. The exit status is 1
if anything failed. --portion=2/5 tries the second of five parts of the cases.
"""

import argparse
import functools
import importlib.util
import multiprocessing
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tests.mutation import harness, targets  # noqa: E402
from tfodhelper import console, tensorflow_setup  # noqa: E402

HEADER = ("PARSER", "Cases", "Read", "Refused", "Slowest s", "Its number", "Most MB", "Kept MB", "Faults")


def main():
    """Reads the command line and runs the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_cases", type=int, default=3200, help="cases of all parsers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--portion", default="1/1", help="which part of the cases, as in 2/5")
    parser.add_argument("--target", help="name of the only parser to try")
    parser.add_argument("--case", type=int, help="number of the only case to try")
    parser.add_argument("--save", help="file for the bytes of that case")
    arguments = parser.parse_args()
    chosen = [target for target in targets.TARGETS if arguments.target in (None, target.name)]
    chosen = [target for target in chosen if all(map(importlib.util.find_spec, target.needs))]
    if not chosen:
        parser.error(f"--target is one of: {', '.join(target.name for target in targets.TARGETS)}")
    if arguments.save and arguments.case is not None:
        data = harness.make_case(chosen[0], chosen[0].seeds(), arguments.seed, arguments.case)
        pathlib.Path(arguments.save).write_bytes(data)
    names, numbers = [target.name for target in chosen], _numbers(arguments, len(chosen))
    summaries = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for summary in pool.imap(functools.partial(_try, seed=arguments.seed, numbers=numbers), names):
            console.say(f"{summary.name}: {summary.num_cases} cases, {len(summary.faults)} faults")
            summaries.append(summary)
    return _report(summaries, arguments.seed)


def _try(name, seed, numbers):
    """Tries one parser; in a process of its own, so that what it keeps is not counted for the next one."""
    tensorflow_setup.quiet_tensorflow()
    return harness.run(next(target for target in targets.TARGETS if target.name == name), seed, numbers)


def _numbers(arguments, num_targets):
    if arguments.case is not None:
        return [arguments.case]
    part, parts = map(int, arguments.portion.split("/"))
    return range(part - 1, -(-arguments.num_cases // num_targets), parts)


def _report(summaries, seed):
    for summary in summaries:
        for number, text in summary.faults[:20]:
            console.say(f"--target={summary.name!r} --seed={seed} --case={number}: {text}")
    rows = [
        (
            *(summary.name, summary.num_cases, summary.num_read, summary.num_refused, f"{summary.slowest_s:.2f}"),
            *(summary.slowest, f"{summary.most_mb:.0f}", f"{summary.kept_mb:.0f}", len(summary.faults)),
        )
        for summary in summaries
    ]
    console.say(console.format_table(HEADER, rows, numbers=range(1, len(HEADER))))
    num_faults = sum(len(summary.faults) for summary in summaries)
    console.say(f"seed {seed}: {sum(summary.num_cases for summary in summaries)} cases, {num_faults} faults")
    return int(num_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
