"""Server on Postgres with login, Redis, background services and two workers, as docker-compose.yml has them."""

import base64
import re
import shlex
import shutil
from uuid import UUID

import pytest
from support.browser import visiting
from support.command import REPOSITORY
from support.operated import operated
from support.services import LOGIN

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(600)]

TINY = "configs/tiny.yaml"
PIPELINE = "train_retriever/pipeline"
SHOWN = {
    "denoise": ("scores", "funnel", "datasets"),
    "train": ("training", "datasets"),
    "evaluate": ("metrics-ndcg-10", "metrics-r-100", "datasets"),
}


def typed(beginning):
    """Find the commands of docs/operations.md that begin so."""
    lines = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.startswith(beginning)]


@pytest.fixture(scope="module")
def team(tmp_path_factory, tiny_settings):
    with operated(tmp_path_factory.mktemp("deployed"), tiny_settings) as found:
        made = found.command("python", "deploy/automate.py", found.receiver.url)
        assert made.split() == ["polyloom-crashed", "polyloom-unborn", "polyloom-failed"]
        yield found


@pytest.fixture(scope="module")
def lost(team):
    """Start a run, and let its machine lose power once the run has said that it is alive; another machine comes."""
    team.start_worker("worker-gpu")
    run = team.trigger(PIPELINE, config=TINY, changes=[{"setting": "ingest.atlas.seed", "value": "5"}])
    team.running.await_("the run to say that it is alive", lambda: team.has_beaten(run))
    assert team.state(run).name == "Running"
    team.running.kill("worker-gpu")
    team.start_worker("worker-gpu")
    return run


@pytest.fixture(scope="module", autouse=True)
def _lost_first(lost):
    """Let the wait for what becomes of it go on beside the other tests."""


def test_what_is_wrong_ends_a_run_in_one_line_that_is_told(team):
    wrong = team.trigger(PIPELINE, config=TINY, changes=[{"setting": "denoise.max_grade_kept", "value": "seven"}])
    state = team.ended(wrong, 120)
    assert state.name == "Failed"
    assert "\n" not in state.message
    assert re.search(r"denoise\.max_grade_kept: .*seven", state.message)
    told = f"failed\n{state.message}\n{team.running.api.removesuffix('/api')}/v2/runs/flow-run/{wrong}"
    team.running.await_("the message", lambda: any(told in text for text in team.receiver.texts), 60)


def test_changed_setting_through_the_api_leaves_the_rest_cached_while_another_deployment_runs(team):
    changes = [{"setting": "plan_batches.seed", "value": "7"}]
    changed = team.trigger("train_retriever/plan_batches", config=TINY, changes=changes)
    other = team.trigger("gc/gc")  # on the other worker, at the same time
    assert team.ended(changed).name == "Completed"
    assert team.ended(other).name == "Completed"
    built, cached = team.built(changed)
    assert built == ["plan_batches-all"]
    assert cached > 25


@pytest.fixture(scope="module")
def visitor(team):
    """Log in to the UI, and be at its first page."""
    with visiting(team.running.api.removesuffix("/api")) as found:
        login = found.page.locator("input[type=password]")
        login.fill(LOGIN)
        login.press("Enter")
        found.page.get_by_role("link", name="Deployments").wait_for()
        yield found


def test_newcomer_reruns_from_denoise_with_another_setting(team, visitor):
    """Counts the way from the UI's first page; docs/operations.md says the same."""
    visitor.picture("ui-first-page")
    visitor.click("link", "Deployments")
    visitor.page.get_by_role("link", name="plan_batches").wait_for()
    visitor.picture("ui-deployments")
    visitor.click("link", "pipeline", exact=True)
    visitor.click("button", "Run", exact=True)
    visitor.click("menuitem", "Custom run")
    visitor.click("button", "Select config")
    visitor.click("option", TINY)
    visitor.click("button", "Add item")
    visitor.click("button", "Select setting")
    visitor.click("option", "denoise.max_grade_kept")
    visitor.fill("Value", "1")
    visitor.page.get_by_role("listbox").wait_for(state="hidden")
    visitor.picture("ui-form")
    places = visitor.page.get_by_text(re.compile("^(Setting|Value)$")).all_inner_texts()
    assert places == ["Setting", "Value"]
    visitor.click("button", "Submit")
    visitor.page.get_by_role("button", name="View run").wait_for()
    counted = f"{visitor.clicks} clicks and {visitor.fields} field"
    assert counted in (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    visitor.page.get_by_role("button", name="View run").click()
    visitor.page.get_by_text("max_grade_kept=1").first.wait_for()
    run = visitor.page.url.partition("flow-run/")[2].partition("?")[0]
    built, cached = team.built(run)
    assert {"select_hard_negatives-sw grade", "plan_batches-all", "train_encoder-all", "export_model-all"} <= {*built}
    steps = {name.partition("-")[0] for name in built}
    assert steps.isdisjoint({"fuse_candidates", "fit_judge", "score_features", "find_topics"})
    assert cached > 25


def _num_green(page, png):
    """Count the pixels of a picture that are as green as a completed run."""
    return page.evaluate(
        """async png => {
          const image = await createImageBitmap(await (await fetch('data:image/png;base64,' + png)).blob());
          const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
          context.drawImage(image, 0, 0);
          const bytes = context.getImageData(0, 0, image.width, image.height).data;
          let found = 0;
          for (let i = 0; i < bytes.length; i += 4) {
            if (bytes[i + 1] - Math.max(bytes[i], bytes[i + 2]) > 60) found += 1;
          }
          return found;
        }""",
        base64.b64encode(png).decode(),
    )


def test_run_shows_its_stages_and_what_they_made(team, visitor):
    page = visitor.page
    page.reload()
    graph = page.locator("canvas").first
    graph.wait_for()
    team.running.await_("the graph to be drawn", lambda: _num_green(page, graph.screenshot()) > 500, 60)
    visitor.picture("ui-graph")
    page.get_by_role("tab", name="Subflow Runs").click()
    for stage in ("denoise", "plan_batches", "train", "evaluate", "export"):
        page.get_by_role("link", name=stage, exact=True).first.wait_for()
    visitor.picture("ui-stages")
    run = UUID(page.url.partition("flow-run/")[2].partition("?")[0])
    inner = team.stages(run)
    for stage, (one, *others) in SHOWN.items():
        page.goto(f"{team.running.api.removesuffix('/api')}/v2/runs/flow-run/{inner[stage]}")
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_role("heading", name=one, exact=True).wait_for()
        for other in others:
            assert page.get_by_role("heading", name=other, exact=True).count() == 1
        visitor.picture(f"ui-artifacts-{stage}", full_page=True)
        page.get_by_role("heading", name=one, exact=True).click()
        page.locator("a[href*='/artifacts/artifact/']").first.click()
        page.get_by_text("Created", exact=False).first.wait_for()
        visitor.picture(f"ui-{one}", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") == 1440


def test_nightly_schedule_is_set_in_the_ui(team, visitor):
    deployment = team.client.read_deployment_by_name(PIPELINE)
    assert [(one.schedule.cron, one.active) for one in deployment.schedules] == [("0 2 * * *", False)]
    visitor.click("link", "Deployments")
    visitor.click("link", "pipeline", exact=True)
    visitor.click("button", "Schedule", exact=True)
    visitor.click("tab", "Cron")
    visitor.fill("Value", "30 1 * * *")
    visitor.click("button", "Select timezone")
    visitor.page.get_by_placeholder("Search", exact=True).fill("Helsinki")
    visitor.click("option", "Europe / Helsinki")
    visitor.picture("ui-schedule")
    visitor.click("button", "Save")
    visitor.page.get_by_text("At 01:30 AM").wait_for()
    visitor.picture("ui-scheduled")
    schedules = team.client.read_deployment_by_name(PIPELINE).schedules
    (made,) = [one for one in schedules if one.active]
    assert (made.schedule.cron, made.schedule.timezone) == ("30 1 * * *", "Europe/Helsinki")
    team.command("prefect", "--no-prompt", "deploy", "--name", "pipeline")
    after = team.client.read_deployment_by_name(PIPELINE).schedules
    assert made.id in {one.id for one in after if one.active}


def test_commands_of_the_page_do_what_it_says(team):
    runs = [line for line in typed(".venv/bin/prefect deployment ") if "deployment run" in line]
    schedules = [line for line in typed(".venv/bin/prefect deployment ") if "schedule" in line]
    assert len(runs) == len(schedules) == 2
    for line in (*runs, *schedules):
        team.command(*shlex.split(line.removeprefix(".venv/bin/").replace("configs/quickstart.yaml", TINY)))
    zones = [one.schedule.timezone for one in team.client.read_deployment_by_name(PIPELINE).schedules if one.active]
    assert "Europe/Helsinki" in zones
    move, plan = typed("cp -r data "), typed(".venv/bin/polyloom plan ")
    team.command(*shlex.split(move[0]))
    shutil.rmtree(team.folder / "data")  # what is found is found in its new place
    planned = team.command(
        *shlex.split(plan[0].removeprefix(".venv/bin/").replace("quickstart", "tiny")), "--until=denoise"
    )
    assert re.search(r"\b0 of \d+ datasets", planned)
    shutil.copytree(team.folder / "moved", team.folder / "data", dirs_exist_ok=True)  # a run may have begun anew there


def test_dump_of_the_database_brings_all_back(team):
    (dump,) = {line.partition("-T postgres ")[2] for line in typed("docker compose exec -T postgres pg_dump")}
    (restore,) = {line.partition("-T postgres ")[2] for line in typed("docker compose exec -T postgres pg_restore")}
    file = team.folder / "prefect.dump"
    team.running.database(*shlex.split(dump.partition(" > ")[0]), f"--file={file}")
    team.running.database("createdb", "copy")
    words = restore.replace("--dbname prefect", "--dbname copy").partition(" < ")[0]
    with file.open("rb") as stream:
        team.running.database(*shlex.split(words), stdin=stream)
    query = "SELECT name FROM automation UNION SELECT name FROM deployment ORDER BY 1"
    there, copied = (team.running.database("psql", "-At", "-c", query, name) for name in ("prefect", "copy"))
    assert "polyloom-failed" in there
    assert copied == there


def test_run_of_a_lost_machine_crashes_and_that_is_told(team, lost):
    """What waits is `polyloom-crashed`: three heartbeats, 90 s."""
    state = team.ended(lost, 300)
    assert state.name == "Crashed"
    assert state.message.startswith("Its worker or machine is gone")
    team.running.await_("the message", lambda: any(str(lost) in text for text in team.receiver.texts), 60)
    assert [text for text in team.receiver.texts if str(lost) in text][0].startswith("Polyloom: ")
