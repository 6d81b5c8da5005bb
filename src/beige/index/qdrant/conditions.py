"""Which points are meant, as the server has it."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beige.index.qdrant.points import CHUNK, DOCUMENT

if TYPE_CHECKING:
    from qdrant_client import models


def among(field: str, values: Sequence[Any]) -> "models.FieldCondition":
    """Points whose payload has one of these values in a field."""
    from qdrant_client import models

    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def equal(field: str, value: Any) -> "models.FieldCondition":
    """Points whose payload has this value in a field."""
    from qdrant_client import models

    return models.FieldCondition(key=field, match=models.MatchValue(value=value))


def every(*conditions: Any, but: Sequence[Any] = ()) -> "models.Filter":
    """Points that all conditions hold for, and none of the others."""
    from qdrant_client import models

    return models.Filter(must=list(conditions), must_not=list(but) or None)


def live(*conditions: Any) -> "models.Filter":
    """Chunks that searches see, of documents that have not expired."""
    return every(equal("kind", CHUNK), equal("live", True), *conditions, but=[expired()])


def documents(*conditions: Any) -> "models.Filter":
    """Documents that have not expired."""
    return every(equal("kind", DOCUMENT), *conditions, but=[expired()])


def expired() -> "models.FieldCondition":
    """What is not to be found any more."""
    from qdrant_client import models

    return models.FieldCondition(key="expires", range=models.Range(lte=time.time()))
