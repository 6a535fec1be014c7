"""What became of a run, as pictures and pages: its report, runs side by side, exported models side by side."""
