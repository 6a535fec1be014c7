"""python -m tfodhelper VERB --flags."""

import sys

from tfodhelper.cli import main

if __name__ == "__main__":
    sys.exit(main.main())
