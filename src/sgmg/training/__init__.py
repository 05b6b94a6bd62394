"""Matching and losses, the Lightning module and data module, and recipes: `sgmg train`."""
