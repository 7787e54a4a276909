"""The documents say what the code does: commands, kinds, stages."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.cli.main import app
from flows.run.pipeline import STAGES
from storage import SCHEMAS

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def commands(name):
    """Find the README's shell commands that start with a program, without their comments."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(name)]


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_readme_names_every_kind_of_dataset(kind):
    assert f"`{kind}`" in README


@pytest.mark.parametrize("stage", STAGES)
def test_readme_has_a_line_for_every_stage(stage):
    assert re.search(rf"^\| {stage} \| `tasks/", README, re.MULTILINE)


def test_readme_names_every_command():
    for command in app.registered_commands:
        assert f"polyloom {command.name or command.callback.__name__}" in README


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", "\n".join(commands("make"))))
def test_make_knows_the_readmes_targets(target):
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_links_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (REPOSITORY / target).exists(), target


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="needs docker-compose (Debian package docker-compose)"
)
def test_compose_file_is_valid_and_listens_on_this_machine_only(tmp_path):
    command = ["docker-compose", "-f", str(REPOSITORY / "docker-compose.yml"), "config"]
    environment = {**os.environ, "POSTGRES_PASSWORD": "secret"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ports = re.findall(r"ports:\n((?:\s+- .*\n)+)", done.stdout)
    assert ports
    assert all("127.0.0.1:" in line for block in ports for line in block.strip().splitlines())


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="needs docker-compose (Debian package docker-compose)"
)
def test_compose_file_wants_a_password(tmp_path):
    command = ["docker-compose", "-f", str(REPOSITORY / "docker-compose.yml"), "config"]
    environment = {name: value for name, value in os.environ.items() if name != "POSTGRES_PASSWORD"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "set POSTGRES_PASSWORD in .env" in done.stderr
