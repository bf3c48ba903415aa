import pytest

from coverslip.training.schedules import END, SCHEDULES, START


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.99])
def test_factors_are_above_zero_and_at_most_one(name, steps, warmup):
    factors = [SCHEDULES[name](step, steps, warmup) for step in range(steps)]
    assert min(factors) > 0 and max(factors) <= 1


def test_one_cycle_rises_and_then_falls():
    factors = [SCHEDULES["one-cycle"](step, 100, 0.3) for step in range(100)]
    assert factors[0] == pytest.approx(START) and factors[30] == 1.0 and factors[-1] < 0.002
    assert factors[:31] == sorted(factors[:31]) and factors[30:] == sorted(factors[30:], reverse=True)
    assert factors[15] == pytest.approx((1 + START) / 2) and factors[65] == pytest.approx((1 + END) / 2)


def test_one_cycle_without_warmup_starts_at_the_peak():
    assert SCHEDULES["one-cycle"](0, 10, 0.0) == 1.0


def test_cosine_falls_from_the_peak_and_constant_does_not_change():
    factors = [SCHEDULES["cosine"](step, 10, 0.25) for step in range(10)]
    assert factors[0] == 1.0 and factors[5] == pytest.approx(0.5) and factors == sorted(factors, reverse=True)
    assert {SCHEDULES["constant"](step, 10, 0.25) for step in range(10)} == {1.0}
