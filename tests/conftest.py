"""What the tests of several rooms share."""

import pytest


@pytest.fixture
def refuses():
    """Check that a call raises an error that says what it should."""

    def check(call, error, message):
        with pytest.raises(error) as caught:
            call()
        assert type(caught.value) is error
        assert message in str(caught.value)

    return check


@pytest.fixture(scope="module")
def one_thread():
    """Give PyTorch one thread: small matrices on several only wait for one another, and for others on these cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
