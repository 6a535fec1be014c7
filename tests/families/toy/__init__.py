"""A family of detectors that the program does not know: its row, and a room for its models."""
