"""What scores: predictors, the pipeline around them, and the bundle they are kept in.  No torch here."""
