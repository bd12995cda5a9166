"""Programs that measure, each beside a peer in one run."""
