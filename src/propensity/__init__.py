"""Propensity: how likely is each customer to act in each category in the coming days."""
