"""What `make bench` runs: ours and its peers, on the same data, in the same run."""
