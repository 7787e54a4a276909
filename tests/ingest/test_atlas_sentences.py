"""The sentences are data, and count as code: a changed wording makes the generated datasets anew."""

from pathlib import Path

import pytest
import yaml

from storage import fingerprints
from tasks import steps
from tasks.engine.code import body_fingerprint
from tasks.ingest.atlas import sentences
from tasks.ingest.atlas.sentences import load_sentences
from tasks.languages import LANGUAGES

GENERATED = [steps.generate_corpus, steps.generate_queries, steps.generate_qrels, steps.generate_truth]


@pytest.fixture
def codes(monkeypatch):
    """Return a function that adds to what some files hold and fingerprints the bodies of steps anew."""
    read = Path.read_bytes

    def changed(name, *some):
        monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + b"\n" * (self.name == name))
        fingerprints._module_code.cache_clear()
        return [body_fingerprint(step.path) for step in some]

    yield changed
    fingerprints._module_code.cache_clear()


def test_every_language_has_a_file_and_no_other_has():
    files = sorted(path.stem for path in Path(sentences.__file__).parent.glob("*.yaml"))
    assert files == sorted(LANGUAGES)


def test_changed_sentences_change_the_code_of_what_is_generated_alone(codes):
    before = codes("none", *GENERATED, steps.ingest_corpus)
    after = codes("sw.yaml", *GENERATED, steps.ingest_corpus)
    assert [one != two for one, two in zip(before, after, strict=True)] == [True, True, True, True, False]


def test_changed_prompts_change_the_code_of_the_generation(codes):
    (before,) = codes("none", steps.generate_from_positives)
    assert codes("sw.yaml", steps.generate_from_positives) != [before]


def test_sentences_are_texts_in_every_language():
    """YAML reads a bare `no` as a truth value and a bare `1` as a number."""
    for language in LANGUAGES:
        whole = yaml.safe_load((Path(sentences.__file__).parent / f"{language}.yaml").read_text(encoding="utf-8"))
        tables = [whole[name] for name in ("titles", "statements", "questions", "asides")] + [whole.get("names", {})]
        texts = [key for table in tables for key in table]
        texts += [
            text
            for table in tables
            for value in table.values()
            for text in ([value] if isinstance(value, str) else value)
        ]
        assert all(isinstance(text, str) for text in texts)


def test_language_without_sentences_is_an_error():
    with pytest.raises(ValueError, match=r"expected a language out of ar, bn, .*, got 'de'.*atlas/sentences"):
        load_sentences("de")
