"""`python -m roster_upload`."""

import sys

from roster_upload.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
