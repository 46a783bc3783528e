import pytest

from search_spaces.service.display import clock


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (72 * 3600 - 1, "71:59:59"), (1e8, "1,157 days")],
)
def test_a_time_is_told_in_the_units_that_fit_it(seconds: float, words: str) -> None:
    assert clock(seconds) == words
