"""ONNX to ONNX: canonical graphs, calibration, quantisation plans, lowerings."""
