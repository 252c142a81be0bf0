"""What a network costs where it is deployed: dense and compressed, in torch and onnxruntime, as fp32 and int8.

`benchmark` measures `variants`, `process_memory` what a process of each takes, `report` says it in tables and pictures.
"""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from tuckerlab.deploy.runtime.report import NEEDED, circumstances, comparison, deployment_picture, html_tables
from tuckerlab.errors import DataError
from tuckerlab.files import atomic_path
from tuckerlab.plotting.figure import DPI, Picture

FILE, PICTURE = "deployment.parquet", "deployment.png"


@dataclass(frozen=True, eq=False, repr=False)
class Deployment:
    """A row for each network, runtime, precision and batch; the first network is what the others are compared with.

    - `median_ms`, `p95_ms`, `iqr_ms`, `images_per_second`: of one batch, over `rounds` calls; `faster`: how many times
      as fast as the first network in the same form, the quotient of the medians; both were timed in turn.
    - `layout`: how images and weights lie in memory, whichever torch is faster with; empty for onnxruntime.
    - `file_bytes`: the safetensors of a plain torch network with its source, or the ONNX file; `smaller`: how many
      times smaller than that of the first. `peak_bytes`: by how much the peak memory of a process grows from the
      imports to the first answer; NaN where that cannot be told.
    - `accuracy` on the test split; against torch in fp32, `agreement` of the answers (fractions of 1) and the largest
      `difference` of the outputs, relative to the largest output.
    - where it was measured, as in a record, and the version of onnxruntime; `threads` are those of both runtimes.
    - `run`: the one in the record whose network it is, where a run was measured.
    """

    rows: pd.DataFrame

    @property
    def networks(self) -> list[str]:
        """Their labels, the reference first."""
        return list(dict.fromkeys(self.rows["network"]))

    @property
    def finding(self) -> str:
        """What it comes to, in one sentence: one image in onnxruntime, fp32; empty for one network alone."""
        return comparison(self.rows)

    @property
    def figures(self) -> dict[str, Picture]:
        """`deployment`: time, throughput and file of all networks in each form."""
        return {"deployment": deployment_picture(self.rows)}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Writes `deployment.parquet` and the picture into a folder, each atomically; returns the path of the first."""
        with atomic_path(Path(folder) / PICTURE) as temporary:
            self.figures["deployment"].savefig(temporary, format="png", dpi=DPI)
        with atomic_path(Path(folder) / FILE) as temporary:
            self.rows.to_parquet(temporary, engine="pyarrow", index=False)
        return Path(folder) / FILE

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Deployment":
        """Reads what `save` has written; DataError where there is none or it cannot be read."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise DataError(f"{path}: not there; tuckerlab check measures it")
        try:
            rows = pd.read_parquet(path, engine="pyarrow")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]}); measure again") from None
        if missing := [column for column in NEEDED if column not in rows]:
            raise DataError(f"{path}: lacks {', '.join(missing)}; measure again with --fresh")
        return cls(rows)

    def __repr__(self) -> str:
        return f"Deployment({', '.join(self.networks)})"

    def _repr_html_(self) -> str:
        said = f"<p><b>{escape(self.finding)}</b></p>" if self.finding else ""
        return f"{said}{html_tables(self.rows)}<p>{escape(circumstances(self.rows))}</p>"
