"""Which slots of a training step a rank takes. A step of the plan is the global batch: the plan knows no ranks."""


def rank_slots(batch_size: int, *, rank: int, num_ranks: int) -> range:
    """Return the slots of a step that a rank takes, in order; all ranks together take each slot once.

    Ranks take consecutive slots, and as many as any other or one less. So the same plan serves any number of ranks,
    and what stands on which does not change the batch: its in-batch negatives are those of all ranks together.

    Args:
        batch_size: slots of the step.
        rank: this one, from 0.
        num_ranks: processes that share the step.

    Raises:
        ValueError: no such rank, or more ranks than slots: one would have nothing to do.
    """
    if not 0 <= rank < num_ranks:
        raise ValueError(f"rank_slots: expected a rank of 0..{num_ranks - 1}, got {rank}. Start {num_ranks} ranks.")
    if num_ranks > batch_size:
        raise ValueError(
            f"rank_slots: expected at least a slot for each of {num_ranks} ranks, got {batch_size}. Start fewer ranks "
            "or raise plan_batches.batch_size."
        )
    return range(rank * batch_size // num_ranks, (rank + 1) * batch_size // num_ranks)


def chunk_slots(slots: range, *, num_chunks: int) -> list[range]:
    """Cut a rank's slots into chunks, or accumulation steps, that go through the encoder one after the other.

    Raises:
        ValueError: more chunks than slots.
    """
    parts = [rank_slots(len(slots), rank=chunk, num_ranks=num_chunks) for chunk in range(num_chunks)]
    return [slots[part.start : part.stop] for part in parts]
