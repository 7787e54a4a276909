"""`python -m flows` is the command `polyloom`."""

from flows.cli import main

main()
