"""`python -m spine.cli` is the command `spine`."""

from spine.cli import main

main()
