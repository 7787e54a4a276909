"""What the commands of `polyloom` share: their options, the terminal, the JSON file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.settings_file import ConfigError
from flows.show.terminal import Terminal

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings of a pipeline.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change one setting.")]


def writable(param: typer.CallbackParam, path: Path | None) -> Path | None:
    """See beforehand that the answer can be written when it is there."""
    if path is not None:
        is_new = not path.exists()
        try:
            path.open("a").close()
        except OSError as error:
            raise ConfigError(
                f"{param.opts[0]}: expected a file that can be written, got {path}: {error.strerror}. Name another one."
            ) from error
        if is_new:
            path.unlink()
    return path


Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the answer as JSON, too.", callback=writable),
]
LastGood = Annotated[bool, typer.Option("--latest", help="The last good model of this pipeline's name instead.")]
Root = Annotated[str, typer.Option(envvar="POLYLOOM_ROOT", help="The store: a folder or an fsspec URL.")]

out = Terminal()


def write_json(path: Path | None, answer: dict[str, Any]) -> None:
    """Write a command's answer, where a file is named."""
    if path is not None:
        path.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
