"""The folder of the one module that a vLLM imports, by its name alone: its environment has no RefRad.

python -m vllm.entrypoints.openai.api_server --middleware refrad_guard.KeyGuard  # with this folder in PYTHONPATH
"""
