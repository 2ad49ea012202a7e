"""The online service: scores one customer at a time from raw features or from the latest feature row."""
