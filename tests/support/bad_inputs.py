"""The list of bad inputs: what is wrong, and the command that meets it. What it says stands in docs/bad-inputs.md."""

import gzip
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from support import raw_files

GOOD: dict[str, str] = {
    "docs.jsonl": raw_files.jsonl({"doc_id": f"d{n}", "docid": f"d{n}", "text": f"text {n}"} for n in range(1, 4)),
    "train.tsv": raw_files.tsv([("query_id", "text"), ("q1", "Where?"), ("q2", "Who?")]),
    "dev.tsv": raw_files.tsv([("query_id", "text"), ("q3", "When?")]),
    "qrels-train.tsv": raw_files.tsv([("query_id", "doc_id", "relevance"), ("q1", "d1", 1), ("q2", "d2", 1)]),
    "qrels-dev.tsv": raw_files.tsv([("query_id", "doc_id", "relevance"), ("q3", "d3", 1)]),
}
CONFIG = """languages: [en]
storage: {root: store}
ingest: {layout: table, path: in, corpus: docs.jsonl, queries: "{split}.tsv", qrels: "qrels-{split}.tsv"}
"""


def write_good() -> None:
    """Write the collection and its configuration, mine.yaml, into the folder that is the current one."""
    Path("in").mkdir()
    for name, content in {"mine.yaml": CONFIG, **{f"in/{name}": content for name, content in GOOD.items()}}.items():
        Path(name).write_text(content, encoding="utf-8")


TREC = {
    **{f"in/{split}.tsv": GOOD[f"{split}.tsv"].partition("\n")[2].encode() for split in ("train", "dev")},
    **{
        f"in/qrels-{split}.tsv": raw_files.tsv([(query, "Q0", doc, 1) for query, doc in pairs]).encode()
        for split, pairs in {"train": [("q1", "d1"), ("q2", "d2")], "dev": [("q3", "d3")]}.items()
    },
}
PASSAGES = (
    "ingest.passages='p-{split}.jsonl'",
    "ingest.corpus=''",
    "ingest.queries=''",
    "ingest.qrels=''",
    "ingest.dev_split=''",
)


@dataclass(frozen=True)
class Bad:
    """An input and the command that is given it, in a folder with `mine.yaml` and the sound files below `in/`."""

    what: str
    arguments: tuple[str, ...]
    files: dict[str, bytes | None] = field(default_factory=dict)
    """Written besides; None: that one is taken away."""
    environment: dict[str, str | None] = field(default_factory=dict)
    """If there is any, the command runs in a process of its own."""

    @property
    def reads_files(self) -> bool:
        """Whether it is about the rows of input files, which `check` lists and `run` stops at."""
        return self.arguments[0] == "check"


def corpus(what: str, name: str, content: str | bytes) -> Bad:
    return of_file(f"corpus, {what}", name, content, f"ingest.corpus={name}")


def of_file(what: str, name: str, content: str | bytes | None, *settings: str) -> Bad:
    content = content.encode() if isinstance(content, str) else content
    return Bad(what, ("check", "mine.yaml", *sets(*settings)), {f"in/{name}": content})


def trec(what: str, name: str, content: str) -> Bad:
    others = {path: sound for path, sound in TREC.items() if path != f"in/{name}"}
    return Bad(what, ("check", "mine.yaml", *sets("ingest.layout=miracl")), {f"in/{name}": content.encode(), **others})


def sets(*settings: str) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("--set", setting))


def setting(what: str, *settings: str) -> Bad:
    return Bad(f"settings, {what}", ("plan", "mine.yaml", *sets(*settings)))


def config(what: str, content: str | bytes) -> Bad:
    return Bad(
        f"settings, {what}",
        ("plan", "bad.yaml"),
        {"bad.yaml": content.encode() if isinstance(content, str) else content},
    )


def command(what: str, *arguments: str) -> Bad:
    return Bad(f"command, {what}", arguments)


def environment(what: str, *arguments: str, **variables: str | None) -> Bad:
    return Bad(f"environment, {what}", arguments or ("plan", "mine.yaml"), environment=variables)


def parquet(texts: Any, ids: Any = ("d1", "d2", "d3"), name: str = "text") -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"doc_id": ids, name: texts}), sink, compression="none")
    return sink.getvalue()


def _texts(*values: bytes, large: bool = False) -> pa.Array:
    return pa.array(values, pa.large_binary() if large else pa.binary()).view(
        pa.large_string() if large else pa.string()
    )


def _lying(content: bytes) -> bytes:
    """Change the first byte of the footer's length: it then begins elsewhere."""
    return content[:-8] + bytes([content[-8] ^ 0x10]) + content[-7:]


def run(what: str, *lines: str) -> Bad:
    """A run file whose lines follow a sound one; `run` stops at the same line that `check` names."""
    systems = "evaluate.systems=[{name: other, run: 'in/{language}.trec'}]"
    return of_file(f"run, {what}", "en.trec", "\n".join(["q3 Q0 d1 1 2.5 other", *lines]) + "\n", systems)


BROKEN = (b"one", b"tw\xf6", b"three")
PASSAGE = '{"query_id": "q1", "query": "a", "positive_passages": "x"}\n'
SOUND_PARQUET = parquet(["one", "two", "three"])
PACKED = gzip.compress(GOOD["docs.jsonl"].encode() * 50, mtime=0)
CORPORA = [
    corpus("JSONL: a line that is cut off", "docs.jsonl", GOOD["docs.jsonl"][:-9] + "\n"),
    corpus("JSONL: cut off in its last line", "docs.jsonl", GOOD["docs.jsonl"][:-9]),
    corpus("JSONL: a column is missing", "docs.jsonl", GOOD["docs.jsonl"].replace('"text"', '"body"')),
    corpus("JSONL: a line that is a list", "docs.jsonl", GOOD["docs.jsonl"] + '["d4"]\n'),
    corpus("JSONL: Latin-1", "docs.jsonl", GOOD["docs.jsonl"].encode() + b'{"doc_id": "d4", "text": "k\xf6"}\n'),
    corpus("JSONL: UTF-16", "docs.jsonl", GOOD["docs.jsonl"].encode("utf-16")),
    corpus("JSONL: half a surrogate", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d4", "text": "\\ud800"}\n'),
    corpus("JSONL: nested 5,000 deep", "docs.jsonl", GOOD["docs.jsonl"] + '{"a":' * 5000 + "\n"),
    corpus("JSONL: a key twice", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d4", "text": "a", "text": "b"}\n'),
    corpus("JSONL: no id", "docs.jsonl", GOOD["docs.jsonl"] + '{"text": "a"}\n'),
    corpus("JSONL: an id that is null", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": null, "text": "a"}\n'),
    corpus("JSONL: an id that is a fraction", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": 1.5, "text": "a"}\n'),
    corpus("JSONL: an id with a line break", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d\\n4", "text": "a"}\n'),
    corpus(
        "JSONL: an id with a terminal's escape",
        "docs.jsonl",
        GOOD["docs.jsonl"] + '{"doc_id": "\\u001b[2J", "text": "a"}\n',
    ),
    corpus("JSONL: a text that is a number", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d4", "text": 4}\n'),
    corpus("JSONL: a text of spaces", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d4", "text": " "}\n'),
    corpus("JSONL: an id twice, the same text", "docs.jsonl", GOOD["docs.jsonl"] + GOOD["docs.jsonl"]),
    corpus("JSONL: an id twice, another text", "docs.jsonl", GOOD["docs.jsonl"] + '{"doc_id": "d1", "text": "a"}\n'),
    of_file("corpus, empty", "docs.jsonl", ""),
    corpus("gzip: cut off", "docs.jsonl.gz", PACKED[:-20]),
    corpus("gzip: a byte changed", "docs.jsonl.gz", PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:]),
    corpus("gzip by name alone", "docs.jsonl.gz", GOOD["docs.jsonl"]),
    corpus("zstd", "docs.jsonl.zst", b"\x28\xb5\x2f\xfd\x04\x00"),
    corpus("zstd named as JSONL", "docs.jsonl", b"\x28\xb5\x2f\xfd\x04\x00\x99\xe9"),
    corpus("CSV", "docs.csv", "doc_id,text\nd1,one\n"),
    corpus("CSV named as TSV", "docs.tsv", "doc_id,text\nd1,one\n"),
    corpus("TSV: a column is missing", "docs.tsv", "doc_id\tbody\nd1\tone\n"),
    corpus("TSV: a column twice", "docs.tsv", "doc_id\ttext\ttext\nd1\tone\ttwo\n"),
    corpus("TSV: a line with a column more", "docs.tsv", "doc_id\ttext\nd1\tone\nd2\ttwo\tthree\n"),
    corpus("TSV: an open quote", "docs.tsv", 'doc_id\ttext\nd1\tone\nd2\t"two\nand more\n'),
    corpus("Parquet: a text that is not UTF-8", "docs.parquet", parquet(_texts(*BROKEN))),
    corpus("Parquet: a large text that is not UTF-8", "docs.parquet", parquet(_texts(*BROKEN, large=True))),
    corpus(
        "Parquet: a dictionary's text that is not UTF-8", "docs.parquet", parquet(_texts(*BROKEN).dictionary_encode())
    ),
    corpus("Parquet: an id that is not UTF-8", "docs.parquet", parquet(["a", "b", "c"], ids=_texts(*BROKEN))),
    corpus("Parquet: an id that is null", "docs.parquet", parquet(["a", "b", "c"], ids=["d1", None, "d3"])),
    corpus(
        "Parquet: an id that is a date in the year 5,881,580",
        "docs.parquet",
        parquet(["a"], ids=pa.array([2**31 - 1], pa.int32()).view(pa.date32())),
    ),
    corpus("Parquet: a text that is bytes", "docs.parquet", parquet([b"one", b"two", b"three"])),
    corpus("Parquet: a text that is nested", "docs.parquet", parquet([{"en": "one"}] * 3)),
    corpus("Parquet: a column is missing", "docs.parquet", parquet(["a", "b", "c"], name="body")),
    corpus("Parquet: cut off", "docs.parquet", SOUND_PARQUET[:-20]),
    corpus("Parquet: a footer that lies about its length", "docs.parquet", _lying(SOUND_PARQUET)),
    corpus("Parquet: a page that is not there", "docs.parquet", SOUND_PARQUET[:4] + SOUND_PARQUET[40:]),
    corpus("JSONL named as Parquet", "docs.parquet", GOOD["docs.jsonl"]),
    of_file("corpus, no file", "docs.jsonl", None),
    Bad("corpus, a folder", ("check", "mine.yaml", *sets("ingest.corpus=sub")), {"in/sub/x.jsonl": b""}),
    Bad("corpus, a URL of an unknown kind", ("check", "mine.yaml", *sets("ingest.path=gopher://host/x"))),
    Bad("corpus, a variable that is not set", ("check", "mine.yaml", *sets("ingest.path=${NOT_SET_HERE}/x"))),
]
ASKED = [
    of_file("queries, TSV: an id twice, another text", "train.tsv", GOOD["train.tsv"] + "q1\tWhy?\n"),
    of_file("queries, TSV: in train and dev", "dev.tsv", GOOD["dev.tsv"] + "q1\tWhere?\n"),
    of_file("queries, TSV: an empty text", "train.tsv", GOOD["train.tsv"] + "q9\t\n"),
    of_file("queries, TSV: the id 'all'", "train.tsv", GOOD["train.tsv"] + "all\tWhere?\n"),
    of_file("queries, TSV: no header", "train.tsv", "q1\tWhere?\nq2\tWho?\n"),
    of_file("qrels, TSV: an unknown query", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q9\td1\t1\n"),
    of_file("qrels, TSV: an unknown document", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q1\td9\t1\n"),
    of_file("qrels, TSV: a relevance that is a word", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q1\td2\tyes\n"),
    of_file("qrels, TSV: a relevance that is a fraction", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q1\td2\t0.5\n"),
    of_file("qrels, TSV: a relevance of 20 digits", "qrels-train.tsv", GOOD["qrels-train.tsv"] + f"q1\td2\t{10**20}\n"),
    of_file("qrels, TSV: a pair twice", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q1\td1\t1\n"),
    of_file("qrels, TSV: a pair twice, otherwise", "qrels-train.tsv", GOOD["qrels-train.tsv"] + "q1\td1\t0\n"),
    of_file("qrels, TSV: none of dev", "qrels-dev.tsv", GOOD["qrels-dev.tsv"].split("\n")[0] + "\n"),
    of_file("qrels, TSV: no file of dev", "qrels-dev.tsv", None),
    trec("topics, TREC: a header line", "train.tsv", "query_id\tquery\nq1\tWhere?\n"),
    trec("topics, TREC: a line of spaces", "train.tsv", "q1\tWhere?\n   \n"),
    trec("topics, TREC: XML", "train.tsv", "<top>\n<num> Number: 1\n<title> a b c\n</top>\n"),
    trec("qrels, TREC: three columns", "qrels-train.tsv", "q1 d1 1\n"),
    trec("qrels, TREC: a run's six columns", "qrels-train.tsv", "q1 Q0 d1 1 0.9 bm25\n"),
    of_file("passages, JSONL: not a list", "p-train.jsonl", PASSAGE, *PASSAGES),
]  # fmt: skip
NEW: dict[str, bytes | None] = {
    "new/docs.jsonl": b"{\n",
    **{f"new/queries-{split}.tsv": GOOD[f"{split}.tsv"].encode() for split in ("train", "dev")},
    **{f"new/qrels-{split}.tsv": GOOD[f"qrels-{split}.tsv"].encode() for split in ("train", "dev")},
}
RUNS = [
    run("a line of five columns", "q3 Q0 d2 2 1.5"),
    run("a score that is a word", "q3 Q0 d2 2 best other"),
    run("a score that is none", "q3 Q0 d2 2 nan other"),
    run("a query of train", "q1 Q0 d2 1 1.5 other"),
    run("an unknown document", "q3 Q0 d9 2 1.5 other"),
    run("a document twice", "q3 Q0 d2 2 1.5 other", "q3 Q0 d1 3 0.5 other"),
    of_file("run, no file", "other.trec", "", "evaluate.systems=[{name: other, run: 'in/{language}.trec'}]"),
]
SETTINGS = [
    config("an empty file", ""),
    config("a list", "- languages\n"),
    config("bytes", b"\x00\x01\xff"),
    config("UTF-16", "languages: [en]".encode("utf-16")),
    config("a tab", "languages:\n\t- en\n"),
    config("a key twice", "languages: [en]\nlanguages: [sw]\n"),
    config("an alias of itself", "languages: &all [*all]\n"),
    config("nested 5,000 deep", "[" * 5000),
    config("two documents", "languages: [en]\n---\nlanguages: [sw]\n"),
    config("a Python object", "languages: !!python/object/apply:os.system [ls]\n"),
    config("a 13th month", "name: 2026-13-01\n"),
    config("a time that is none", "name: !!timestamp soon\n"),
    config("more than 1 MiB", "#" * (1 << 20) + "\nlanguages: [en]\n"),
    config("an ablation's file", "config: a.yaml\nvariants: {}\n"),
    setting("a number of 5,000 digits", f"train.seed={'9' * 5000}"),
    setting("an unknown name", "train.learing_rate=1e-5"),
    setting("no language", "languages=[]"),
    setting("a language that is none", "languages=[klingon!]"),
    setting("a language twice", "languages=[en, en]"),
    setting("a text for a list", "languages=en"),
    setting("not a number", "train.learning_rate=nan"),
    setting("a word for a number", "train.learning_rate=fast"),
    setting("a fraction for a whole number", "train.seed=1.5"),
    setting("out of bounds", "plan_batches.batch_size=-1"),
    setting("a choice that is none", "denoise.judge=oracle"),
    setting("a measure that is none", "evaluate.metrics=[fun@10]"),
    setting("a system to measure of two kinds", "evaluate.systems=[{name: a, run: a.trec, fuse: [bm25, trained]}]"),
    setting("a system to measure of another's name", "evaluate.systems=[{name: bm25, run: a.trec}]"),
    setting("a system that fuses what is not there", "evaluate.systems=[{name: a, fuse: [bm25, colbert]}]"),
    setting("a run with an encoder's settings", "evaluate.systems=[{name: a, run: a.trec, num_layers: 2}]"),
    setting("a wrong placeholder", "ingest.path=in/{langage}"),
    setting("without a value", "train.seed"),
    setting("a store that is null", "storage.root=null"),
    setting("a store in an unset variable", "storage.root=${NOT_SET_HERE}/x"),
    setting("a model that is not there", "encoder.model=/no/such/model"),
    setting("a bundled model that is none", "encoder.model=bundled:e6"),
]
COMMANDS = [
    command("no such file", "plan", "no.yaml"),
    command("a folder for a file", "plan", "in"),
    command("a stage that is none", "plan", "mine.yaml", "--until", "bake"),
    command("a stage to refresh that is none", "run", "mine.yaml", "--refresh", "bake"),
    command("--json in a folder that is not there", "run", "mine.yaml", "--json", "no/a.json"),
    command("--json that is a folder", "run", "mine.yaml", "--json", "in"),
    command("ls of a kind that is none", "ls", "corpora", "--root", "store"),
    command("show of a kind that is none", "show", "corpora", "--root", "store"),
    command("show of a name that climbs", "show", "../../etc", "--root", "store"),
    command("show of a dataset that is not there", "show", "corpus/en/0123", "--root", "store"),
    command("show with a query that is none", "show", "qrels", "--root", "store", "--sql", "SELEKT 1"),
    command("explain of a query that is not there", "explain", "q99", "--root", "store"),
    command("export of what is not built", "export", "mine.yaml", "--to", "new"),
    command("pack of what is not built", "pack", "mine.yaml", "--to", "new"),
    command("init of a folder that is not there", "init", "nowhere"),
    command("init of a folder without files", "init", "store"),
    Bad("command, init of broken files", ("init", "new"), NEW),
    command("check of the generated sample", "check", "mine.yaml", *sets("ingest.layout=atlas")),
    command("bake-off of a strategy that is none", "bake-off", "mine.yaml", "--strategy", "half"),
    command("bake-off of scores that are not built", "bake-off", "mine.yaml"),
    command("ablation that is not there", "ablation", "no.yaml"),
]
ENVIRONMENTS = [
    environment("names of files in ASCII", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C"),
    environment("no GPU to be seen", "plan", "mine.yaml", *sets("resources.device=cuda"), CUDA_VISIBLE_DEVICES=""),
    environment("a home that is no whole path", HOME="home", XDG_CACHE_HOME=None),
    environment("a home that is a file", HOME="/dev/null", XDG_CACHE_HOME=None),
    environment("a cache that is no whole path", XDG_CACHE_HOME="cache"),
]
BORNE = [
    environment("a locale without UTF-8", "plan", "mïne.yaml", LANG="C", LC_ALL="C"),
    environment("no folder for temporary files", TMPDIR="/no/such/folder"),
    environment("a number of threads that is none", OMP_NUM_THREADS="abc"),
    environment("a terminal that is none", TERM="xyz", COLUMNS="abc"),
]
"""What is wrong and does no harm."""
BAD = [*CORPORA, *ASKED, *RUNS, *SETTINGS, *COMMANDS, *ENVIRONMENTS]
