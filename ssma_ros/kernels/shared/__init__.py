"""What the kernels of every processor share: checks, threads, memory, timing."""
