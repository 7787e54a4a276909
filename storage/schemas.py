"""The columns of every kind of dataset. Each write is checked against them."""

import pyarrow as pa

from storage.errors import SchemaMismatch

_SYSTEMS = pa.list_(pa.struct([("system", pa.string()), ("rank", pa.int32()), ("score", pa.float32())]))


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


_S, _I32, _F32 = pa.string(), pa.int32(), pa.float32()

# fmt: off
SCHEMAS: dict[str, pa.Schema] = {
    "corpus": _schema(doc_id=_S, title=_S, text=_S),
    "queries": _schema(query_id=_S, text=_S, split=_S, origin=_S, parent=_S),
    "qrels": _schema(query_id=_S, doc_id=_S, relevance=_I32),
    "truth": _schema(query_id=_S, doc_id=_S, reason=_S),
    "quarantine": _schema(source=_S, line=pa.int64(), field=_S, reason=_S, content=_S),
    "encoder": _schema(
        num_layers=_I32, hidden_size=_I32, num_parameters=pa.int64(), vocabulary_size=_I32, digest=_S
    ),
    # The vector's size is the encoder's; `check` accepts any.
    "embeddings": _schema(id=_S, vector=pa.list_(pa.float16(), 1)),
    "candidates": _schema(query_id=_S, doc_id=_S, system=_S, rank=_I32, score=_F32),
    "fused": _schema(query_id=_S, doc_id=_S, rank=_I32, score=_F32, systems=_SYSTEMS),
    "features": _schema(query_id=_S, doc_id=_S, cosine=_F32, shared_wording=_F32, reference_cosine=_F32),
    "folds": _schema(language=_S, query_id=_S, fold=_I32),
    "judge_model": _schema(
        fold=_I32,
        term=_S,
        centre=pa.float64(),
        spread=pa.float64(),
        weight=pa.float64(),
        num_pairs=_I32,
        num_queries=_I32,
    ),
    "raw_scores": _schema(query_id=_S, doc_id=_S, judge=_S, raw=_F32, without_reference=pa.bool_()),
    "verdicts": _schema(
        query_id=_S, doc_id=_S, sample=_I32, reference=_S, accuracy=_I32, completeness=_I32, status=_S, reply=_S,
        prompt_tokens=_I32, completion_tokens=_I32
    ),
    "calibration": _schema(
        language=_S, raw_low=_F32, raw_high=_F32, num_positive=_I32, num_negative=_I32, observed=_F32,
        probability=_F32, uncalibrated=_F32, error=_F32, uncalibrated_error=_F32
    ),
    "scores": _schema(query_id=_S, doc_id=_S, judge=_S, raw=_F32, probability=_F32, grade=_I32),
    "hard_negatives": _schema(
        query_id=_S, doc_id=_S, rank=_I32, fused_score=_F32, systems=_SYSTEMS, judge=_S, raw=_F32, probability=_F32,
        grade=_I32, relevance=_I32, decision=_S, reason=_S, hardness=_I32, origin=_S, generated_id=_S,
        generated_text=_S
    ),
    "adapter": _schema(step=_I32, epoch=_I32, loss=_F32, learning_rate=_F32, num_tokens=_I32),
    "generated": _schema(
        query_id=_S, parent=_S, attempt=_I32, doc_id=_S, summary=_S, text=_S, status=_S, reason=_S, model=_S,
        summary_reply=_S, query_reply=_S, prompt_tokens=_I32, completion_tokens=_I32
    ),
    "new_candidates": _schema(
        query_id=_S, doc_id=_S, rank=_I32, score=_F32, systems=_SYSTEMS, generated_id=_S, generated_text=_S
    ),
    "shortfalls": _schema(
        query_id=_S, num_given=_I32, num_generated=_I32, num_missing=_I32, num_queries=_I32, num_bad=_I32, reason=_S
    ),
    "bake_off": _schema(strategy=_S, language=_S, metric=_S, value=pa.float64()),
    "topics": _schema(language=_S, query_id=_S, topic=_I32, label=_S, confidence=_F32),
    "batch_plan": _schema(
        epoch=_I32, step=_I32, slot=_I32, query_id=_S, positive=_S, negatives=pa.list_(_S), language=_S, topic=_I32,
        weight=_F32, not_negatives=pa.list_(_S)
    ),
    "tokens": _schema(role=_S, language=_S, id=_S, num_tokens=_I32),
    "training_log": _schema(
        step=_I32, epoch=_I32, loss=_F32, learning_rate=_F32, gradient_norm=_F32, language=_S, temperature=_F32,
        validation_ndcg=_F32, examples_per_second=_F32
    ),
    "model": _schema(
        name=_S, base_model=_S, num_layers=_I32, hidden_size=_I32, num_parameters=pa.int64(), num_steps=pa.int64(),
        languages=pa.list_(_S)
    ),
    "copies": _schema(language=_S, num_documents=_I32, num_copies=_I32),
    "run": _schema(system=_S, query_id=_S, doc_id=_S, rank=_I32, score=_F32),
    "metrics": _schema(
        system=_S, language=_S, metric=_S, query_id=_S, value=pa.float64(), num_queries=_I32, new_value=pa.float64(),
        num_new=_I32
    ),
}
# fmt: on


def check(kind: str, table: pa.Table) -> pa.Table:
    """Cast a table to its kind's schema.

    Args:
        kind: a key of `SCHEMAS`.
        table: the rows to write; column names and order must be the schema's, types must cast without loss.

    Returns:
        The table with exactly the schema's types.

    Raises:
        SchemaMismatch: other columns, a type that does not cast, or an unknown kind.
    """
    if kind not in SCHEMAS:
        raise SchemaMismatch(
            f"dataset '{kind}': expected one of {sorted(SCHEMAS)}. Add the kind to storage/schemas.py."
        )
    schema = SCHEMAS[kind]
    if table.column_names != schema.names:
        raise SchemaMismatch(
            f"dataset '{kind}': expected columns {schema.names}, got {table.column_names}. "
            f"Select and cast in the step that writes it, or change SCHEMAS['{kind}']."
        )
    if kind == "embeddings":
        vector = table.schema.field("vector").type
        size = getattr(vector, "list_size", None)
        if size is None:
            raise SchemaMismatch(
                f"dataset 'embeddings': expected vector as fixed_size_list<float16>, got {vector}. "
                "Write one array of equal length per row."
            )
        schema = _schema(id=_S, vector=pa.list_(pa.float16(), size))
    try:
        return table.cast(schema).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaMismatch(
            f"dataset '{kind}': expected {dict(zip(schema.names, map(str, schema.types), strict=True))}, "
            f"got {dict(zip(table.column_names, map(str, table.schema.types), strict=True))} ({error}). "
            "Cast in the step that writes it."
        ) from error
