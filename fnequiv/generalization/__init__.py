"""Paper section 5.1, the estimation error: what a covering number says about data that nobody has seen yet.

``uniform`` bounds the gap between risk and empirical risk, ``least_squares`` has the fast rates, and ``saving`` says
what each symmetry is worth, in nats and in samples. The book's chapter "Estimation error" runs every name.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["least_squares", "saving", "uniform"])
