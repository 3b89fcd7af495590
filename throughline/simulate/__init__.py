"""Simulated customers over the real channels, and local servers that speak the vendors' protocols: for tests, benchmarks and trials. They
know the protocols and nothing of the inside."""
