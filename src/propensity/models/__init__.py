"""Models: the families there are, how they learn, how they score."""

import os

# Threads that wait must sleep, not spin: beside other work on the same cores an epoch took 2.6 s instead of 16 s, with the
# same bytes.
# The OpenMP library reads this when torch loads it, so it stands before any module here that imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
