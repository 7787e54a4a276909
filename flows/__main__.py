"""`python -m flows` is the command `polyloom`."""

import importlib

from flows.run.stop import Stopped, leave, listening


def main() -> None:
    """Run the command, ready to stop from its first moment: what it imports takes seconds."""
    with listening():
        try:
            importlib.import_module("flows.cli.main").main()
        except Stopped as stopped:
            leave(stopped.exit_status, str(stopped))


if __name__ == "__main__":
    main()
