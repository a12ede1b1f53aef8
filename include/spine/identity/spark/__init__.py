"""The same kernels over joins, for more records than one process should hold."""
