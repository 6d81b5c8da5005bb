"""Legs, fusion, highlights and explanations: a query in, hits out."""

from beige.search.hit import Hit as Hit
from beige.search.searcher import Searcher as Searcher
