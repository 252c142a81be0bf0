"""From a trained network to a file and its roll-out: export, int8, timing in runtimes, canary."""
