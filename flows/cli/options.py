"""What the commands of `polyloom` share: their options, the terminal, the JSON file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings of a pipeline.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change one setting.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the answer as JSON, too.")]
Root = Annotated[str, typer.Option(envvar="POLYLOOM_ROOT", help="The store: a folder or an fsspec URL.")]

out = Console()


def write_json(path: Path | None, answer: dict[str, Any]) -> None:
    """Write a command's answer, where a file is named."""
    if path is not None:
        path.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
