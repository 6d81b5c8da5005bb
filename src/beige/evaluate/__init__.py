"""Data sets, measures, significance, tuning, reports."""
