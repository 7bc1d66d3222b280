"""Paper section 2, functional equivalence: networks, group elements, and the action of one on the other.

The book's chapter "Functional equivalence" runs every name here.
"""
