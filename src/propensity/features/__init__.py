"""Features: token ids, sparse batches, windows, labels.  numpy and pyarrow only: the online path lives on this."""
