"""The command `polyloom` as a process, for tests that run it as a user does."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Loom:
    """The command `polyloom` in a folder of its own."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command and return at once."""
        command = [sys.executable, "-m", "flows", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run the command and return what it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        assert process.returncode == code, output
        return output

    def run(self, *arguments: str) -> dict[str, Any]:
        """`polyloom run … --json`: return the JSON."""
        file = self.folder / "run.json"
        self("run", *arguments, "--json", str(file))
        answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return answer
