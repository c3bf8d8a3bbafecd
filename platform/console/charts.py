"""Data of the theme's bundled charts."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

COLOURS = ("var(--color-primary-600)", "#f59e0b", "#6366f1", "#9ca3af")
AXIS: dict[str, Any] = {"ticks": {"color": "#9ca3af"}, "border": {"width": 0}, "grid": {"drawTicks": False}}


def chart_data(labels: Sequence[Any], series: Mapping[str, Sequence[float | None]], lines: Collection[str] = ()) -> str:
    """JSON for `data-value`: one line or one colour of bars for each series; those of `lines` are lines over bars."""
    datasets = [
        {"label": name, "data": list(values), "borderColor": colour, "backgroundColor": colour}
        | {"pointRadius": _radii(values)}
        | ({"type": "line"} if name in lines else {})
        for (name, values), colour in zip(series.items(), COLOURS, strict=False)
    ]
    return json.dumps({"labels": list(labels), "datasets": datasets})


def _radii(values: Sequence[float | None]) -> list[int]:
    """A line shows no value that has none beside it, such as the first day's; it gets a dot."""
    beside = zip([None, *values], values, [*values[1:], None], strict=False)
    return [3 if value is not None and before is None and after is None else 0 for before, value, after in beside]


def chart_options(*, x: str, y: str, legend: bool, y_from_zero: bool = True, stacked: bool = False) -> str:
    """JSON for `data-options`: titled axes, so that a chart can be read without the text around it."""
    return json.dumps(
        {
            "animation": False,
            "responsive": True,
            "maintainAspectRatio": False,
            "maxBarThickness": 14,
            "elements": {"point": {"radius": 0, "hitRadius": 8}, "line": {"borderWidth": 2, "tension": 0.2}},
            "interaction": {"mode": "index", "intersect": False},
            "plugins": {"legend": {"display": legend, "position": "top", "align": "end", "labels": {"boxWidth": 10}}},
            "scales": {
                "x": AXIS
                | {
                    "title": {"display": bool(x), "text": x, "color": "#9ca3af"},
                    "ticks": AXIS["ticks"] | {"maxTicksLimit": 12, "maxRotation": 0},
                    "grid": {"display": False},
                    "stacked": stacked,
                },
                "y": AXIS
                | {
                    "title": {"display": bool(y), "text": y, "color": "#9ca3af"},
                    "beginAtZero": y_from_zero,
                    "ticks": AXIS["ticks"] | {"maxTicksLimit": 6},
                    "stacked": stacked,
                },
            },
        }
    )
