import itertools
from collections import Counter

import numpy as np
import pytest
from support.plan_data import Language, plain_language

from tasks.plan_batches.deal import Dealer, check_room
from tasks.plan_batches.tables import LanguageTable


class Deals:
    """A deal of batches of one size (or of sizes that repeat); hands them out as lists."""

    def __init__(self, table: LanguageTable, *sizes: int, seed: int = 0, topic_balance: bool = True) -> None:
        self._sizes = itertools.cycle(sizes)
        stream = itertools.repeat(np.array(sizes))
        self._dealer = Dealer(table, stream, topic_balance=topic_balance, rng=np.random.default_rng(seed))

    def deal(self, num_batches: int) -> tuple[list[list[int]], list[list[int]]]:
        sizes = list(itertools.islice(self._sizes, num_batches))
        query, positive = self._dealer.deal(num_batches)
        ends = np.cumsum(sizes)[:-1]
        return [[*map(int, batch)] for batch in np.split(query, ends)], [
            [*map(int, batch)] for batch in np.split(positive, ends)
        ]


def dealer(table: LanguageTable, batch_size: int, seed: int = 0) -> Deals:
    check_room(table, batch_size)
    return Deals(table, batch_size, seed=seed)


def shared_positive(num_queries: int, *, num_documents: int, batch_size: int) -> Deals:
    """Deal queries whose one positive each is one of few documents."""
    queries = [f"q{number:02}" for number in range(num_queries)]
    positives = {query: [f"d{number % num_documents}"] for number, query in enumerate(queries)}
    table = Language("en", positives, {}, {}, dict.fromkeys(queries, 0)).table
    return dealer(table, batch_size)


@pytest.mark.parametrize(("num_queries", "batch_size"), [(12, 4), (13, 4), (7, 5), (5, 5), (24, 23)])
def test_deals_every_query_before_any_again(num_queries, batch_size):
    deals = dealer(plain_language("en", num_queries).table, batch_size)
    seen = Counter({query: 0 for query in range(num_queries)})
    for _ in range(30):
        query, _ = deals.deal(1)
        seen.update(query[0])
        assert max(seen.values()) - min(seen.values()) <= 1


def test_deals_no_query_twice_in_a_batch():
    query, _ = dealer(plain_language("en", 7).table, 5).deal(100)
    assert all(len(set(batch)) == 5 for batch in query)


def test_deals_the_same_in_one_go_or_step_by_step():
    table = plain_language("en", 11).table
    whole, parts = dealer(table, 8), dealer(table, 8)
    for one, many in zip(whole.deal(12), zip(*(parts.deal(number) for number in (1, 7, 4)), strict=True), strict=True):
        assert one == [batch for batches in many for batch in batches]


def test_seed_decides_the_deal():
    table = plain_language("en", 50).table
    assert dealer(table, 8, seed=3).deal(20) == dealer(table, 8, seed=3).deal(20)
    assert dealer(table, 8, seed=3).deal(20) != dealer(table, 8, seed=4).deal(20)


@pytest.mark.parametrize("seed", range(10))
def test_spreads_each_topic_over_as_many_batches_as_it_can(seed):
    # 12 batches of 4: topic 0 has 30 queries, topic 1 has 12, topic 2 has 6.
    queries = [f"q{number:02}" for number in range(48)]
    topic = {query: 0 if number < 30 else 1 if number < 42 else 2 for number, query in enumerate(queries)}
    table = Language("en", {query: [f"{query}+"] for query in queries}, {}, {}, topic).table
    query, _ = dealer(table, 4, seed).deal(12)
    per_batch = np.array([np.bincount(table.topic[batch], minlength=3) for batch in query])
    assert sorted(per_batch[:, 0].tolist()) == [2] * 6 + [3] * 6
    assert per_batch[:, 1].tolist() == [1] * 12
    assert sorted(per_batch[:, 2].tolist()) == [0] * 6 + [1] * 6


@pytest.mark.parametrize("seed", range(5))
def test_spreads_topics_over_unfinished_batches_too(seed):
    # 25 queries of 5 topics, batches of 10: 10 + 10 + 5, then 5 + 10 + 10.
    table = plain_language("en", 25, num_topics=5).table
    query, _ = dealer(table, 10, seed).deal(5)
    for batch in query:
        assert np.bincount(table.topic[batch], minlength=5).min() >= 1


def test_queries_that_share_a_positive_go_to_different_batches():
    query, positive = shared_positive(12, num_documents=4, batch_size=4).deal(30)
    assert all(len(set(batch)) == 4 for batch in positive)
    assert Counter(itertools.chain(*query)) == dict.fromkeys(range(12), 10)


def test_draws_positives_evenly():
    table = Language("en", {"q1": ["a", "b", "c"], "q2": ["d"]}, {}, {}, {"q1": 0, "q2": 0}).table
    query, positive = map(np.array, dealer(table, 2).deal(600))
    drawn = Counter(positive[query == 0].tolist())
    assert set(positive[query == 1].tolist()) == {3}
    assert all(abs(drawn[document] - 200) < 60 for document in range(3))


def test_rejects_language_smaller_than_a_batch():
    with pytest.raises(
        ValueError, match=r"at least 4 train queries .* in 'en', .* got 3. Lower plan_batches.batch_size"
    ):
        dealer(plain_language("en", 3).table, 4)


def test_queries_that_share_too_few_positives_are_spread_as_evenly_as_can_be():
    # 12 queries, 3 documents: a batch of 4 cannot have 4 different ones, and each has 3.
    query, positive = shared_positive(12, num_documents=3, batch_size=4).deal(30)
    assert all(len(set(batch)) == 3 for batch in positive)
    assert Counter(itertools.chain(*query)) == dict.fromkeys(range(12), 10)
    apart = shared_positive(12, num_documents=3, batch_size=3).deal(4)[1]
    assert all(len(set(batch)) == 3 for batch in apart)


def test_copies_are_dealt_to_different_batches_before_any_swap(monkeypatch):
    monkeypatch.setattr("tasks.plan_batches.deal.ease_clashes", lambda *_args, **_rest: None)
    # 48 queries with answers of their own ids, of 4 texts that come in no order; 6 batches of 8 have two of each.
    positives = {f"q{n:02}": [f"d{n:02}"] for n in range(48)}
    texts = {f"d{n:02}": f"text {n * n // 7 % 4}" for n in range(48)}
    table = Language("en", positives, {}, {}, dict.fromkeys(positives, 0), documents=texts).table
    for batch in dealer(table, 8).deal(6)[1]:
        counts = Counter(texts[table.document_ids[document]] for document in batch)
        assert max(counts.values()) <= -(-max(Counter(texts.values()).values()) // 6)


def test_queries_that_can_be_arranged_in_no_way_are_dealt_all_the_same():
    # Every query finds a and b relevant, and has to bring one of them.
    positives = {"q1": ["a", "b"], "q2": ["a", "b"], "q3": ["a", "b"]}
    table = Language("en", positives, {}, {}, dict.fromkeys(positives, 0)).table
    deals = dealer(table, 3)
    for batch in deals.deal(4)[0]:
        assert sorted(batch) == [0, 1, 2]


def test_one_document_that_answers_half_of_the_queries_costs_the_others_nothing():
    # h answers 20 of 40 queries, in batches of 8; the others come in pairs that share a positive.
    positives = {f"q{n:02}": ["h"] if n % 2 else [f"d{n // 4}"] for n in range(40)}
    table = Language("en", positives, {}, {}, dict.fromkeys(positives, 0)).table
    hot = table.document_ids.to_list().index("h")
    for batch in dealer(table, 8).deal(20)[1]:
        assert Counter(batch)[hot] == 4
        assert max(count for document, count in Counter(batch).items() if document != hot) == 1


@pytest.mark.parametrize(
    ("answers", "size"),
    [
        (["a", "b", "c", "d"], 4),
        (["a", "a", "a", "d"], 1),  # a batch with one of a's three takes d alone: 4 queries have 3 batches of 1
        (["a", "a", "c", "d"], 2),
        (["a", "A", "c", "d"], 2),  # a copy
    ],
)
def test_separable_size_goes_by_the_document_that_most_queries_share(answers, size):
    positives = {f"q{n}": [answer] for n, answer in enumerate(answers)}
    texts = {"a": "the  text", "A": "The text"}
    table = Language("en", positives, {}, {}, dict.fromkeys(positives, 0), documents=texts).table
    assert table.separable_size() == size


def test_separable_size_does_not_count_queries_that_have_another_positive():
    positives = {"q1": ["a"], "q2": ["a", "b"], "q3": ["a", "c"], "q4": ["d"]}
    table = Language("en", positives, {}, {}, dict.fromkeys(positives, 0)).table
    assert table.separable_size() == 2  # q1 brings a, and only q4 may stand beside it


def test_deals_batches_of_changing_sizes_without_repetition():
    deals = Deals(plain_language("en", 7).table, 3, 1, 5, 2)
    seen = Counter(dict.fromkeys(range(7), 0))
    for batch in deals.deal(80)[0]:
        assert len(set(batch)) == len(batch)
        seen.update(batch)
        assert max(seen.values()) - min(seen.values()) <= 1


def test_changing_sizes_deal_the_same_in_one_go_or_step_by_step():
    table = plain_language("en", 11).table
    whole, parts = Deals(table, 3, 1, 5), Deals(table, 3, 1, 5)
    for one, many in zip(whole.deal(12), zip(*(parts.deal(number) for number in (1, 7, 4)), strict=True), strict=True):
        assert one == [batch for batches in many for batch in batches]


def test_rejects_more_slots_in_a_mixed_batch_than_queries():
    with pytest.raises(ValueError, match="at least 4 train queries .* got 3"):
        Deals(plain_language("en", 3).table, 1, 4).deal(1)


def test_without_balance_topics_come_as_they_fall():
    # 3 topics, batches of 3: dealt, every batch has all three; in random order few have.
    table = plain_language("en", 30).table
    balanced, random = Deals(table, 3), Deals(table, 3, topic_balance=False)
    assert all(len(set(table.topic[batch])) == 3 for batch in balanced.deal(10)[0])
    batches = random.deal(40)[0]
    assert sum(len(set(table.topic[batch])) == 3 for batch in batches) < 30
    assert Counter(itertools.chain(*batches)) == dict.fromkeys(range(30), 4)
