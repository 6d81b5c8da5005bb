"""The routes by the family of clients that speak them."""

from fastapi import APIRouter

from beige.serve.routes import beige, cohere, documents, health, openai, search, tei

ROUTERS: tuple[APIRouter, ...] = (
    openai.router,
    cohere.router,
    tei.router,
    beige.router,
    search.router,
    documents.router,
    health.router,
)
