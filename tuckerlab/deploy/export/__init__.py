"""From a trained network to a file that runs elsewhere: ONNX, torch.export, or plain torch with its source.

Each is run, and its answers compared with those of the network that was given, before the file takes its name.
"""

from tuckerlab.deploy.export.onnx import export_onnx
from tuckerlab.deploy.export.torch_files import export_plain, export_program

__all__ = ["export_onnx", "export_plain", "export_program"]
