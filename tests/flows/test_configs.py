"""Reading configurations, and the error for each way in which one can be wrong."""

import functools
import sys
from pathlib import Path

import pytest
from support import raw_files

from flows.cli.main import app
from flows.configs import PipelineConfig, StorageConfig, load_config
from flows.settings_file import ConfigError, check_variables, parse_yaml
from flows.weave import weave

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("languages: [en, sw]\nplan_batches: {seed: 3}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_of_the_project_is_valid(path):
    assert load_config(path).name == path.stem


PAPER = {  # shared/METHOD.md: the paper's section 4.1 and appendix B.4
    "text.max_query_tokens": 64, "text.max_document_tokens": 256, "retrieve.fuse.top_k": 40,
    "denoise.num_negatives": 30, "plan_batches.batch_size": 24, "plan_batches.num_negatives": 7,
    "plan_batches.num_epochs": 20, "train.learning_rate": 2e-6, "train.warmup_share": 0, "ingest.validation_share": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("name", ["miracl", "miracl-llm"])
def test_paper_s_configuration_has_its_numbers_and_two_retrievers_and_can_be_woven(name, tmp_path, monkeypatch):
    path = REPOSITORY / "configs" / f"{name}.yaml"
    settings = load_config(path)
    assert {key: functools.reduce(getattr, key.split("."), settings) for key in PAPER} == PAPER
    assert [settings.encoder.model, *(one.model for one in settings.retrieve.ensemble)] == [
        "intfloat/multilingual-e5-large",
        "BAAI/bge-m3",
    ]
    assert settings.train.validation_steps
    assert settings.denoise.judge == ("llm" if name == "miracl-llm" else "cross_encoder")

    for model in ("intfloat/multilingual-e5-large", "BAAI/bge-m3", "BAAI/bge-reranker-v2-m3"):
        (tmp_path / model).mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            (tmp_path / model / file).write_text("{}")
    monkeypatch.chdir(tmp_path)  # a folder goes before the hub
    raw_files.miracl(tmp_path / "miracl")
    steps = {str(promise) for promise in weave(load_config(path, ("languages=[fi]", "ingest.path=miracl"))).promises}
    judged = {"judge_pairs-fi", "generate_from_positives-fi"} if name == "miracl-llm" else {"score_pairs-fi"}
    assert steps >= {"fuse_vectors-fi", "train_encoder-all", "export_model-all", *judged}


def test_miracl_with_an_llm_is_miracl_but_for_it():
    plain, llm = (
        load_config(REPOSITORY / "configs" / f"{name}.yaml").model_dump() for name in ("miracl", "miracl-llm")
    )
    assert {name for name in plain if plain[name] != llm[name]} == {"name", "denoise", "supplement"}


def test_overrides_change_one_setting_each(config):
    changed = load_config(config, ("plan_batches.seed=7", "train.learning_rate=1e-4", "languages=[fi]"))
    assert (changed.plan_batches.seed, changed.train.learning_rate, changed.languages) == (7, 1e-4, ("fi",))


def test_override_reaches_settings_that_the_file_does_not_name(config):
    assert load_config(config, ("ingest.atlas.seed=5",)).ingest.atlas.seed == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("plan_batches.sede=7",), r"plan_batches.sede: there is no such setting \(got 7\). Did you mean seed\?"),
        (("plan_batch.seed=7",), "plan_batch: there is no such setting .* Did you mean plan_batches"),
        (("denoise.llm.chat.modle=x",), r"denoise.llm.chat.modle: .* Did you mean model\?"),
        (("train.learnig_rate=1",), r"train.learnig_rate: .* Did you mean learning_rate\?"),
        (("learning_rate=1",), r"learning_rate: .* Did you mean train.learning_rate\?"),
        (("train.max_document_tokens=9",), r"train.max_document_tokens: .* Did you mean text.max_document_tokens\?"),
        (
            ("retrieve.embed={max_query_tokens: 32, max_document_tokens: 64}",),
            r"retrieve.embed: there is no .* Did you mean text.max_query_tokens, text.max_document_tokens\?",
        ),
        (("denoise.fit={presumed_from_rank: 8}",), r"denoise.fit: .* Did you mean denoise.presumed_ranks\?"),
        (("languages=sw",), r"languages: expected a list, got 'sw'\. Write \[sw\]\."),
        (("plan_batches.topics=[1]",), r"plan_batches.topics: expected a whole number or a text, got \[1\]\."),
        (("retrieve.ensemble=[{name: a}]",), r"retrieve.ensemble.0.model: expected a value, got nothing\."),
        (("text=3",), r"text: expected settings by name, got 3\."),
        (("denoise.relabel=maybe",), r"denoise.relabel: expected true or false, got 'maybe'\."),
        (("train.learning_rate=fast",), r"train.learning_rate: expected a number, got 'fast'\."),
        (("denoise.percent=101",), r"denoise.percent: expected 100 or less, got 101\."),
        (("storage.xyz=1",), r"storage.xyz: .* There are: root, umask\."),
        (("retrieve.ensemble=[{name: a, model: b, poling: cls}]",), r"retrieve.ensemble.0.poling: .* mean pooling\?"),
        (
            ("denoise.judge=fited",),
            r"denoise.judge: expected 'fitted', .* or 'cascade', got 'fited'. Did you mean fitted\?",
        ),
        (("train.matryoshka_dimensions=[0]",), r"train.matryoshka_dimensions: expected sizes of 1 or more, got \[0\]"),
        (("train.learning_rate=.inf",), r"train.learning_rate: expected a finite number, got inf\. Correct it\."),
        (("denoise.max_score=nan",), r"denoise.max_score: expected a finite number, got 'nan'"),
        (("denoise.band=[0.1, .nan]",), r"denoise.band.1: .* finite number"),
        (("retrieve.fuse.weights={bm25: -.inf}",), r"retrieve.fuse.weights.bm25: .* finite number"),
        (("plan_batches.batch_size=0",), r"plan_batches.batch_size: expected 2 or more, got 0\. Correct it\."),
        (("plan_batches.seed",), "expected stage.key=value, got 'plan_batches.seed'"),
        (("plan_batches.seed=[",), "expected a YAML value"),
        (("plan_batches.seed.deep=1",), "expected 'seed' to hold settings, got 3"),
        (("languages=[en,en]",), "expected each language once, got en, en"),
        (("languages=[xx]",), r"languages.0: .*BCP 47 tag, got 'xx'. Write it like de"),
        (
            ("resources.device=gpu",),
            r"resources.device: expected auto, cpu, cuda or one of several GPUs as cuda:1, got 'gpu'.",
        ),
        (("resources={7: gpu}",), "resources.7: expected names that are texts, got 7. Correct it."),
        (("languages=[pt_BR]",), r"languages.0: .*got 'pt_BR'. Did you mean 'pt-BR'\?"),
        (
            ("languages=[de]", "ingest.layout=atlas"),
            r"expected ar, bn, .* for the sample atlas, got de. .*ingest.layout",
        ),
        (
            ("ingest.train_split=dev",),
            "ingest.train_split: expected another name than ingest.dev_split, got 'dev' for both",
        ),
        (("languages=[]",), r"languages: expected 1 or more entries, got \[\]\."),
        (("evaluate.metrics=[]",), r"evaluate.metrics: expected 1 or more entries, got \[\]\."),
        (("evaluate.metrics=[nonsense@3]",), "ir_measures knows no nonsense"),
        (("evaluate.metrics=[nDCG@0]",), r"yaml: evaluate\.metrics: expected .*the cut-off is 0"),
        (
            ("evaluate.depth=5",),
            "evaluate.depth: expected at least 100, the cut-off of R@100 in evaluate.metrics, got 5",
        ),
        (("retrieve.search.depth=99",), "retrieve.search.depth: expected at least 100, .* got 99"),
        (("evaluate.metrics=[AP,nDCG(cutoff=101)]",), "evaluate.depth: expected at least 101, the cut-off of nDCG@101"),
    ],
)
def test_wrong_overrides_are_named(config, overrides, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(config, overrides)
    assert "\n" not in str(error.value)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_measures_are_spelled_as_ir_measures_does_so_spelling_rebuilds_nothing(config):
    changed = load_config(config, ("evaluate.metrics=[NDCG@10, recall_100]",))
    assert changed == load_config(config)


def test_depth_below_the_default_is_enough_for_what_is_measured(config):
    assert load_config(config, ("evaluate.metrics=[nDCG@5, AP]", "evaluate.depth=5")).evaluate.depth == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected settings by name, got list"),
        ("a: [", "expected YAML in UTF-8"),
        ("languages: [en]\nname: a\nname: b\n", "the key 'name' twice .*line 3"),
        ("languages: [en]\ntrain: {seed: 1, seed: 1}\n", "the key 'seed' twice .*line 2"),
        ("languages: [en]\n---\nlanguages: [fi]\n", "expected a single document"),
        (LAUGHS, "aliases that stand for more than 100,000 values"),
        ("a: &a [*a]", "aliases that stand for more than"),
        ("[" * 5000, "expected YAML"),
        ("a: " + "x" * (1 << 20), "got more than 1,048,576 bytes"),
        ("config: a.yaml\nreference: x\nvariants: {x: []}\n", "got an ablation. Run `polyloom ablation .*config.yaml`"),
    ],
    ids=lambda value: value[:20],
)
def test_wrong_files_are_named(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_several_wrong_settings_are_a_line_each(config):
    with pytest.raises(ConfigError) as error:
        load_config(config, ("train.sede=1", "plan_batches.batch_size=0"))
    first, *others = str(error.value).splitlines()
    assert first.endswith("expected valid settings, got 2 wrong:")
    assert [line.split(":")[0] for line in others] == ["  plan_batches.batch_size", "  train.sede"]


def test_norwegian_is_no_truth_value_and_a_few_aliases_are_fine():
    assert parse_yaml("[no, on, true, 1]") == ["no", "on", True, 1]
    assert parse_yaml("{a: &a [1], b: *a}") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("storage.root=${NOT_SET}/data", "storage.root"),
        ("encoder.model=${NOT_SET}", "encoder.model"),
        ("train.result=x${NOT_SET}", "train.result"),
        ("ingest.columns={text: '${NOT_SET}'}", "ingest.columns.text"),
    ],
)
def test_variable_that_is_not_set_is_named_with_its_setting(config, override, name, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    settings = load_config(config, (override,))
    for check in (check_variables, weave):
        with pytest.raises(ValueError, match=f"{name}: expected the environment variable NOT_SET to be set"):
            check(settings)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("encoder.num_layers=13",), "encoder.num_layers: expected at most 12, the layers of bundled:multi.*, got 13"),
        (("train.matryoshka_dimensions=[64,385]",), "matryoshka_dimensions: expected at most 384, the size .* got 385"),
        (
            ("retrieve.ensemble=[{name: m, model: 'bundled:all-minilm-l6-v2', num_layers: 7}]",),
            "retrieve.ensemble.0.num_layers: expected at most 6, .* got 7",
        ),
        (
            ("text.max_document_tokens=513",),
            "text.max_document_tokens: expected at most 512, the longest .* got 513",
        ),
        (
            ("evaluate.systems=[{name: m, model: 'bundled:all-minilm-l6-v2', max_query_tokens: 600}]",),
            "evaluate.systems.0.max_query_tokens: expected at most 512, .* got 600",
        ),
    ],
)
def test_layers_and_sizes_that_an_encoder_lacks_are_refused_before_anything_runs(config, overrides, message):
    with pytest.raises(ValueError, match=message):
        weave(load_config(config, overrides))
    assert weave(load_config(config, ("encoder.num_layers=12", "train.matryoshka_dimensions=[384]")))


def test_cuda_without_a_gpu_is_refused_before_anything_runs(config, monkeypatch):
    settings = load_config(config, ("resources.device=cuda",))
    monkeypatch.setattr("os.path.exists", lambda path: path == "/dev/nvidiactl")
    settings.resources.check_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ValueError, match="expected a GPU for cuda, got an empty CUDA_VISIBLE_DEVICES"):
        settings.resources.check_device()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("os.path.exists", lambda path: False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match="resources.device: expected a GPU for cuda, got none on this machine"):
        settings.resources.check_device()
    load_config(config).resources.check_device()


def test_batches_are_as_large_as_the_device_wants_unless_a_size_is_set(config):
    by_device = {"cpu": 2048, "cuda": 65_536, "cuda:1": 65_536}
    resources = load_config(config).resources
    assert {device: resources.batch_tokens_on(device) for device in by_device} == by_device
    chosen = load_config(config, ("resources.batch_tokens=4096",)).resources
    assert {chosen.batch_tokens_on(device) for device in by_device} == {4096}


def test_one_of_several_gpus_is_a_device(config):
    assert load_config(config, ("resources.device=cuda:1",)).resources.device == "cuda:1"
    with pytest.raises(ValueError, match="resources.device"):
        load_config(config, ("resources.device=gpu",))


def test_json_that_cannot_be_written_is_refused_before_the_run(tmp_path, config):
    for file in (tmp_path / "none" / "a.json", tmp_path):
        with pytest.raises(ConfigError, match="--json: expected a file that can be written, got .*: (No such|Is a)"):
            app(["run", str(config), "--json", str(file)], standalone_mode=False)
    with pytest.raises(ConfigError, match="no such setting"):
        app(["run", str(config), "--json", str(tmp_path / "a.json"), "--set", "x=1"], standalone_mode=False)
    assert not (tmp_path / "a.json").exists()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected a YAML file, got none"):
        load_config(tmp_path / "none.yaml")


def test_root_reads_the_environment_and_is_absolute(monkeypatch):
    monkeypatch.setenv("LOOM", "/somewhere")
    assert StorageConfig(root="${LOOM}/data/").location == "/somewhere/data"
    assert StorageConfig(root="s3://bucket/x").location == "s3://bucket/x"
    assert StorageConfig(root="data").location == str(Path.cwd() / "data")
    with pytest.raises(ConfigError, match="storage.root: expected a bucket or folder after s3://"):
        _ = StorageConfig(root="s3://").location


def test_every_setting_has_a_description_for_the_form():
    schema = PipelineConfig.model_json_schema()

    def missing(model, path):
        for name, field in model["properties"].items():
            if "$ref" in field:
                yield from missing(schema["$defs"][field["$ref"].rpartition("/")[2]], f"{path}{name}.")
            elif not field.get("description"):
                yield f"{path}{name}"

    assert list(missing(schema, "")) == []


def test_tensorboard_without_its_extra_is_told_before_anything_runs(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as Python marks what cannot be imported
    with pytest.raises(ValueError, match=r"train\.tensorboard: .* Run pip install 'polyloom\[tensorboard\]'"):
        weave(load_config(config, ("train.tensorboard=events",)))
    assert weave(load_config(config)).has("train")
