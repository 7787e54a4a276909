"""The documents say what the code does: commands, kinds, stages."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli.main import app
from flows.configs import PipelineConfig, load_config
from flows.run.pipeline import STAGES
from storage import SCHEMAS

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
GUIDE = (REPOSITORY / "docs" / "guide.md").read_text(encoding="utf-8")
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
TYPED = README + GUIDE + OPERATIONS  # pages with commands
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
SOURCES = [
    path for folder in ("flows", "tasks", "storage", "benchmarks") for path in REPOSITORY.glob(f"{folder}/**/*.py")
]


def blocks(language, text=TYPED):
    """Find the blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(name, text=TYPED):
    """Find the shell commands that start with a program, without their comments."""
    lines = [line.partition("  #")[0].strip() for block in blocks("bash", text) for line in block.splitlines()]
    return [line for line in lines if line.startswith(name)]


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_readme_names_every_kind_of_dataset(kind):
    assert f"`{kind}`" in README


@pytest.mark.parametrize("stage", STAGES)
def test_readme_has_a_line_for_every_stage(stage):
    assert re.search(rf"^\| {stage} \| `tasks/", README, re.MULTILINE)


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_readme_names_every_command():
    names = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]
    assert [name for name in names if f"polyloom {name}" not in README] == []


@pytest.mark.parametrize("line", commands(".venv/bin/polyloom"))
def test_commands_have_the_arguments_that_the_pages_give_them(line):
    name, *given = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, given) as context:  # an unknown option or a missing argument raises
        config = context.params.get("config")
        changed = context.params.get("set_") or ()
    if config is not None:
        load_config(REPOSITORY / config, tuple(changed))


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_in_the_pages_are_settings(text):
    content = yaml.safe_load(text)
    if content.get("supplement", {}).get("enabled") or "languages" not in content:
        content = {"languages": ["en"], **content}
    PipelineConfig.model_validate(content)


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", "\n".join(commands("make"))))
def test_make_knows_the_readmes_targets(target):
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    for target, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        there = (page.parent / target if target else page).read_text(encoding="utf-8")
        anchors = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", there, re.MULTILINE)
        }
        assert heading in anchors, f"{target}#{heading}"


@pytest.mark.parametrize("name", ["reliability.md", "right-answers.md"])
def test_tests_that_a_page_names_are_there(name):
    """A name without a file belongs to the file before it, in the same row."""
    named = 0
    for row in (REPOSITORY / "docs" / name).read_text(encoding="utf-8").splitlines():
        text = ""
        for file, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?[^`]*`", row):
            text = (REPOSITORY / file).read_text(encoding="utf-8") if file else text
            if test:
                named += 1
                assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{row[:60]}: {file}::{test}"
    assert named > 50


def test_code_names_pages_that_are_there():
    for path in SOURCES:
        for page in re.findall(r"docs/[\w/-]+\.(?:md|yaml)", path.read_text(encoding="utf-8")):
            assert (REPOSITORY / page).exists(), f"{path}: {page}"


def test_code_does_not_refer_to_pages_outside_the_repository():
    for path in [*SOURCES, *PAGES]:
        assert "METHOD" not in path.read_text(encoding="utf-8"), path


def test_architecture_has_a_line_for_every_folder():
    tree = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8").split("## The tree")[1]
    for top in ("flows", "tasks", "storage"):
        for folder in {path.parent for path in (REPOSITORY / top).glob("**/*.py")}:
            assert f"{folder.name}/ " in tree, folder


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="needs docker-compose (Debian package docker-compose)"
)
def test_compose_file_is_valid_and_listens_on_this_machine_only(tmp_path):
    command = ["docker-compose", "-f", str(REPOSITORY / "docker-compose.yml"), "config"]
    environment = {**os.environ, "POSTGRES_PASSWORD": "secret", "PREFECT_SERVER_API_AUTH_STRING": "me:secret"}
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
