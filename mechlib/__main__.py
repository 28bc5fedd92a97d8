"""`python -m mechlib`: the command `mechlib`, where it is not on the path."""

import sys

from mechlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
