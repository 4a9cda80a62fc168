"""What this machine has: memory, cores, GPUs, each figure with its source. Never imports torch."""
