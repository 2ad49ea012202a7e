"""Delivery: scores from the lake into the database that campaigns read."""
