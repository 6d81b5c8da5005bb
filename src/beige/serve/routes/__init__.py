"""The routes by the family of clients that speak them."""

from fastapi import APIRouter

from beige.serve.routes import beige, cohere, health, openai, tei

ROUTERS: tuple[APIRouter, ...] = (openai.router, cohere.router, tei.router, beige.router, health.router)
