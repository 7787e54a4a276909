"""Beside the pipeline: the ledgers of several strategies over one score table -> what each of them did."""

from storage import DatasetRef, read, scan
from tasks.bake_off import compare
from tasks.engine.job import Job

_COLUMNS = ("query_id", "doc_id", "rank", "probability", "decision", "reason")


def compare_strategies(
    job: Job, *, ledgers: dict[str, dict[str, DatasetRef]], truth: dict[str, DatasetRef], num_negatives: int
) -> None:
    """Count what each strategy kept, dropped and missed, per language; one ledger at a time is in memory."""
    measured = {
        strategy: {
            language: compare.measure_ledger(
                scan(ledger).select(_COLUMNS).collect(),
                read(truth[language]) if language in truth else None,
                num_negatives=num_negatives,
            )
            for language, ledger in sorted(languages.items())
        }
        for strategy, languages in ledgers.items()
    }
    job.out.write(compare.summarise(measured))
