"""IEC 62056-21: read-out over an optical head or a current loop, its checks, and the P1 telegrams that look like it."""
