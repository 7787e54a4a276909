"""BM25 against its plain formula, and one sentence per language."""

import math
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from tasks.retrieve.analyzers import analyzer_of
from tasks.retrieve.bm25 import rank_documents
from tasks.retrieve.lucene import Lucene

pytestmark = pytest.mark.slow  # starts Java

DOCUMENTS = {
    "d1": "red red apple",
    "d2": "red pear on a tree",
    "d3": "green apple pear apple",
    "d4": "nothing of it here",
}
# what is found by another form of the word than the document has, and a document that must not be found
SENTENCES = {
    "ar": ("قرأ الطالب الكتاب الجديد", "كتاب", "السيارة سريعة"),
    "bn": ("ছেলেরা মাঠে বইগুলো পড়ছে", "বই", "নদীর জল ঠান্ডা"),
    "en": ("Three dogs were running.", "dog run", "A quiet library"),
    "es": ("Los gatos negros duermen", "gato negro", "La casa blanca"),
    "fa": ("کتاب‌های قدیمی در خانه است", "کتاب", "هوا سرد شد"),
    "fi": ("Taloissa on suuria ikkunoita", "talo ikkuna", "Kissa nukkuu"),
    "fr": ("Les chevaux mangent de l'herbe", "cheval", "Une petite maison"),
    "hi": ("लड़कियाँ किताबें पढ़ती हैं", "किताब", "नदी गहरी थी"),
    "id": ("Ibu membacakan cerita", "baca", "Mobil itu cepat"),
    "ja": ("東京で寿司を食べました", "寿司を食べる", "猫が眠っている"),
    "ko": ("서울에서 만난 친구", "서울", "바다가 넓다"),
    "ru": ("На столах лежат книги", "книга стол", "Собака спит"),
    "sw": ("Watoto, wanasoma VITABU.", "vitabu watoto", "Gari ni jipya"),
    "te": ("పుస్తకాలు చదువుతున్నారు", "పుస్తకాలు", "నది లోతుగా ఉంది"),
    "th": ("กรุงเทพเป็นเมืองหลวงของประเทศไทย", "เมืองหลวง", "แมวนอนหลับ"),
    "zh": ("北京是中国的首都", "首都北京", "猫在睡觉"),
    "zh-Hant": ("臺北是一座城市", "城市臺北", "貓在睡覺"),
    "de": ("Die alten Häuser stehen leer", "altes Haus", "Der Hund schläft"),
    "uk": ("Студенти читають книги", "книга студент", "Собака спить"),
    "pt-BR": ("Os meninos correram", "menino correr", "A casa branca"),
    "pl": ("Stare domy stoją puste", "dom", "Pies śpi"),
    "sr": ("Стари градови", "grad stari", "Пас спава"),
    "yo": ("Àwọn ọmọ ń kàwé.", "ỌMỌ kàwé", "Ajá ń sùn"),
}
# Every pair is one text to a reader. By hand: U+0301 and the like as characters of their own, and Thai's.
TWINS = {
    "fr": ("l'\u00c9lys\u00e9e", "l'E\u0301lyse\u0301e"),
    "es": ("ca\u00f1\u00f3n", "can\u0303o\u0301n"),
    "fi": ("N\u00e4\u00e4t\u00e4", "Na\u0308a\u0308ta\u0308"),
    "en": ("caf\u00e9", "cafe\u0301"),
    "id": ("t\u00e9h", "te\u0301h"),
    "de": ("Wahlrecht", "Wahl\u00adrecht"),
    "yo": ("\u1ecdm\u1ecd", "o\u0323mo\u0323"),
    "sw": ("ng'ombe", "ng\u02bcombe"),
    "ja": ("\u30ac\u30b9", "\u30ab\u3099\u30b9"),
    "ko": ("\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    "bn": ("\u09b8\u09ae\u09df", "\u09b8\u09ae\u09af\u09bc"),
    "hi": ("\u0958\u0932\u092e", "\u0915\u093c\u0932\u092e"),
    "fa": ("\u0622\u0628", "\u0627\u0653\u0628"),
    "th": ("\u0e19\u0e49\u0e33\u0e17\u0e48\u0e27\u0e21", "\u0e19\u0e49\u0e4d\u0e32\u0e17\u0e48\u0e27\u0e21"),
    "ar": ("\u0643\u062a\u0627\u0628", "\u200f\u0643\u062a\u0627\u0628\u200f"),
    "en-GB": ("o'clock", "o\u2019clock"),
    "th-TH": ("\u0e41\u0e21\u0e27", "\u0e40\u0e40\u0e21\u0e27"),
}


def rank(lucene: Lucene, folder: Path, documents: dict[str, str], queries: dict[str, str], **settings) -> pl.DataFrame:
    corpus = pl.DataFrame({"doc_id": list(documents), "title": [""] * len(documents), "text": list(documents.values())})
    asked = pl.DataFrame({"query_id": list(queries), "text": list(queries.values())})
    rows = settings.pop("rows", len(documents) or 1)
    plain = {"analyzer": "standard", "text": "title_and_text", "k1": 0.9, "b": 0.4, "depth": 10}
    return rank_documents(
        corpus.iter_slices(rows),
        asked,
        lucene=lucene,
        index=folder / "index",
        advance=lambda done: None,
        **plain | settings,
    )


def plain_bm25(documents: dict[str, str], query: str, k1: float = 0.9, b: float = 0.4) -> dict[str, float]:
    counts = {doc_id: Counter(text.split()) for doc_id, text in documents.items()}
    average = sum(counter.total() for counter in counts.values()) / len(counts)
    scores: dict[str, float] = {}
    for term in query.split():
        having = sum(term in counter for counter in counts.values())
        idf = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
        for doc_id, counter in counts.items():
            if term in counter:
                length = 1 - b + b * counter.total() / average
                scores[doc_id] = scores.get(doc_id, 0.0) + idf * counter[term] / (counter[term] + k1 * length)
    return scores


@pytest.mark.parametrize("query", ["red apple", "pear", "red red tree"])
@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (0.0, 0.0)])
def test_scores_equal_the_plain_formula(lucene, tmp_path, query, k1, b):
    found = rank(lucene, tmp_path, DOCUMENTS, {"q": query}, k1=k1, b=b)
    expected = plain_bm25(DOCUMENTS, query, k1, b)
    assert dict(found.select("doc_id", "score").iter_rows()) == pytest.approx(expected, rel=1e-6)
    assert found["rank"].to_list() == list(range(1, len(expected) + 1))
    assert found["score"].is_sorted(descending=True)


def test_a_hand_computed_score(lucene, tmp_path):
    # N = 2, df = 1: idf = ln 2; both documents have the average length: tf / (tf + k1) = 2 / 2.9
    found = rank(lucene, tmp_path, {"a": "x x y", "b": "y y z"}, {"q": "x"})
    assert found.rows() == [("q", "a", "bm25", 1, pytest.approx(math.log(2) * 2 / 2.9, rel=1e-6))]


def test_output_has_the_candidates_columns_sorted_by_query(lucene, tmp_path):
    found = rank(lucene, tmp_path, DOCUMENTS, {"q2": "pear", "q1": "green"})
    assert found.schema == {
        "query_id": pl.String, "doc_id": pl.String, "system": pl.String, "rank": pl.Int32, "score": pl.Float32,
    }  # fmt: skip
    assert found["query_id"].to_list() == ["q1", "q2", "q2"]


def test_equal_scores_rank_by_doc_id_at_the_cut_too(lucene, tmp_path):
    ids = ["b", "a#10", "a#9", "Z", "ä", "a"]
    found = rank(lucene, tmp_path, dict.fromkeys(ids, "same words"), {"q": "words"}, rows=2)
    assert found["doc_id"].to_list() == sorted(ids)
    assert found["score"].n_unique() == 1
    cut = rank(lucene, tmp_path / "cut", dict.fromkeys(ids, "same words"), {"q": "words"}, depth=3)
    assert cut["doc_id"].to_list() == sorted(ids)[:3]


def test_ranking_does_not_depend_on_document_order_or_parts(lucene, tmp_path):
    documents = {f"d{number:03}": f"word{number % 7} word{number % 3} tail" for number in range(200)}
    queries = {"q1": "word1 word2", "q2": "tail word6"}
    whole = rank(lucene, tmp_path / "1", documents, queries, depth=50)
    parts = rank(lucene, tmp_path / "2", dict(reversed(documents.items())), queries, depth=50, rows=17)
    assert whole.equals(parts)


def test_document_of_the_querys_id_is_not_dropped(lucene, tmp_path):
    assert rank(lucene, tmp_path, {"7": "red", "8": "blue"}, {"7": "red"})["doc_id"].to_list() == ["7"]


def test_query_without_a_hit_has_no_row(lucene, tmp_path):
    assert rank(lucene, tmp_path, DOCUMENTS, {"q": "absent", "empty": " ,"}).is_empty()


def test_empty_corpus_and_no_queries_give_an_empty_table(lucene, tmp_path):
    assert rank(lucene, tmp_path / "1", {}, {"q": "red"}).is_empty()
    assert rank(lucene, tmp_path / "2", DOCUMENTS, {}).columns == ["query_id", "doc_id", "system", "rank", "score"]


def test_title_is_searched_unless_text_alone_is_set(lucene, tmp_path):
    corpus = pl.DataFrame({"doc_id": ["d"], "title": ["Nairobi"], "text": ["a city"]})
    query = pl.DataFrame({"query_id": ["q"], "text": ["nairobi"]})
    for text, hits in (("title_and_text", 1), ("text", 0)):
        found = rank_documents(
            [corpus], query, lucene=lucene, index=tmp_path / text, analyzer="standard", text=text, k1=0.9, b=0.4,
            depth=5, advance=lambda done: None,
        )  # fmt: skip
        assert found.height == hits


def test_characters_outside_the_basic_plane_and_nul_are_kept_apart(lucene, tmp_path):
    found = rank(
        lucene, tmp_path, {"🦁": "the 🦁 roars", "𠮷": "𠮷野家", "nul": "a\0b"}, {"q": "🦁", "r": "𠮷", "s": "b"}
    )
    assert found.select("query_id", "doc_id").rows() == [("q", "🦁"), ("r", "𠮷"), ("s", "nul")]


def test_query_of_many_terms_is_searched_whole(lucene, tmp_path):
    query = " ".join(f"term{number}" for number in range(3000))
    assert rank(lucene, tmp_path, {"d": "term2999"}, {"q": query})["doc_id"].to_list() == ["d"]


def test_progress_ends_with_all_documents_and_queries(lucene, tmp_path):
    told = []
    corpus = pl.DataFrame({"doc_id": ["a", "b", "c"], "title": [""] * 3, "text": ["x"] * 3})
    query = pl.DataFrame({"query_id": ["q"], "text": ["x"]})
    rank_documents(
        corpus.iter_slices(2), query, lucene=lucene, index=tmp_path / "index", analyzer="standard", text="text",
        k1=0.9, b=0.4, depth=5, advance=told.append,
    )  # fmt: skip
    assert told == [2, 1, 1]


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_every_language_finds_its_sentence(lucene, tmp_path, language):
    sentence, query, other = SENTENCES[language]
    found = rank(lucene, tmp_path, {"found": sentence, "other": other}, {"q": query}, analyzer=analyzer_of(language))
    assert found["doc_id"].to_list() == ["found"]


@pytest.mark.parametrize(
    ("language", "sentence", "query"),
    [("yo", "kàwé", "kàwéé"), ("sw", "vitabu", "kitabu"), ("de", "Häuser", "Hausmeister"), ("uk", "книги", "книжка")],
)
def test_only_what_the_analyzer_takes_for_one_word_is_found(lucene, tmp_path, language, sentence, query):
    assert rank(lucene, tmp_path, {"d": sentence}, {"q": query}, analyzer=analyzer_of(language)).is_empty()


@pytest.mark.parametrize("language", TWINS)
def test_either_spelling_of_a_text_finds_both(lucene, tmp_path, language):
    one, other = TWINS[language]
    documents, queries = {"a": one, "b": other, "c": "2024"}, {"one": one, "other": other}
    found = rank(lucene, tmp_path, documents, queries, analyzer=analyzer_of(language))
    assert found.select("query_id", "doc_id").rows() == [("one", "a"), ("one", "b"), ("other", "a"), ("other", "b")]
    assert found["score"].n_unique() == 1


@pytest.mark.parametrize("sign", "'’‘ʼ")
def test_apostrophe_within_a_swahili_word_is_one_letter_and_none_around_it(lucene, tmp_path, sign):
    documents = {"cow": f"{sign}Ng{sign}ombe{sign} mkubwa", "ox": "ng ombe"}
    found = rank(lucene, tmp_path, documents, {"q": "ng'ombe"}, analyzer=analyzer_of("sw"))
    assert found["doc_id"].to_list() == ["cow"]


def test_thai_punctuation_and_invisible_characters_are_no_terms(lucene, tmp_path):
    documents = {
        "fuji": "ภูเขาไฟฟูจิ (อยู่)ในประเทศญี่ปุ่น",
        "quiz": "ไหม? ไหม! “ไหม” … a. – (b) 50%",
        "invisible": "กล้วย\u200bเป็น\ufeffผล\u00adไม้",
    }
    queries = {
        "plain": "ฟูจิ", "marked": "“ฟูจิ”?! … % –", "split": "ฟู\u200bจิ", "soft": "\ufeffฟู\u00adจิ",
        "signs": "? ! … – % ( “", "nothing": "\u200b \ufeff \u00ad", "glued": "a",
    }  # fmt: skip
    found = rank(lucene, tmp_path, documents, queries, analyzer=analyzer_of("th"))
    hits = {(query_id, doc_id) for query_id, doc_id in found.select("query_id", "doc_id").iter_rows()}
    assert hits == {(query_id, "fuji") for query_id in ("plain", "marked", "split", "soft")} | {("glued", "quiz")}
    assert found.filter(doc_id="fuji")["score"].n_unique() == 1


@pytest.mark.parametrize(
    ("case", "language"),
    [(f"bm25_decomposed_unicode/{language}", language) for language in ("fr", "fi", "es", "ko")]
    + [("bm25_decomposed_unicode/th-composed", "th"), ("thai_punctuation_and_zero_width/", "th")],
)
def test_shared_case_is_right(lucene, shared, tmp_path, case, language):
    folder, wanted = case.split("/")
    documents = dict(
        pl.read_ndjson(shared / "cases" / folder / "docs.jsonl")
        .filter(pl.col("doc_id").str.starts_with(wanted))
        .select("doc_id", "text")
        .iter_rows()
    )
    if wanted:
        queries, right = documents, [(query_id, doc_id) for query_id in documents for doc_id in sorted(documents)]
    else:
        asked = pl.read_ndjson(shared / "cases" / folder / "q-dev.jsonl").select("query_id", "text")
        queries, right = dict(asked.iter_rows()), [("d1", "right"), ("d2", "right"), ("d3", "cm"), ("d4", "cm")]
    found = rank(lucene, tmp_path, documents, queries, analyzer=analyzer_of(language))
    assert found.select("query_id", "doc_id").rows() == sorted(right)


def test_index_is_kept_for_other_queries_and_parameters(lucene, tmp_path):
    def no_documents():
        raise AssertionError("a document was read")
        yield

    rank(lucene, tmp_path, DOCUMENTS, {"q": "red"})
    asked, told = pl.DataFrame({"query_id": ["q"], "text": ["red apple"]}), []
    again = rank_documents(
        no_documents(), asked, lucene=lucene, index=tmp_path / "index", analyzer="standard", text="title_and_text",
        k1=1.2, b=0.75, depth=10, advance=told.append,
    )  # fmt: skip
    assert again.equals(rank(lucene, tmp_path / "new", DOCUMENTS, {"q": "red apple"}, k1=1.2, b=0.75))
    assert told == [1]


def test_failed_indexing_leaves_nothing(lucene, tmp_path):
    def parts():
        yield pl.DataFrame({"doc_id": ["d"], "title": [""], "text": ["red"]})
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        rank_documents(
            parts(), pl.DataFrame(), lucene=lucene, index=tmp_path / "index", analyzer="standard", text="text", k1=0.9,
            b=0.4, depth=5, advance=lambda done: None,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert rank(lucene, tmp_path, DOCUMENTS, {"q": "green"})["doc_id"].to_list() == ["d3"]


def test_index_that_nobody_used_for_a_while_goes_when_another_is_built(lucene, tmp_path):
    for days, name in ((20, "old"), (10, "recent"), (20, "used")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, times=(time.time() - days * 86400,) * 2)
    rank(lucene, tmp_path / "elsewhere", DOCUMENTS, {"q": "red"})
    shutil.rmtree(tmp_path / "used")
    shutil.copytree(tmp_path / "elsewhere" / "index", tmp_path / "used")
    os.utime(tmp_path / "used", times=(time.time() - 20 * 86400,) * 2)
    corpus, asked = pl.DataFrame(), pl.DataFrame({"query_id": ["q"], "text": ["red"]})
    settings = {"analyzer": "standard", "text": "text", "k1": 0.9, "b": 0.4, "depth": 5, "advance": lambda done: None}
    rank_documents([corpus], asked, lucene=lucene, index=tmp_path / "used", **settings)
    rank(lucene, tmp_path, DOCUMENTS, {"q": "red"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "index", "recent", "used"]
