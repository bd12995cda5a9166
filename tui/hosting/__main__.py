"""`python -m tui.hosting`: the UI host."""

import sys

from .host import main

sys.exit(main())
