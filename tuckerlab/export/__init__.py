"""From a trained network to a file that runs elsewhere: ONNX, torch.export, or plain torch with its source.

>>> [function.__name__ for function in (export_onnx, export_program, export_plain)]
['export_onnx', 'export_program', 'export_plain']

    prepared                      Tucker network → ordinary layers, merged where that is faster, batch norm folded
    ├── export_onnx               model.onnx for onnxruntime and others
    ├── export_program            model.pt2 for torch.export.load
    └── export_plain              model.py and model.safetensors: torch alone

Each export is run and compared with the network before the file takes its name.
"""

from tuckerlab.export.onnx import export_onnx
from tuckerlab.export.parity import Exported
from tuckerlab.export.pixels import FromPixels
from tuckerlab.export.plain import export_plain
from tuckerlab.export.prepare import Prepared, prepared
from tuckerlab.export.program import export_program

__all__ = ["Exported", "FromPixels", "Prepared", "export_onnx", "export_plain", "export_program", "prepared"]
