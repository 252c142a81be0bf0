"""From a trained network to a file that runs elsewhere: ONNX, torch.export, or plain torch with its source.

Each is run, and its answers compared with those of the network that was given, before the file takes its name.
"""
