"""Making a collection: named vectors for each leg, payload indexes, shards and replicas."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from beige.errors import StoreError
from beige.index.manifest import Leg, Manifest, Storage
from beige.index.qdrant.address import Address
from beige.index.qdrant.alias import aliases, delete, new_generation, point, resolved
from beige.index.qdrant.connection import calling
from beige.index.qdrant.points import INDEXED, MANIFEST, MANIFEST_ID

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

SETTLING = 0.05
"""Seconds after which it is read back who was the last to write: a server has no transactions."""


def create(client: "QdrantClient", address: Address, manifest: Manifest) -> None:
    """Make the collection of an empty index, which the address's name stands for once it is whole.

    A write counts as done when most replicas have it, so that it survives the loss of any node that is not the last.

    Raises:
        StoreError: there is a collection of that name already, or the cluster has too few nodes for the replicas.
    """
    taken = StoreError(f"there is a collection {address} already: add to it, or name another one")
    if is_there(client, address):
        raise taken
    made = replace(_spread(client, address), generation=new_generation(address.like or address.collection))
    replicas = made.replicas or 1
    calling(
        made,
        client.create_collection,
        made.target,
        vectors_config={leg.name: _vectors(leg) for leg in manifest.legs if leg.kind != "sparse"},
        sparse_vectors_config={leg.name: _sparse(leg) for leg in manifest.legs if leg.kind == "sparse"},
        shard_number=made.shards,
        replication_factor=replicas,
        write_consistency_factor=replicas // 2 + 1,
        on_disk_payload=True,
    )
    for field, kind in INDEXED.items():
        index_field(client, made, field, kind)
    describe(client, made, manifest)
    lost = is_there(client, address)
    if not lost:
        point(client, made, {made.collection: made.target})
        time.sleep(SETTLING)
        lost = resolved(client, made) != made
    if lost:  # to another process, which makes an index of this name too
        delete(client, made, made.target)
        raise taken


def _spread(client: "QdrantClient", address: Address) -> Address:
    """The address with the shards and replicas of the generation that serves, where it names none."""
    like = aliases(client, address).get(address.like or "")
    if like is None:
        return address
    had = calling(address, client.get_collection, like).config.params
    return replace(
        address, shards=address.shards or had.shard_number, replicas=address.replicas or had.replication_factor
    )


def is_there(client: "QdrantClient", address: Address) -> bool:
    """Whether there is a collection of this name, or one that it stands for, Beige's or not."""
    return calling(address, client.collection_exists, address.target)


def index_field(client: "QdrantClient", address: Address, field: str, kind: str) -> None:
    """Have the server keep an index of a payload field; the same again does nothing."""
    from qdrant_client import models

    calling(
        address,
        client.create_payload_index,
        address.target,
        field,
        field_schema=models.PayloadSchemaType(kind),
        wait=True,
    )


def describe(client: "QdrantClient", address: Address, manifest: Manifest) -> None:
    """Store the manifest."""
    from qdrant_client import models

    point = models.PointStruct(id=MANIFEST_ID, vector={}, payload={"kind": MANIFEST, "rows": manifest.to_rows()})
    calling(
        address,
        client.upsert,
        address.target,
        [point],
        wait=True,
        ordering=models.WriteOrdering.STRONG,
    )


def keep_as(client: "QdrantClient", address: Address, manifest: Manifest) -> None:
    """Have the server keep the vectors of the dense legs as the manifest says; it does so in the background."""
    from qdrant_client import models

    calling(
        address,
        client.update_collection,
        address.target,
        vectors_config={
            leg.name: models.VectorParamsDiff(quantization_config=quantised(leg.storage) or models.Disabled.DISABLED)
            for leg in manifest.legs
            if leg.kind == "dense"
        },
    )


def manifest_of(client: "QdrantClient", address: Address) -> Manifest:
    """What a collection says of itself.

    Raises:
        StoreError: there is no such collection, or it is not one of Beige's.
    """
    if not is_there(client, address):
        raise StoreError(f"there is no collection {address}: make it with beige index PATH --index {address}")
    found = calling(address, client.retrieve, address.target, [MANIFEST_ID])
    if not found or not found[0].payload or "rows" not in found[0].payload:
        raise StoreError(f"the collection {address} is no index of Beige's: name another one")
    return Manifest.from_rows(found[0].payload["rows"])


def _vectors(leg: Leg) -> "models.VectorParams":
    from qdrant_client import models

    assert leg.dimension is not None
    # float16 is what the embedded store keeps too: the same corpus gives the same scores on both.
    params = models.VectorParams(
        size=leg.dimension, distance=models.Distance.DOT, datatype=models.Datatype.FLOAT16, on_disk=True
    )
    if leg.kind == "dense":
        return params.model_copy(update={"quantization_config": quantised(leg.storage)})
    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    no_graph = models.HnswConfigDiff(m=0)  # it only scores what other legs find
    return params.model_copy(update={"multivector_config": several, "hnsw_config": no_graph})


def quantised(storage: Storage) -> Any:
    """How a server keeps vectors in memory beside those on disk, by which it scores again; None for as they are."""
    from qdrant_client import models

    if storage == "int8":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        return models.ScalarQuantization(scalar=scalar)
    if storage == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def _sparse(leg: Leg) -> "models.SparseVectorParams":
    from qdrant_client import models

    return models.SparseVectorParams(
        index=models.SparseIndexParams(datatype=models.Datatype.FLOAT16),
        modifier=models.Modifier.IDF if leg.idf else None,
    )
