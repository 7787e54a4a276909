"""What atlas plans before any wording: facts, passages, questions and judgements."""

import random
from collections import Counter

import pytest

from tasks.ingest.atlas.ask import ASKS, MOST_RELEVANT, answers, plan_queries
from tasks.ingest.atlas.facts import KINDS, REGIONS, load_world
from tasks.ingest.atlas.generate import draw_plan
from tasks.ingest.atlas.plan import STATES, Document, Fact, Statement, plan_documents
from tasks.ingest.atlas.sentences import load_sentences
from tasks.languages import LANGUAGES


@pytest.fixture(scope="module")
def plan():
    return draw_plan(0, 400, 120)


def document(key: str, *statements: Statement, side: str = "train") -> Document:
    return Document(key, side, "", (("territory", "KE"),), statements)


def test_world_knows_what_cldr_says_of_kenya_and_afghanistan():
    pairs = load_world().pairs
    assert pairs["currency"]["KE"] == ("KES",)
    assert set(pairs["official"]["KE"]) == {"sw", "en"}
    assert pairs["region"]["KE"] == ("014",)
    assert pairs["zone"]["KE"] == ("Africa/Nairobi",)
    assert pairs["weekend"]["AF"] == ("3", "4")  # Thursday and Friday
    assert pairs["week_start"]["AF"] == ("5",)  # Saturday
    assert pairs["weekend"]["FI"] == ("5", "6")
    assert pairs["script"]["hi"] == ("Deva",)
    assert "US" not in pairs["zone"]  # many zones: no single answer


def test_world_names_every_entity_distinctly_in_every_language():
    world = load_world()
    for relation, (head_kind, tail_kind) in KINDS.items():
        heads = list(world.pairs[relation])
        tails = sorted({tail for some in world.pairs[relation].values() for tail in some})
        for kind, codes in ((head_kind, heads), (tail_kind, tails)):
            for language in LANGUAGES:
                assert len({world.names[language][kind][code] for code in codes}) == len(codes)


def test_regions_hold_each_territory_once():
    members = [territory for some in REGIONS.values() for territory in some.split()]
    assert len(members) == len(set(members))
    assert set(members) >= set(load_world().pairs["currency"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_have_every_kind_in_several_wordings(language):
    sentences, english = load_sentences(language), load_sentences("en")
    assert set(sentences.titles) == set(english.titles)
    assert set(sentences.statements) == set(STATES) | {"minority"}
    assert set(sentences.questions) == set(ASKS)
    assert set(sentences.asides) == set(english.asides)
    assert min(map(len, sentences.questions.values())) >= 3
    assert min(len(sentences.statements[kind]) for kind in STATES) >= 2
    assert min(map(len, sentences.asides.values())) >= 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_name_subject_and_value(language):
    sentences = load_sentences(language)
    for kind, wordings in sentences.statements.items():
        for wording in wordings:
            assert wording.count("{a}") == wording.count("{b}") == 1, wording
            assert ("{n}" in wording) == (kind == "minority")
    for wording in [w for some in (*sentences.questions.values(), *sentences.asides.values()) for w in some]:
        assert wording.count("{a}") == 1, wording
        assert "{b}" not in wording
    everything = [w for table in (sentences.statements, sentences.questions, sentences.asides) for w in table.values()]
    wordings = [wording for some in everything for wording in some]
    assert len(wordings) == len(set(wordings))


def test_statement_states_the_fact_in_either_direction():
    fact = Fact("currency", "KE", "KES")
    assert Statement("currency", "KE", ("KES",)).facts == {fact}
    assert Statement("users", "KES", ("KE", "UG")).facts == {fact, Fact("currency", "UG", "KES")}
    assert Statement("minority", "KE", ("so",)).facts == frozenset()
    assert Statement("money", "KE").facts == frozenset()


def test_document_answers_only_what_it_states():
    money = document("a", Statement("currency", "KE", ("KES",)), Statement("tongues", "KE"))
    assert answers(money, "currency", "KE")
    assert answers(money, "users", "KES")
    assert not answers(money, "official", "KE")
    assert not answers(money, "code", "KES")
    assert money.mentions == {("territory", "KE"), ("currency", "KES")}


def test_every_document_states_only_facts_of_the_world(plan):
    pairs = load_world().pairs
    for fact in {fact for d in plan.documents for fact in d.facts}:
        assert fact.tail in pairs[fact.relation][fact.head]


def test_judgements_are_complete_and_right(plan):
    """Found and missed documents together are all that state an answer; near misses name the subject and do not."""
    for query in plan.queries:
        relation, heads = STATES[query.kind]
        stated = {
            d.key
            for d in plan.documents
            if any(f.relation == relation and query.subject == (f.head if heads else f.tail) for f in d.facts)
        }
        assert set(query.relevant) | set(query.missed) == stated
        assert not set(query.relevant) & set(query.missed)
        assert query.relevant
        assert query.missed
        by_key = {d.key: d for d in plan.documents}
        assert not set(query.near_misses) & stated
        assert all(query.entity in by_key[key].mentions for key in query.near_misses)


def test_train_and_dev_share_no_fact_no_subject_and_no_answer(plan):
    by_key = {d.key: d for d in plan.documents}
    seen: dict[str, dict[str, set]] = {
        s: {"subjects": set(), "answers": set(), "facts": set()} for s in ("train", "dev")
    }
    for query in plan.queries:
        answering = (*query.relevant, *query.missed)
        relation, heads = STATES[query.kind]
        facts = {f for key in answering for f in by_key[key].facts if f.relation == relation}
        seen[query.split]["subjects"].add(query.entity)
        seen[query.split]["answers"].update(answering)
        seen[query.split]["facts"].update(f for f in facts if query.subject == (f.head if heads else f.tail))
    for what in ("subjects", "answers", "facts"):
        assert not seen["train"][what] & seen["dev"][what]


def test_kinds_of_question_take_turns(plan):
    for split in ("train", "dev"):
        counts = Counter(query.kind for query in plan.queries if query.split == split)
        assert set(counts) == set(ASKS)
        assert max(counts.values()) <= 3 * min(counts.values())


def test_dev_judgements_name_more_of_the_answers_than_train(plan):
    shares = {}
    for split in ("train", "dev"):
        some = [query for query in plan.queries if query.split == split]
        found, missed = sum(len(q.relevant) for q in some), sum(len(q.missed) for q in some)
        shares[split] = found / (found + missed)
    assert shares["train"] < 0.45 < 0.55 < shares["dev"]


def test_queries_skip_subjects_with_one_answer_or_too_many():
    many = [document(f"m{i}", Statement("region", "KE", ("014",))) for i in range(MOST_RELEVANT + 1)]
    one = document("o", Statement("currency", "KE", ("KES",)))
    two = [document(f"t{i}", Statement("code", "KES", ("KES",))) for i in range(2)]
    queries = plan_queries(
        [*many, one, *two], counts={"train": 1}, judged={"train": 1.0, "dev": 1.0}, rng=random.Random(0)
    )
    assert [(q.kind, q.subject, len(q.relevant), len(q.missed)) for q in queries] == [("code", "KES", 1, 1)]


def test_queries_skip_subjects_answered_on_both_sides():
    both = [document(side, Statement("speakers", "sw", ("KE",)), side=side) for side in ("train", "dev")]
    with pytest.raises(ValueError, match="atlas: expected at most 0 dev queries from 2 documents, got 1"):
        plan_queries(both, counts={"dev": 1}, judged={"dev": 0.5}, rng=random.Random(0))


def test_documents_tell_of_one_side_only():
    world = load_world()
    sides = {"KE": "train", "TZ": "dev", "UG": "train", "RW": "dev"}
    documents = plan_documents(world, sides, random.Random(0))
    assert len({d.key for d in documents}) == len(documents)
    for planned in documents:
        for kind, code in planned.mentions:
            if kind == "territory":
                assert sides[code] == planned.side


def test_no_two_documents_of_the_whole_world_say_the_same():
    """Neither could be told from the other, whatever the wording: one would be a duplicate."""
    world = load_world()
    for seed in range(3):
        documents = plan_documents(world, dict.fromkeys(world.pairs["currency"], "train"), random.Random(seed))
        assert len(documents) > 2000
        assert len({frozenset(planned.statements) for planned in documents}) == len(documents)
