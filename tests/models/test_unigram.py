"""A narrowed Unigram tokenizer gives the ids of the whole one: on drawn vocabularies and on real text."""

import functools
import gzip
import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tasks.ingest.atlas.generate import generate
from tasks.languages import LANGUAGES
from tasks.models.bundled import write_bundled_encoder
from tasks.models.locate import locate_model
from tasks.models.unigram import Unigram, read_unigram

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

pieces = st.lists(
    st.text("ab▁", min_size=1, max_size=4) | st.sampled_from(["é", "aé"]) | st.text("</s>", min_size=1),
    unique=True,
    min_size=8,
    max_size=40,
)
scores = st.floats(-30, -0.001) | st.sampled_from([-1.0, -2.0, -13.520000457763672])
words = st.text("ab", min_size=2, max_size=6) | st.sampled_from(
    [" ", "e\u0301", "#", "z☃", "\n", "▁", "<s>", "</s>", "<extra>"]
)
texts = st.lists(st.lists(words, min_size=3, max_size=12).map("".join), min_size=1, max_size=3)
metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")


def tokenizer_file(vocabulary, *, split=metaspace, byte_fallback=False, ends=True):
    """Return what a tokenizer.json says: loading it may change a score's last bit, which is to be the same in both."""
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=byte_fallback))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex("#+"), "ab")])
    tokenizer.pre_tokenizer = split
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.add_tokens([AddedToken("<extra>", lstrip=True, normalized=False)])  # no piece: its id is a new one
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    return tokenizer.to_str()


def unigram_of(file, **names):
    return Unigram(json.loads(file, parse_float=str.encode), **names)


def ids_of(tokenizer, some, max_tokens=512):
    tokenizer.enable_truncation(max_tokens)
    return [encoding.ids for encoding in tokenizer.encode_batch(some)]


def pieces_of(tokenizer):
    return {piece: score for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]}


@settings(max_examples=150, deadline=None)
@given(st.data(), pieces, texts, st.booleans(), st.booleans(), st.sampled_from([metaspace, None]))
def test_gives_the_ids_of_the_whole_vocabulary(data, drawn, some, byte_fallback, ends, split):
    vocabulary = [(piece, 0.0) for piece in SPECIAL]
    vocabulary += [(f"<0x{byte:02X}>", -0.5) for byte in range(256) if byte_fallback]
    vocabulary += [(piece, data.draw(scores)) for piece in drawn if piece not in SPECIAL]
    file = tokenizer_file(vocabulary, split=split, byte_fallback=byte_fallback, ends=ends)
    whole, narrow = Tokenizer.from_str(file), unigram_of(file).narrow([some[:1], some[1:]])
    assert list(narrow.split(some, max_tokens=512)) == ids_of(whole, some)
    assert list(narrow.split(some, max_tokens=3)) == ids_of(whole, some, max_tokens=3)
    assert narrow.token_to_id("<extra>") == whole.token_to_id("<extra>")
    assert pieces_of(narrow.tokenizer).items() <= pieces_of(whole).items()  # the scores, to the last bit


def test_leaves_out_what_does_not_stand_in_the_texts():
    words = [f"{first}{second}" for first in "abcdefgh" for second in "abcdefgh"]
    file = tokenizer_file([*((name, 0.0) for name in SPECIAL), *((word, -1.0) for word in words), ("▁", -9.0)])
    kept = pieces_of(unigram_of(file).narrow([["abc"]]).tokenizer)
    assert {"ab", "bc", "▁", "<s>", "</s>"} <= kept.keys()  # spare hashes may keep a few more
    assert len(kept) < 30


def test_keeps_pieces_that_are_asked_for():
    file = tokenizer_file([*((name, 0.0) for name in SPECIAL), ("a", -1.0), ("zz", -2.0), ("q", -9.0)])
    narrow = unigram_of(file, names=["zz", "none"]).narrow([])
    assert (narrow.token_to_id("zz"), narrow.token_to_id("none")) == (5, None)


def test_unknown_characters_cost_what_they_cost_in_the_whole_vocabulary():
    """The lowest score, -100, belongs to a piece that does not occur; unknown characters have it less 10."""
    known = [("ab", -30.0), ("cd", -30.0), ("ef", -30.0), ("bcdef", -1.0), ("zz", -100.0)]
    file = tokenizer_file([*((name, 0.0) for name in SPECIAL), *known], split=None, ends=False)
    narrow = unigram_of(file).narrow([["abcdef"]])
    assert "zz" in pieces_of(narrow.tokenizer)
    assert list(narrow.split(["abcdef"], max_tokens=8)) == [[4, 5, 6]]  # -90, where an unknown a and bcdef have -111


def test_keeps_ids_that_the_post_processor_names_wherever_they_stand():
    vocabulary = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("<pad>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("c", -1.0)]
    whole = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    whole.post_processor = processors.RobertaProcessing(("</s>", 5), ("<s>", 4))
    narrow = unigram_of(whole.to_str()).narrow([["c"]])
    assert list(narrow.split(["cab"], max_tokens=8)) == [[4, 6, 1, 2, 5]]


def test_scores_stay_as_the_file_says(tmp_path):
    """The library reads this score otherwise than Python does, and so must get it as it stands."""
    known = [*((name, 0.0) for name in SPECIAL), ("a", -9.644908491308989)]
    (tmp_path / "tokenizer.json").write_text(tokenizer_file(known), encoding="utf-8")
    narrow, whole = read_unigram(tmp_path / "tokenizer.json").narrow([["a"]]), Tokenizer.from_str(tokenizer_file(known))
    assert pieces_of(narrow.tokenizer)["a"] == pieces_of(whole)["a"] == -9.644908491308987


def test_reads_no_other_model(tmp_path):
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    assert read_unigram(tmp_path / "tokenizer.json") is None


def test_gives_the_same_ids_whatever_is_looked_at_together(monkeypatch):
    file = tokenizer_file([*((name, 0.0) for name in SPECIAL), ("ab", -1.0), ("a", -3.0), ("▁ba", -2.0), ("q", -9.0)])
    some = ["ab ba", "bab", "aab ☃"]
    monkeypatch.setattr("tasks.models.unigram._CHARACTERS_AT_ONCE", 1)  # word by word
    narrow = unigram_of(file).narrow([some[:2], [], some[2:]])
    assert list(narrow.split(some, max_tokens=9)) == ids_of(Tokenizer.from_str(file), some)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled encoder's tokenizer, whole, and to be narrowed: 250,002 pieces."""
    folder = tmp_path_factory.mktemp("bundled")
    write_bundled_encoder(locate_model("bundled:multilingual-e5-small"), folder, num_layers=1)
    return Tokenizer.from_file(str(folder / "tokenizer.json")), read_unigram(folder / "tokenizer.json")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["atlas", "quad16"])
def test_gives_the_same_ids_on_texts_of_sixteen_languages(bundled, source, request):
    whole, unigram = bundled
    read = _atlas if source == "atlas" else functools.partial(_quad16, request.getfixturevalue("shared"))
    blocks = [read(language) for language in LANGUAGES]
    for some in blocks:
        narrow = unigram.narrow([some])
        assert len(narrow.id_K) < 60_000
        assert list(narrow.split(some, max_tokens=512)) == ids_of(whole, some)
    everything = [text for some in blocks for text in some]
    assert list(unigram.narrow(blocks).split(everything, max_tokens=512)) == ids_of(whole, everything)


@pytest.mark.slow
def test_white_space_around_a_text_changes_no_id_of_the_bundled_encoder(bundled):
    whole, unigram = bundled
    some = ["query: text", "query: text ", "query:  text\n", " query: text\u3000\u200b"]
    assert (
        list(unigram.narrow([some]).split(some, max_tokens=512)) == ids_of(whole, some) == [ids_of(whole, some)[0]] * 4
    )


def _atlas(language):
    atlas = generate(language, seed=0, documents_per_language=60, queries_per_language=12)
    return [*atlas.corpus["title"], *atlas.corpus["text"], *atlas.queries["text"]]


def _quad16(shared, language):
    folder = shared / "quad16"
    with gzip.open(min((folder / "corpus" / language).glob("docs-*.jsonl.gz")), "rt", encoding="utf-8") as lines:
        documents = [json.loads(line)["text"] for line in islice(lines, 150)]
    topics = (folder / "topics" / f"topics.quad16-{language}-train.tsv").read_text(encoding="utf-8").splitlines()
    return [*documents, *(line.split("\t")[1] for line in topics[:50])]
