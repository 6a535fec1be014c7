"""Mutated inputs over all parsers: `scripts/mutate_inputs.py` and a small test share this."""
