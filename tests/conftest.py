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
