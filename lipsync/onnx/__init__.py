"""Optional networks that a user brings as ONNX files: what restores faces, sees what is before them, separates voices.

None ships and none is fetched.  onnxruntime (requirements-onnx.txt) is loaded by whoever asks for one.
"""
