import sys

from refrad.cli import main

if __name__ == "__main__":  # processes that a stage starts read this file again
    sys.exit(main())
