"""Files and numbers at the edge of the model: a safetensors file of many dtypes, roundings to 16 bits,
rotary frequencies of full-size models. Run like scripts/golden/model.py.

Writes test/golden/formats/{dtypes,rounding,rope}.safetensors.
"""

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from common import GOLDEN, deterministic, save

FOLDER = GOLDEN / "formats"

ROPES = {
    "codellama": (128, {"rope_type": "default", "rope_theta": 1e6}),
    "linear": (64, {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5}),
    "llama3": (128, {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
}


def save_dtypes():
    """Names out of order, a rank of 0, an empty tensor, names that JSON must escape or keep."""
    tensors = {
        "z.float32": torch.randn(3, 5),
        "a.float32": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "bfloat16": torch.randn(7).bfloat16(),
        "float16": torch.randn(2, 3).half(),
        "float64": torch.randn(2, dtype=torch.float64),
        "int64": torch.tensor([1, -2, 2**53 + 1]),
        "int32": torch.tensor([[1], [-2]], dtype=torch.int32),
        "int16": torch.tensor([-3], dtype=torch.int16),
        "int8": torch.tensor([-4], dtype=torch.int8),
        "uint8": torch.tensor([250, 1], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        'quote " line\n delete \x7f umlaut ü emoji 😀': torch.ones(1),
    }
    save_file(tensors, FOLDER / "dtypes.safetensors", {"format": "pt"})


def save_rounding():
    """Normal and subnormal magnitudes of both formats, exact ties, limits, infinities.

    No NaN: the bits that PyTorch gives one as bfloat16 depend on the processor.
    """
    scales = 2.0 ** torch.arange(-150, 128, dtype=torch.float64)
    random = (torch.randn(5, len(scales), dtype=torch.float64) * scales).flatten().float()
    half = torch.arange(0, 65536, 37, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    next_half = torch.arange(1, 65537, 37, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    float16_ties = (half / 2 + next_half / 2)[(half.isfinite()) & (next_half.isfinite())]
    upper = torch.arange(0, 65536, 37, dtype=torch.int32) << 16
    bfloat16_ties = (upper | 0x8000).view(torch.float32)
    limits = torch.tensor([0.0, -0.0, 65504.0, 65519.996, 65520.0, -65520.0, 2**-24, 2**-25, 3.4e38,
                           float("inf"), float("-inf")])
    values = torch.cat([random, half, float16_ties, bfloat16_ties, limits])
    values = values[~values.isnan()]
    tensors = {"float32": values, "float16": values.half(), "bfloat16": values.bfloat16()}
    save_file(tensors, FOLDER / "rounding.safetensors", {"format": "pt"})


def save_rope():
    frequencies = {}
    for name, (head_dim, rope) in ROPES.items():
        config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, rope_parameters=dict(rope),
                             max_position_embeddings=131072)
        frequencies[name] = LlamaRotaryEmbedding(config).inv_freq
    save(FOLDER / "rope.safetensors", frequencies)


if __name__ == "__main__":
    deterministic(0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_dtypes()
    save_rounding()
    save_rope()
