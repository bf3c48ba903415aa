import pytest
from tests.auditing.target_tables import value_table

from coverslip.core.errors import UserError
from coverslip.pipeline.scale import check_scale


@pytest.mark.parametrize(("scale", "values"), [("", [-1, 0]), ("log", [0.1, 200]), ("logit", [0.1, 0.9])])
def test_values_that_exist_on_the_scale_are_accepted(scale, values):
    check_scale(value_table(share=values), scale)


def test_values_without_a_logarithm_are_listed_by_target_and_image():
    table = value_table(length=[1, 2, 3, 4, 5, 6, 7], share=[0.5, 0, -1, 0, 0, -0.2, 0.7])
    with pytest.raises(UserError) as error:
        check_scale(table, "log")
    assert error.value.problem == (
        "--scale log needs values above 0; 5 of 7 values of 'share' are not: "
        "'0001.png' (0), '0002.png' (-1), '0003.png' (0), '0004.png' (0) and 1 more"
    )
    assert error.value.fix == "omit --scale, or correct these values"


def test_values_without_a_logit_that_are_positive_may_use_the_logarithm():
    with pytest.raises(UserError) as error:
        check_scale(value_table(share=[0.5, 12, 80]), "logit")
    assert "2 of 3 values of 'share' are not: '0001.png' (12), '0002.png' (80)" in error.value.problem
    assert "omit --scale, or use --scale log, which needs values above 0" in error.value.fix
    assert "if they are percent, divide them by 100" in error.value.fix
    with pytest.raises(UserError) as error:
        check_scale(value_table(share=[0.5, 1]), "logit")
    assert "1 of 2 values of 'share' is not: '0001.png' (1)" in error.value.problem
    assert "percent" not in error.value.fix
