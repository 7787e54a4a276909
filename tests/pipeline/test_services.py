"""Server on Postgres with login, Redis, background services and two workers, as docker-compose.yml has them."""

import base64
import re

import pytest
from support.browser import visiting
from support.command import REPOSITORY
from support.operated import operated
from support.services import LOGIN

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(600)]

TINY = "configs/tiny.yaml"
PIPELINE = "train_retriever/pipeline"


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
    team.running.await_("all task runs to be told", lambda: "Running" not in team.task_states(changed).values(), 60)
    states = team.task_states(changed)
    assert {name for name, state in states.items() if state != "Cached"} == {
        name for name in states if name.startswith("batch_plan/")
    }
    assert len([state for state in states.values() if state == "Cached"]) > 15


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
    assert team.ended(run).name == "Completed"
    team.running.await_("all task runs to be told", lambda: "Running" not in team.task_states(run).values(), 60)
    states = team.task_states(run)
    kinds = {name.partition("/")[0] for name, state in states.items() if state == "Cached"}
    assert {"corpus", "candidates", "scores"} <= kinds
    assert {name for name in states if name.startswith("hard_negatives/")}.isdisjoint(
        name for name, state in states.items() if state == "Cached"
    )


def _num_colours(page, png):
    """Count the colours of a picture: an empty graph has three at most."""
    return page.evaluate(
        """async png => {
          const image = await createImageBitmap(await (await fetch('data:image/png;base64,' + png)).blob());
          const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
          context.drawImage(image, 0, 0);
          return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
        }""",
        base64.b64encode(png).decode(),
    )


def test_run_shows_its_stages_and_what_they_made(team, visitor):
    page = visitor.page
    page.reload()
    graph = page.locator("canvas").first
    graph.wait_for()
    team.running.await_("the graph to be drawn", lambda: _num_colours(page, graph.screenshot()) > 8, 60)
    visitor.picture("ui-graph")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("metrics").first.wait_for()
    visitor.picture("ui-artifacts", full_page=True)
    page.get_by_text("metrics").first.click()
    page.get_by_text("nDCG@10 trained").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    visitor.picture("ui-metrics", full_page=True)


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


def test_run_of_a_lost_machine_crashes_and_that_is_told(team, lost):
    """What waits is `polyloom-crashed`: three heartbeats, 90 s."""
    state = team.ended(lost, 300)
    assert state.name == "Crashed"
    assert state.message.startswith("Its worker or machine is gone")
    team.running.await_("the message", lambda: any(str(lost) in text for text in team.receiver.texts), 60)
    assert [text for text in team.receiver.texts if str(lost) in text][0].startswith("Polyloom: ")
