"""What is kept: checkpoints, the best weights, ONNX files."""
