"""Load and ask fastText classifiers. The only module that imports the extra `fasttext`."""

from collections.abc import Sequence
from pathlib import Path

try:
    import fasttext
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "topics: expected the package fasttext-predict for method 'fasttext', got none. Install polyloom[fasttext], or "
        "set plan_batches.topics.method to 'clusters'."
    ) from error


def classify(model: Path, lines: Sequence[str]) -> list[dict[str, float]]:
    """Ask a classifier for the probability of each of its labels.

    Args:
        model: a fastText .bin file.
        lines: texts without line breaks.

    Returns:
        label -> probability, one per line.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not model.is_file():
        raise FileNotFoundError(
            f"topics: expected a fastText model at {model}, got no file. Download dbpedia.bin and yahoo_answers.bin "
            "from fasttext.cc (supervised models) and name them in plan_batches.topics, or use method 'clusters'."
        )
    classifier = fasttext.load_model(str(model))
    answers = (classifier.predict(line, k=-1) for line in lines)
    return [dict(zip(labels, map(float, shares), strict=True)) for labels, shares in answers]
