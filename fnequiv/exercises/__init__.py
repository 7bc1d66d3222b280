"""Check yourself: the coding exercises of the book, each with its cases, its oracle and the mistakes it knows.

A chapter's exercises stand in the room of its name, and ``check`` tries an answer::

    from fnequiv import exercises
    exercises.check("log-copies", log_copies)

A wrong answer gets a sentence, not a stack trace. The modules are loaded on first use, and none of them imports PyTorch
before a task needs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"checking": ["Verdict", "check"]})
