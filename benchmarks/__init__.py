"""Benchmarks: ``python -m benchmarks`` runs them. Modules whose names begin with an underscore are what they share."""
