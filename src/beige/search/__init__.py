"""Legs, fusion, highlights and explanations: a query in, hits out."""
