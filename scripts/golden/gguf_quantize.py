"""Weights as llama.cpp's own Python package narrows them: what `reft export --gguf` must write, bit for bit.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/gguf_quantize.py

Writes test/golden/gguf/narrowed.safetensors: `values` [rows, 64] in float32, and for each type the bytes of its blocks, one
per number.
"""

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize
from safetensors.numpy import save_file

from common import GOLDEN

rng = np.random.default_rng(3)
rows = [rng.normal(0, scale, 64) for scale in [1e-30, 1e-6, 0.02, 0.02, 1, 1000] for _ in range(20)]
rows.append(np.zeros(64))
rows.append(np.where(np.arange(64) == 40, -127.0, np.arange(64) + 0.5))  # halves: ties, away from zero
rows.append(np.linspace(-60_000, 60_000, 64))
rows.append(2.0 ** rng.integers(-24, 12, 64) * (1 + 2.0 ** -rng.integers(8, 13, 64)))  # ties of the 16-bit types
values = np.array(rows, np.float32)
narrowed = {"values": values, "F16": values.astype(np.float16).view(np.uint8)}
for kind in [Type.BF16, Type.Q8_0]:
    narrowed[kind.name] = quantize(values, kind).view(np.uint8)
path = GOLDEN / "gguf" / "narrowed.safetensors"
as_numbers = {name: data if name == "values" else data.astype(np.int32) for name, data in narrowed.items()}
save_file(as_numbers, path, {"format": "pt"})
print(f"{path.relative_to(GOLDEN)}: {path.stat().st_size:,} bytes")
