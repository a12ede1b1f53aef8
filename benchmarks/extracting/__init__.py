"""The parts of `benchmarks/extract.py`: what is read from, and who reads it, each in a process of its own."""
