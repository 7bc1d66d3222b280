"""fnequiv: functional equivalence of neural networks, computed."""
