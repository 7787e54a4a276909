"""What of a document is searched."""

import polars as pl
import pytest

from tasks.models.texts import document_text
from tasks.retrieve.bm25 import segment_thai

CORPUS = pl.DataFrame({"title": ["Nairobi", " ", ""], "text": ["a city", "no title", "none"]})


def test_title_stands_on_a_line_before_the_text_where_there_is_one():
    assert CORPUS.select(t=document_text("title_and_text"))["t"].to_list() == ["Nairobi\na city", "no title", "none"]


def test_text_alone_leaves_the_title_out():
    assert CORPUS.select(t=document_text("text"))["t"].to_list() == ["a city", "no title", "none"]


def test_other_choices_are_an_error():
    with pytest.raises(ValueError, match="expected 'title_and_text' or 'text', got 'title'"):
        document_text("title")


def test_thai_words_are_separated_and_lower_cased():
    segmented = segment_thai(pl.Series("t", ["เมืองหลวงของประเทศไทย UNESCO", ""]))
    assert segmented.to_list() == ["เมืองหลวง ของ ประเทศ ไทย unesco", ""]


def test_empty_text_leaves_the_title_alone():
    corpus = pl.DataFrame({"title": ["Bones", ""], "text": ["", "a city"]})
    for text in ("title_and_text", "text"):
        assert corpus.select(t=document_text(text))["t"].to_list() == ["Bones", "a city"]
