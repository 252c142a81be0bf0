"""From a trained network to a file that runs elsewhere: ONNX, torch.export, or plain torch with its source.

    prepared                      Tucker network → ordinary layers, batch norm folded
    ├── export_onnx               model.onnx for onnxruntime and others
    ├── export_program            model.pt2 for torch.export.load
    └── export_plain              model.py and model.safetensors: torch alone

Each export is run and compared with the network before the file takes its name.
"""

from tuckerlab.deploy.export.onnx import export_onnx
from tuckerlab.deploy.export.parity import Exported
from tuckerlab.deploy.export.prepare import FromPixels, Prepared, prepared
from tuckerlab.deploy.export.python_source import export_plain
from tuckerlab.deploy.export.torch_program import export_program

__all__ = ["Exported", "FromPixels", "Prepared", "export_onnx", "export_plain", "export_program", "prepared"]
