from support.dataset_folders import dataset_folder
from support.token_folders import token_folder

from tasks.train.data import read_pool, read_scores


def score(query, doc, raw, judge="fold-0"):
    return {"query_id": query, "doc_id": doc, "judge": judge, "raw": raw, "probability": 0.5, "grade": 0}


def judged(query, doc, relevance):
    return {"query_id": query, "doc_id": doc, "relevance": relevance}


def test_pool_holds_all_texts_and_the_judgements_of_its_queries(tmp_path):
    tokens = [
        token_folder(tmp_path / "q", {"q1": [1, 2], "q2": [3]}),
        token_folder(tmp_path / "d", {"d1": [4]}, {"d2": [5, 6]}, role="document"),
        token_folder(tmp_path / "sw", {"q1": [7]}, language="sw"),
    ]
    qrels = [
        dataset_folder(tmp_path / "fi", "qrels", [judged("q1", "d1", 1), judged("train", "d2", 1)], partition="fi"),
        dataset_folder(tmp_path / "sw-qrels", "qrels", [judged("q1", "d9", 0)], partition="sw"),
    ]
    pool = read_pool(tokens, qrels)
    assert pool.queries.keys() == {("fi", "q1"), ("fi", "q2"), ("sw", "q1")}
    assert pool.documents.keys() == {("fi", "d1"), ("fi", "d2")}
    assert pool.documents["fi", "d2"].tolist() == [5, 6]
    assert pool.qrels == {("fi", "q1"): {"d1": 1}, ("fi", "q2"): {}, ("sw", "q1"): {"d9": 0}}


def test_scores_are_found_by_language_query_and_document(tmp_path):
    folders = [
        dataset_folder(tmp_path / "fi", "scores", [score("q1", "d1", 2.5), score("q1", "d2", -1.0)], partition="fi"),
        dataset_folder(tmp_path / "sw", "scores", [score("q1", "d1", 9.0, judge="fold-1")], partition="sw"),
    ]
    teacher = read_scores(folders)
    assert teacher == {("fi", "q1"): {"d1": 2.5, "d2": -1.0}, ("sw", "q1"): {"d1": 9.0}}


def test_folds_may_judge_different_queries(tmp_path):
    rows = [score("q1", "d1", 1.0), score("q2", "d1", 2.0, judge="fold-1")]
    teacher = read_scores([dataset_folder(tmp_path / "fi", "scores", rows, partition="fi")])
    assert teacher == {("fi", "q1"): {"d1": 1.0}, ("fi", "q2"): {"d1": 2.0}}


def test_row_without_a_score_is_passed_over(tmp_path):
    rows = [score("q1", "d1", 1.5), score("q1", "d2", None)]
    assert read_scores([dataset_folder(tmp_path / "fi", "scores", rows, partition="fi")]) == {("fi", "q1"): {"d1": 1.5}}


def test_first_judges_scores_count_where_an_llm_gave_the_grades(tmp_path):
    # As `apply_verdicts` writes a cascade: the LLM's name and grade, and the first judge's score where it had one.
    rows = [score("q1", "d1", 1.0), score("q1", "d2", 2.0, judge="llm"), score("q1", "d3", None, judge="llm")]
    folder = dataset_folder(tmp_path / "fi", "scores", rows, partition="fi")
    assert read_scores([folder]) == {("fi", "q1"): {"d1": 1.0, "d2": 2.0}}
