"""What the numbers of a deployment say, in words.

>>> times(4.02, "faster"), times(0.5, "faster"), times(1.01, "faster")
('answers 4.0× faster', 'answers 2.0× slower', 'answers as fast')
"""

import pandas as pd

from tuckerlab.i18n import text

OPPOSITE = {"faster": "slower", "smaller": "larger"}
ALIKE = 0.05
"""Ratios this near to 1 are not told apart."""


def comparison(rows: pd.DataFrame, kind: str) -> str:
    """The smallest network against the first, one image (or the smallest batch) in onnxruntime, fp32, in one sentence.

    >>> comparison(pd.DataFrame({"network": ["dense"]}), "headline")
    ''

    kind: "finding" with all numbers, or "headline". Empty where there is nothing to compare.
    """
    if rows["network"].nunique() < 2:
        return ""
    chosen = rows[(rows["runtime"] == "onnxruntime") & (rows["precision"] == "fp32")]
    chosen = chosen[chosen["batch"] == chosen["batch"].min()]
    dense, others = chosen.iloc[0], chosen.iloc[1:]
    small = others.loc[others["file_bytes"].idxmin()]
    said = {
        "images": text("unit.images", count=int(small["batch"])),
        "name": str(small["network"]),
        "speed": times(float(small["faster"]), "faster"),
        "file": times(float(small["smaller"]), "smaller"),
        "own": digits(float(small["median_ms"])),
        "dense": digits(float(dense["median_ms"])),
        "accuracy": 100 * float(small["accuracy"]),
        "reference": 100 * float(dense["accuracy"]),
    }
    return text(f"deployment.{kind}", **said)


def times(ratio: float, better: str) -> str:
    """How many times faster or smaller, or the opposite.

    >>> times(16.2, "smaller"), times(0.8, "smaller")
    ('its file is 16× smaller', 'its file is 1.2× larger')
    """
    if abs(ratio - 1) <= ALIKE:
        return text(f"deployment.{better}.alike")
    word, factor = (better, ratio) if ratio > 1 else (OPPOSITE[better], 1 / ratio)
    return text(f"deployment.{word}", times=f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}")


def digits(value: float) -> str:
    """Three digits that count, as people write them.

    >>> digits(0.04567), digits(12.345), digits(1234.5)
    ('0.0457', '12.3', '1,234')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def ratio(value: float) -> str:
    """How many times, with two or three digits that count.

    >>> ratio(0.954), ratio(9.72), ratio(15.9), ratio(123.4)
    ('0.95×', '9.7×', '16×', '123×')
    """
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 1.995 else f"{value:.2f}×"
