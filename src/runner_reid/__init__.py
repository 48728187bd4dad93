"""Who ran which lap: runner re-identification for fixed-camera video of running practice."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin slow each other down when jobs share cores
