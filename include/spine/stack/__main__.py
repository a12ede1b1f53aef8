"""`python -m spine.stack`."""

from spine.stack.cli import main

main()
