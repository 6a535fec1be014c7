"""The parsers of the program, each with valid inputs and the mutators that fit its format.

A target's `parse` takes (folder of its own, bytes of the mutated input) and does what the verbs do with such a file, up
to the values that they work with. What it raises for an invalid input must be a `TfodhelperError`.
"""

from tests.mutation import data_targets, mask_targets, model_targets, report_targets, state_targets

MODULES = (data_targets, mask_targets, model_targets, report_targets, state_targets)
TARGETS = tuple(target for module in MODULES for target in module.TARGETS)
