"""Legs, fusion, reranking, highlights and explanations: a query in, hits out."""

from beige.search.any_index import AnyIndex as AnyIndex
from beige.search.hit import Hit as Hit
from beige.search.hit import Results as Results
from beige.search.index import Index as Index
from beige.search.index import open_index as open_index
from beige.search.request import Request as Request
from beige.search.searcher import Searcher as Searcher
