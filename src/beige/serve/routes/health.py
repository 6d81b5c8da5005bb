"""Whether the server lives and works, and what it counts."""

from fastapi import APIRouter, Request, Response

from beige.serve.asking import service_of
from beige.serve.metrics import CONTENT_TYPE

router = APIRouter(tags=["Operation"])

OPEN = ("/health", "/health/live", "/health/ready")
"""Paths that answer without a key: they tell nothing else."""


@router.get("/health/live")
async def live() -> Response:
    """The process answers."""
    return Response(b'{"status":"live"}', media_type="application/json")


@router.get("/health/ready")
@router.get("/health")
async def ready(request: Request) -> Response:
    """Models are loaded, and a real embedding came back finite within the last seconds."""
    await service_of(request).ready()
    return Response(b'{"status":"ready"}', media_type="application/json")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE)
