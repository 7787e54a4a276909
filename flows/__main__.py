"""`python -m flows` is the command `polyloom`."""

from flows.cli.main import main

main()
