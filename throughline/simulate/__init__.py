"""Simulated customers over the real channels: for tests, benchmarks and trials. They know the protocols and nothing of the inside."""
