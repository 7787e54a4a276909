"""Why `polyloom plan` says that a dataset would be built."""

import json
from dataclasses import replace

import pytest
from support.in_process import build_missing
from support.loom import NumberConfig, choose_numbers, double_numbers, make_numbers, sum_numbers

from flows.configs import PipelineConfig, load_config
from flows.run.pipeline import Pipeline
from flows.run.reasons import why
from flows.run.record import recorded
from flows.weave import weave
from storage import runs
from tasks.engine.step import Promise


@pytest.fixture
def config(tmp_path):
    return PipelineConfig.model_validate({"name": "mine", "languages": ["en"], "storage": {"root": str(tmp_path)}})


def test_why_names_the_setting_the_input_or_the_code_that_changed(config):
    root = config.storage.location
    numbers = make_numbers("en", config=NumberConfig(values=(1,)))
    doubled = double_numbers("en", numbers=numbers, factor=2)
    before = Pipeline.weave({"ingest": [numbers], "train": [doubled, sum_numbers(parts={"en": doubled})]}, metrics=[])
    build_missing(before, root)
    with recorded(config, before, []):
        pass
    earlier = runs.runs(root)
    assert why(double_numbers("en", numbers=numbers, factor=3), config, earlier) == "factor 2 → 3"
    other = make_numbers("en", config=NumberConfig(values=(1, 5)))
    assert why(other, config, earlier) == "config.values [1] → [1, 5]"
    assert why(double_numbers("en", numbers=other, factor=2), config, earlier) == "input numbers changed"
    added = sum_numbers(parts={"en": doubled, "sw": double_numbers("sw", numbers=numbers, factor=2)})
    assert why(added, config, earlier) == "input parts.sw changed"
    assert why(double_numbers("sw", numbers=numbers, factor=2), config, earlier) == "not built before"
    sums = replace(before.promises[-1].step)
    sums.__dict__["code"] = "another"
    assert why(Promise(sums, "all", before.promises[-1].arguments), config, earlier) == "code of sum_numbers changed"


def test_why_compares_with_the_same_split_though_the_newest_run_had_another_alone(config):
    root = config.storage.location
    numbers = make_numbers("en", config=NumberConfig(values=(1,)))
    chosen = [choose_numbers("en", numbers=numbers, split=split) for split in ("train", "dev")]
    whole = Pipeline.weave({"ingest": [numbers], "train": chosen}, metrics=[])
    build_missing(whole, root)
    for pipeline in (whole, Pipeline.weave({"ingest": [numbers], "train": chosen[:1]}, metrics=[])):
        with recorded(config, pipeline, []):
            pass
    earlier = runs.runs(root)
    assert [len(run.datasets) for run in earlier] == [2, 3]
    other = make_numbers("en", config=NumberConfig(values=(5,)))
    assert why(choose_numbers("en", numbers=other, split="dev"), config, earlier) == "input numbers changed"
    assert why(choose_numbers("en", numbers=numbers, split="test"), config, earlier) == "not built before"


def test_why_names_the_input_files_that_changed(tmp_path):
    for name in ("docs-1", "docs-2", "docs-3"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"doc_id": name, "title": "", "text": name}) + "\n")
    for name, row in (
        ("queries", "query_id\tquery\nq1\tdocs"),
        ("qrels", "query_id\tdoc_id\trelevance\nq1\tdocs-1\t1"),
    ):
        for split in ("train", "dev"):
            (tmp_path / f"{name}-{split}.tsv").write_text(row.replace("q1", f"{split}1") + "\n")
    file = tmp_path / "mine.yaml"
    layout = "corpus: 'docs-*.jsonl', queries: 'queries-{split}.tsv', qrels: 'qrels-{split}.tsv'"
    file.write_text(f"languages: [en]\ningest: {{layout: table, path: {tmp_path}, {layout}}}\n")

    def corpus(pipeline):
        return next(one for one in pipeline.promises if one.step.produces == "corpus")

    config = load_config(file, (f"storage.root={tmp_path / 'store'}",))
    pipeline, root = weave(config, "corpus"), config.storage.location
    build_missing(pipeline, root)
    with recorded(config, pipeline, []):
        pass
    for name in ("docs-2", "docs-3"):
        with (tmp_path / f"{name}.jsonl").open("a") as docs:
            docs.write(json.dumps({"doc_id": f"{name}x", "title": "", "text": "new"}) + "\n")
    said = why(corpus(weave(config)), config, runs.runs(root))
    assert said == "input file docs-2.jsonl changed, and 1 more"
    (tmp_path / "docs-3.jsonl").unlink()
    (tmp_path / "docs-2.jsonl").unlink()
    assert why(corpus(weave(config)), config, runs.runs(root)) == "fewer input files"
