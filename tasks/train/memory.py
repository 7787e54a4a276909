"""How a training that runs out of memory says so, and what to do then."""

ADVICE = (
    "Set train.gradient_cache to on, lower train.chunk_tokens or text.max_document_tokens, set "
    "train.gradient_checkpointing, or train on a machine with more memory."
)
_SIGNS = ("DefaultCPUAllocator: can't allocate", "could not create a primitive")  # on a CPU these are RuntimeErrors


def ran_out(error: Exception) -> bool:
    """Say whether an error, or what caused it, is a lack of memory."""
    chain = [error, error.__cause__]
    return any(
        isinstance(one, MemoryError)
        or type(one).__name__ == "OutOfMemoryError"  # torch's, which the caller's process need not have
        or any(sign in str(one) for sign in _SIGNS)
        for one in chain
        if one is not None
    )
