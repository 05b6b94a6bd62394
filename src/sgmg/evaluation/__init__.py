"""Scores: how well predicted masks match annotations, and each benchmark's protocol."""

from sgmg.evaluation.region_and_boundary import boundary_accuracy, region_similarity

__all__ = ["boundary_accuracy", "region_similarity"]
