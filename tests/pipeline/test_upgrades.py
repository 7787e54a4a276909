"""An upgrade of the package: the tiny pipeline's store under other code, adopted instead of built again."""

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import REPOSITORY

from storage import Manifest, inspect

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(500)]


@pytest.fixture
def upgraded(built, make_tiny, tmp_path):
    """Return a function: change a file of the package, and get the command of that package, with the built store."""

    def upgrade(file, *edit):
        for package in ("flows", "tasks", "storage"):
            shutil.copytree(REPOSITORY / package, tmp_path / "package" / package)
        place = tmp_path / "package" / file
        text = place.read_text(encoding="utf-8")
        changed = text.replace(*edit) if edit else f"{text}\n_MOVED = True\n"
        assert changed != text
        place.write_text(changed, encoding="utf-8")
        loom = make_tiny(tmp_path)
        shutil.copytree(built[0].folder / "data", tmp_path / "data")
        return replace(loom, environment={**loom.environment, "PYTHONPATH": str(tmp_path / "package")})

    return upgrade


def adopted(folder: Path) -> list[Manifest]:
    """List the manifests of what was taken over."""
    return [content for _, content in inspect.datasets(str(folder / "data")) if content.adopted]


def adopt(loom, *options):
    loom("adopt", "tiny.yaml", *options, "--json", "adopt.json")
    answer = json.loads((loom.folder / "adopt.json").read_text())
    return {result: [one for one in answer["datasets"] if one["result"] == result] for result in ("taken", "differs")}


def test_killed_and_done_again_everything_is_taken_over(upgraded, built):
    loom = upgraded("tasks/models/texts.py")
    plan = loom("plan", "tiny.yaml")
    assert "code of embed_documents changed" in plan
    assert "polyloom adopt tiny.yaml" in plan
    before = {path: path.read_bytes() for path in loom.folder.glob("data/*/*/*/manifest.json")}
    process = loom.start("adopt", "tiny.yaml", "--yes")
    try:
        while process.poll() is None and len(adopted(loom.folder)) < 8:
            time.sleep(0.05)
        assert process.poll() is None, "expected it to be at work"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert "are sound" in loom("verify")
    assert adopt(loom, "--yes")["differs"] == []
    assert {path: path.read_bytes() for path in before} == before  # nothing of the earlier ones was touched
    found = adopted(loom.folder)
    assert {one.adopted.why for one in found} == {"equal", "same code"}
    assert next(one for one in found if one.step == "train_encoder").adopted.why == "same code"
    loom("gc", "--yes")  # takes nothing that was taken over
    answer = loom.run("tiny.yaml")
    assert {one["step"] for one in answer["stages"] if one["status"] == "built"} == {"export_model"}
    kinds = ("step", "kind", "partition", "content")
    contents = [sorted([one[name] for name in kinds] for one in run["stages"]) for run in (answer, built[1])]
    assert [one for one in contents[0] if one[1] != "model"] == [one for one in contents[1] if one[1] != "model"]


def test_code_that_changes_a_result_is_told_and_not_adopted(upgraded):
    change = "half_ND = vector_ND.astype(np.float16)\n"
    loom = upgraded("tasks/retrieve/embed.py", change, f"{change}    half_ND[0] = half_ND[0][::-1]\n")
    text = loom("adopt", "tiny.yaml", "--yes", "--at-most", "0")
    assert "embeddings/sw: 1 of 8 rows differ; it will be built again" in text
    assert "embeddings/en: 1 of 8 rows differ; it will be built again" in text
    assert adopted(loom.folder) == []
    assert not list(loom.folder.glob("data/.tmp-*"))
