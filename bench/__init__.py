"""Measurements: `python -m bench.speed` beside the peers, `python -m bench.quality`; what they find is kept in docs."""
