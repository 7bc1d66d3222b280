"""Paper section 3, covering numbers: the paper's theorems, bounds for every ε, exact counts, certified brackets.

``covering`` bounds, ``counting`` counts orbits, ``bracket`` certifies from both sides for tiny networks, and
``literature`` holds the bounds of earlier papers. The book's chapter "Covering numbers" runs every name here.
"""
