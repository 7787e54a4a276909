"""What settings from a deployment's form may name: places below the roots, keys where they may go."""

import pytest
from support.raw_files import beir

from flows.configs import PipelineConfig, load_config
from flows.form_fields import Change, read_ablation_form, read_form
from flows.run.form import check_files, check_form, confine
from flows.settings_errors import setting_names
from flows.settings_file import ConfigError
from flows.weave import weave

DEFAULT = {"languages": ["en"]}
ENDPOINT = "https://llm.example/v1"


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Work in a deployment's folder, with a secret beside it, and with two more roots."""
    home = tmp_path / "deployment"
    for folder in (home, home / ".git", tmp_path / "corpora", tmp_path / "corpora-private"):
        folder.mkdir()
    (tmp_path / "secret.jsonl").write_text("{}")
    (home / "link").symlink_to(tmp_path)
    monkeypatch.chdir(home)
    monkeypatch.setenv("CORPORA", str(tmp_path / "corpora"))
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("SECRET_FOLDER", str(tmp_path / "corpora-private"))
    return [str(home), str(tmp_path / "corpora"), "s3://bucket/team"]


def settings(**sections):
    return PipelineConfig.model_validate(DEFAULT | sections)


def ingest(**fields):
    return settings(ingest={"layout": "miracl", **fields})


def chat(**fields):
    return settings(denoise={"llm": {"chat": {"model": "m", **fields}}})


@pytest.mark.parametrize(
    "path",
    [
        "",
        "mine",
        "mine/{language}",
        "${CORPORA}",
        "${CORPORA}/sub",
        "{tmp}/corpora/x",
        "s3://bucket/team/x",
        "link.jsonl",
    ],
)
def test_places_below_the_roots_pass(roots, tmp_path, path):
    confine(ingest(path=path.replace("{tmp}", str(tmp_path))), roots, [])


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "~/.ssh",
        "~root/x",
        "..",
        "mine/../../secret.jsonl",
        "mine/..",
        "..\\secret.jsonl",
        "link/secret.jsonl",
        "{tmp}/corpora-private",
        ".git/config",
        "mine/.env",
        "${SECRET}",
        "${SECRET_FOLDER}",
        "${NOT_SET}",
        "${CORPORA}${SECRET}",
        "${CORPORA}/../secret.jsonl",
        "mine/${SECRET}",
        "$SECRET",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "ssh://host/x",
        "github://owner:repository@main/x",
        "simplecache::s3://bucket/team/x",
        "s3://bucket/team/x::file:///etc/passwd",
        "s3://bucket/team-private/x",
        "s3://bucket/team/../other",
        "s3://bucket@evil.example/team",
        "hf://datasets/owner/private/x",
        "mine\0x",
    ],
)
@pytest.mark.parametrize("setting", ["ingest.path", "ingest.corpus", "storage.root", "train.result", "encoder.model"])
def test_other_places_are_refused_by_every_setting(roots, tmp_path, setting, path):
    section, name = setting.split(".")
    config = settings(**{section: {name: path.replace("{tmp}", str(tmp_path))}})
    with pytest.raises(ConfigError, match=rf"^{setting}: expected a place below .* POLYLOOM_ROOTS lists") as refused:
        confine(config, roots, [])
    assert "hunter2" not in str(refused.value)
    assert "corpora-private" not in str(refused.value) or "{tmp}" in path


def test_every_text_is_a_place_unless_it_is_known_for_none(roots):
    confine(settings(name="/etc", encoder={"query_prompt": "http://x ../ $SECRET: "}), roots, [])
    confine(ingest(columns={"text": "/text"}), roots, [])
    confine(settings(evaluate={"systems": [{"name": "both", "fuse": ["bm25", "trained"]}]}), roots, [])
    for found in (
        settings(
            supplement={
                "enabled": True,
                "chat": {"client": "local", "model": "m"},
                "tune": {"instructions": "/etc/passwd"},
            }
        ),
        settings(plan_batches={"topics": "/etc"}),
        settings(evaluate={"systems": [{"name": "other", "run": "/etc/{language}.trec"}]}),
        settings(evaluate={"systems": [{"name": "other", "model": "/models/x"}]}),
        settings(denoise={"judge": "cross_encoder", "cross_encoder": "/models/x"}),
        ingest(train_split="../x"),
    ):
        with pytest.raises(ConfigError, match="POLYLOOM_ROOTS"):
            confine(found, roots, [])


def test_defaults_pass():
    confine(settings(), ["."], [])


def test_key_goes_where_it_is_bound_and_nowhere_else(roots, monkeypatch):
    monkeypatch.setenv("TEAM_API_KEY", "hunter2")
    bound = [("TEAM_API_KEY", ENDPOINT)]
    confine(chat(base_url=ENDPOINT, api_key_variable="TEAM_API_KEY"), roots, bound)
    for url in (
        "https://evil.example/v1",
        "http://llm.example/v1",
        "https://llm.example/v10",
        "https://llm.example/v1@evil.example/",
        "https://llm.example/v1/../../admin",
        "https://llm.example:443@evil.example/v1",
        "http://127.0.0.1:8000/v1",
    ):
        with pytest.raises(ConfigError, match="base_url: expected a URL that the key in TEAM_API_KEY may be sent to"):
            confine(chat(base_url=url, api_key_variable="TEAM_API_KEY"), roots, bound)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "PREFECT_API_AUTH_STRING", "SECRET", "PATH", "x_API_KEY"])
def test_variable_that_holds_no_key_is_refused_whether_it_is_set_or_not(roots, name):
    with pytest.raises(ConfigError, match=r"api_key_variable: expected a name that ends in _API_KEY"):
        confine(chat(api_key_variable=name), [*roots, ENDPOINT], [])
    confine(chat(api_key_variable=name, base_url=ENDPOINT), roots, [(name, ENDPOINT)])


def test_endpoint_without_a_key_lies_below_the_roots(roots):
    confine(chat(base_url=ENDPOINT), [*roots, ENDPOINT], [])
    for url in (ENDPOINT, "http://169.254.169.254/v1", "mine"):
        with pytest.raises(ConfigError, match="denoise.llm.chat.base_url: expected a place below"):
            confine(chat(base_url=url), roots, [])


def test_command_line_is_free_and_a_deployments_run_is_held(roots, monkeypatch):
    check_form(ingest(path="/etc"))
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")  # how Prefect lets a test stand in a deployment's run
    with pytest.raises(ConfigError, match="ingest.path: expected a place below"):
        check_form(ingest(path="/etc"))
    with pytest.raises(ConfigError, match="ingest.path: expected a place below"):
        check_form(settings(), ingest(path=f"{roots[1]}/x"))
    monkeypatch.setenv("POLYLOOM_ROOTS", ",".join(roots[1:]))
    check_form(ingest(path=f"{roots[1]}/x"))


def test_link_that_a_pattern_matches_leads_nowhere_else(roots, tmp_path, monkeypatch):
    beir(tmp_path / "deployment" / "mine")
    config = settings(languages=["fi"], ingest={"layout": "beir", "path": "mine"})
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    check_files(weave(config).promises)
    corpus = tmp_path / "deployment" / "mine" / "corpus.jsonl"
    corpus.rename(tmp_path / "secret.jsonl").replace(tmp_path / "elsewhere.jsonl")
    corpus.symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(ConfigError, match=r"^ingest \(ingest_corpus\): expected a place below"):
        check_files(weave(config).promises)


def test_run_file_that_is_a_link_leads_nowhere_else(roots, tmp_path, monkeypatch):
    beir(tmp_path / "deployment" / "mine")
    (tmp_path / "secret.trec").write_text("q Q0 d 1 1 x\n")
    (tmp_path / "deployment" / "fi.trec").symlink_to(tmp_path / "secret.trec")
    systems = {"systems": [{"name": "other", "run": "{language}.trec"}]}
    config = settings(languages=["fi"], ingest={"layout": "beir", "path": "mine"}, evaluate=systems)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    check_form(config)
    with pytest.raises(ConfigError, match=r"^ingest \(ingest_run\): expected a place below"):
        check_files(weave(config).promises)


def test_file_of_settings_is_a_place_too(roots, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYLOOM_ROOTS", ",".join(roots[1:]))
    for file in ("deployment/mine.yaml", "corpora/theirs.yaml", "corpora-private/secret.yaml"):
        (tmp_path / file).write_text("languages: [en]\nname: found\n")
    assert read_form("/etc/hostname", f"{tmp_path}/corpora-private/secret.yaml", []).name == "found"
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    for allowed in ("mine.yaml", f"{tmp_path}/corpora/theirs.yaml"):
        assert read_form("none.yaml", allowed, []).name == "found"
        assert read_form(allowed, " ", []).name == "found"
    private = f"{tmp_path}/corpora-private/secret.yaml"
    for path in (private, "${SECRET_FOLDER}/secret.yaml", "link/corpora-private/secret.yaml", "../mine.yaml", ".env"):
        with pytest.raises(ConfigError, match="^path: expected a place below") as refused:
            read_form("mine.yaml", path, [])
        assert "hunter2" not in str(refused.value)
        with pytest.raises(ConfigError, match="^config: expected a place below"):
            read_form(path, "", [])
    with pytest.raises(ConfigError, match=r"\$\{CORPORA\}/theirs.yaml: expected a YAML file, got none"):
        read_form("mine.yaml", "${CORPORA}/theirs.yaml", [])


def test_configuration_that_an_ablation_names_is_a_place_too(roots, tmp_path, monkeypatch):
    (tmp_path / "corpora-private" / "secret.yaml").write_text("languages: [en]\n")
    (tmp_path / "deployment" / "base.yaml").write_text("languages: [en]\n")
    ablation = tmp_path / "deployment" / "grids" / "grid.yaml"
    ablation.parent.mkdir()
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "d")
    for base, allowed in (("../base.yaml", True), ("../../corpora-private/secret.yaml", False)):
        ablation.write_text(f"config: {base}\nreference: full\nvariants:\n  full: []\n")
        if allowed:
            variants, reference = read_ablation_form("grids/grid.yaml", "", [Change(setting="train.seed", value="4")])
            assert [(str(one), one.config.train.seed) for one in variants] == [("full, seed 13", 4)]
            assert reference == "full"
        else:
            with pytest.raises(ConfigError, match="^config: expected a place below"):
                read_ablation_form("grids/grid.yaml", "", [])


def test_rows_are_read_as_the_command_line_reads_set(roots, tmp_path):
    (tmp_path / "mine.yaml").write_text("languages: [en]\ningest: {layout: beir, path: .}\n")
    rows = {
        "languages": "[fi, sw]",
        "train.seed": "7",
        "evaluate.ignore_own_document": "true",
        "name": "a=b",
        "train.result": '""',
    }
    found = read_form(str(tmp_path / "mine.yaml"), "", [Change(setting=k, value=v) for k, v in rows.items()])
    wanted = load_config(tmp_path / "mine.yaml", tuple(f"{setting}={value}" for setting, value in rows.items()))
    assert found == wanted
    assert found.origin.overrides == wanted.origin.overrides
    assert (found.name, found.train.seed, found.languages) == ("a=b", 7, ("fi", "sw"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("plan_batches.seed", "seven"), "plan_batches.seed: expected a whole number, got 'seven'. Correct it."),
        (("train.seed", "[1"), "train.seed: expected a YAML value, got '[1'"),
        (("supplement.enabled", "true"), "supplement: expected supplement.chat.model to name the generator"),
    ],
)
def test_wrong_row_is_named_without_the_file(tmp_path, row, message):
    (tmp_path / "mine.yaml").write_text("languages: [en]\n")
    with pytest.raises(ConfigError) as refused:
        read_form(str(tmp_path / "mine.yaml"), "", [Change(setting=row[0], value=row[1])])
    assert str(refused.value).startswith(message)


def test_wrong_file_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("languages: [en]\nplan_batch: {seed: 1}\n")
    for name, said in (("mine", "plan_batch: there is no such setting"), ("none", "expected a YAML file, got none")):
        with pytest.raises(ConfigError) as refused:
            read_form(str(tmp_path / f"{name}.yaml"), "", [Change(setting="train.seed", value="1")])
        assert str(refused.value).startswith(f"{tmp_path}/{name}.yaml: {said}")


@pytest.mark.parametrize("name", list(setting_names(PipelineConfig)))
def test_every_setting_of_the_dropdown_is_known(tmp_path, name):
    (tmp_path / "mine.yaml").write_text("languages: [en]\n")
    with pytest.raises(ConfigError, match=rf"^{name}.*: expected ") as refused:
        read_form(str(tmp_path / "mine.yaml"), "", [Change(setting=name, value='{"": [[]]}')])
    assert "there is no such setting" not in str(refused.value)
