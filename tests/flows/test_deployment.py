"""The deployment of prefect.yaml, registered at a real server, and what a flow run leaves in the UI."""

import subprocess
import sys

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.command import REPOSITORY

from flows.configs import load_config

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(240)]


@pytest.fixture
def prefect(make_loom, tmp_path):
    """Return the command `prefect`, for the session's server."""
    environment = make_loom(tmp_path).environment

    def call(*arguments):
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_deploys_as_the_readme_says_and_takes_the_quickstarts_settings(prefect, prefect_api):
    prefect("work-pool", "create", "polyloom", "--type", "process", "--overwrite")
    prefect("deploy", "--all")
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("train_retriever/quickstart")
    assert deployment.work_pool_name == "polyloom"
    assert deployment.parameters["config"]["name"] == "quickstart"
    form = deployment.parameter_openapi_schema["properties"]
    assert set(form) == {"config", "until", "refresh"}
    assert load_config(REPOSITORY / "configs" / "quickstart.yaml").name == "quickstart"
