import sys

from refrad.cli import main

sys.exit(main())
