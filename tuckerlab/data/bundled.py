"""The files that come with scikit-learn, without the two seconds that importing it takes.

>>> bundled("data/digits.csv.gz").name
'digits.csv.gz'
"""

from importlib.metadata import distribution
from pathlib import Path


def bundled(file: str) -> Path:
    """The path of a file in scikit-learn's folder of data sets.

    >>> bundled("images/china.jpg").exists()
    True
    """
    return Path(str(distribution("scikit-learn").locate_file(f"sklearn/datasets/{file}")))
