import json

from console.charts import chart_data


def test_a_value_that_no_line_could_show_is_a_dot() -> None:
    chart = json.loads(chart_data(range(6), {"share": [None, 1, None, 2, 3, None]}))
    assert chart["datasets"][0]["pointRadius"] == [0, 3, 0, 0, 0, 0]
