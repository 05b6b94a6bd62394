"""Datasets to samples: one module a benchmark, plus the synthetic generator."""
