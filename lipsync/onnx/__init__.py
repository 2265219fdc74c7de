"""ONNX Runtime: our network by it (--backend onnx), and networks that a user brings, which restore faces, see what is
before them, separate voices.  Of the latter none ships and none is fetched.  onnxruntime (requirements-onnx.txt) is
loaded by whoever asks for one.
"""
