"""Events: where they come from, what is checked of them, how they land."""
