"""The quickstart, made smaller: its parameters move as the formulas say, the language's weight included."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from support.in_process import build_missing

from flows.configs import load_config
from flows.weave import weave
from storage import folder
from tasks.models.encoder import Encoder
from tasks.models.word_embeddings import narrow_vocabulary, widen_vocabulary
from tasks.train.config import TrainConfig
from tasks.train.data import Inputs, TrainingData, read_data
from tasks.train.loop import train
from tasks.train.plan import PlanStep
from tasks.train.tokens import Ids

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
SMALLER = (
    "languages=[en,sw]",
    "ingest.atlas={documents_per_language: 120, queries_per_language: 24}",
    "encoder.num_layers=2",
    "denoise.presumed_ranks=[4,20]",
    "plan_batches={batch_size: 8, num_negatives: 2, num_epochs: 1, topics: 3}",
)
LANGUAGES = {"en": 0.64, "sw": 1.63}  # their weights


@dataclass
class Built:
    """The encoder that training starts from, the plan's steps, and their texts."""

    start: Path
    steps: list[PlanStep]
    data: TrainingData
    config: TrainConfig


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build everything up to the training, and weigh the languages as MIRACL's largest and smallest are.

    Those of the sample are of one size, so that their own weights are equal.
    """
    root = str(tmp_path_factory.mktemp("quickstart") / "data")
    config = load_config(QUICKSTART, (f"storage.root={root}", *SMALLER))
    promises = []
    for goal in ("plan_batches", "tokens"):
        pipeline = weave(config).until(goal)
        build_missing(pipeline, root)
        promises += pipeline.promises

    def folders(kind: str) -> tuple[Path, ...]:
        return tuple({folder(one.ref(root)): None for one in promises if one.step.produces == kind})

    inputs = Inputs(plan=folders("batch_plan"), tokens=folders("tokens"), encoder=folders("encoder"))
    data = read_data(inputs)
    steps = [
        replace(step, samples=tuple(replace(one, weight=LANGUAGES[one.language] * one.weight) for one in step.samples))
        for step in data.steps
    ]
    return Built(inputs.encoder[0] / "model", steps, replace(data, steps=steps), config.train)


def mean_weight(step: PlanStep) -> float:
    return sum(sample.weight for sample in step.samples) / len(step.samples)


def gradients(
    encoder: Encoder, step: PlanStep, data: TrainingData, temperature: float, new_id_V: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Differentiate a step's loss, weights divided by their mean: a text at a time, a query at a time."""

    def vector(ids: Ids) -> torch.Tensor:
        token_ids_BT = new_id_V[torch.tensor([ids.tolist()])]
        return encoder(token_ids_BT, torch.ones_like(token_ids_BT))[0]

    documents = [key for sample in step.samples for key in sample.documents]
    document_ND = torch.stack([vector(data.documents[key]) for key in documents])
    loss = torch.zeros(())
    for sample in step.samples:
        cosine_N = document_ND @ vector(data.queries[sample.query])
        positive, place = sample.documents[0], documents.index(sample.documents[0])
        rivals = [n for n, key in enumerate(documents) if key != positive and key[1] not in sample.not_negatives]
        loss_of_query = -torch.log_softmax(cosine_N[[place, *rivals]] / temperature, dim=0)[0]
        loss = loss + sample.weight / mean_weight(step) * loss_of_query / len(step.samples)
    encoder.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in encoder.named_parameters()}


def by_hand(built: Built, *, keeps_mean: bool = True) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Divide by the mean weight, clip, multiply by it, and take Adam's step (Kingma and Ba, algorithm 1) with decay.

    Returns:
        The parameters after the last step, and each step's norm before clipping, weights and all.
    """
    encoder, config = Encoder.load(built.start, device="cpu"), built.config
    words_VD = encoder.backbone.get_input_embeddings().weight.detach()
    used_ids = built.data.used_ids() | {encoder.pad_id}
    new_id_V = narrow_vocabulary(encoder.backbone, used_ids)  # rows without a gradient would stay as they are
    first = {name: torch.zeros_like(value) for name, value in encoder.named_parameters()}
    second = {name: torch.zeros_like(value) for name, value in encoder.named_parameters()}
    norms = []
    for number, step in enumerate(built.steps, start=1):
        of_loss = gradients(encoder, step, built.data, config.temperature, new_id_V)
        norm = math.sqrt(sum(float(one.double().square().sum()) for one in of_loss.values()))
        norms.append(norm * mean_weight(step))
        factor = min(1.0, (config.max_gradient_norm or math.inf) / norm) * (mean_weight(step) if keeps_mean else 1.0)
        rate = config.learning_rate_at(number - 1, len(built.steps))
        for name, value in encoder.named_parameters():
            gradient = factor * of_loss[name]
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            moved = first[name] / (1 - 0.9**number) / ((second[name] / (1 - 0.999**number)).sqrt() + 1e-8)
            decay = config.weight_decay if value.ndim == 2 and "embeddings" not in name else 0.0
            with torch.no_grad():
                value.mul_(1 - rate * decay).sub_(rate * moved)
    widen_vocabulary(encoder.backbone, used_ids, words_VD)
    return {name: value.detach() for name, value in encoder.named_parameters()}, norms


def moves(after: dict[str, torch.Tensor], start: Path) -> dict[str, torch.Tensor]:
    """Subtract where they began. The softmax of attention does not see the keys' biases: their gradient is noise."""
    before = dict(Encoder.load(start, device="cpu").named_parameters())
    return {name: value - before[name].detach() for name, value in after.items() if "key.bias" not in name}


def test_parameters_move_as_the_formulas_say(built: Built, tmp_path: Path) -> None:
    """All gradients are longer than the bound, so that a language's weight reaches the parameters by its mean alone."""
    encoder = Encoder.load(built.start, device="cpu")
    log = train(encoder, built.data, built.config, checkpoints=tmp_path, report=lambda _: None, warn=pytest.fail)
    trained = {name: value.detach() for name, value in encoder.named_parameters()}
    plain, norms = by_hand(built)
    assert [row.gradient_norm for row in log] == pytest.approx(norms, rel=1e-3)
    assert min(norm / mean_weight(step) for norm, step in zip(norms, built.steps, strict=True)) > 1.0
    ours, expected = moves(trained, built.start), moves(plain, built.start)
    lost = moves(by_hand(built, keeps_mean=False)[0], built.start)
    for name, move in expected.items():
        assert (ours[name] - move).norm() < 1e-3 * move.norm(), name
        assert (lost[name] - move).norm() > 3e-2 * move.norm(), name
