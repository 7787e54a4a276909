import pytest

from tasks.export.card import CardFacts, write_card

FACTS = {
    "name": "quad16",
    "base_model": "intfloat/multilingual-e5-small",
    "num_layers": 6,
    "hidden_size": 384,
    "num_parameters": 107_000_000,
    "pooling": "mean",
    "prompts": {"query": "query: ", "document": "passage: "},
    "max_tokens": 512,
    "data": [
        {"language": "fi", "documents": 1200, "train_queries": 90, "judgements": 300, "source": "files"},
        {"language": "sw", "documents": 3400, "train_queries": 259, "judgements": 900, "source": "files"},
    ],
    "num_steps": 44,
    "settings": {"train": {"learning_rate": 1e-5}, "plan_batches": {"batch_size": 8}},
    "metrics": [
        {"system": "trained", "language": "sw", "metric": "nDCG@10", "value": 0.5, "num_queries": 483},
        {"system": "bm25", "language": "sw", "metric": "nDCG@10", "value": 0.25, "num_queries": 483},
        {"system": "trained", "language": "all", "metric": "nDCG@10", "value": 0.5, "num_queries": 632},
        {"system": "trained", "language": "fi", "metric": "nDCG@10", "value": 0.75, "num_queries": 149},
    ],
    "ignores_own_document": False,
    "lineage": [(0, "training_log: training_log/all/abc, 44 rows"), (1, "batch_plan: batch_plan/all/def, 352 rows")],
    "versions": {"torch": "2.13.0"},
}


def card(**changes):
    return write_card(CardFacts(**FACTS | changes))


def test_front_matter_names_languages_library_and_base():
    head = card().split("---\n")[1]
    assert head.splitlines() == [
        "language:",
        "- fi",
        "- sw",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "base_model: intfloat/multilingual-e5-small",
        "tags:",
        "- sentence-transformers",
        "- dense-retrieval",
        "- polyloom",
    ]


def test_results_have_a_line_per_language_and_the_mean_last():
    text = card()
    assert "| language | queries | nDCG@10 bm25 | nDCG@10 trained |" in text
    rows = [line for line in text.splitlines() if line.startswith(("| fi | 149", "| sw | 483", "| mean"))]
    assert rows == ["| fi | 149 | – | 0.7500 |", "| sw | 483 | 0.2500 | 0.5000 |", "| mean | 632 | – | 0.5000 |"]


def test_says_where_a_querys_own_document_is_no_hit():
    assert "own id" not in card()
    assert "*bm25* Lucene's. A document with the query's own id is no hit." in card(ignores_own_document=True)


def test_says_data_settings_lineage_and_versions():
    text = card()
    assert "| sw | 3,400 | 259 | 900 | files |" in text
    assert "| train.learning_rate | `1e-05` |" in text
    assert "- training_log: training_log/all/abc, 44 rows\n  - batch_plan: batch_plan/all/def, 352 rows" in text
    assert "Made with torch 2.13.0." in text


def test_prompts_pooling_and_lengths_are_those_of_the_model():
    text = card(pooling="cls", prompts={"query": 'Q "x": ', "document": ""}, max_tokens=128)
    assert 'put "Q \\"x\\": " before queries and "" before documents, pool the token vectors by cls' in text
    assert "inputs of up to 128 tokens" in text


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [("matryoshka_dimensions", [64, 128], "truncate_dim=64)`; the sizes are 64, 128"), ("lora_rank", 8, "of rank 8")],
)
def test_notes_on_shorter_vectors_and_adapters_stand_only_where_they_apply(setting, value, text):
    assert text in card(settings={"train": {setting: value}})
    assert "\n\nTrained" not in card(settings={"train": {setting: type(value)()}})


def test_same_facts_same_text():
    assert card() == card()


def test_card_names_a_base_model_from_a_folder_by_nothing():
    text = card(base_model=None)
    assert "base_model:" not in text
    assert "on top of a model from a local folder (6 layers" in text
