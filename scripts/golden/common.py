"""What the scripts of golden values share: where they write, how, and determinism."""

from pathlib import Path

import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).resolve().parents[2] / "test" / "golden"


def deterministic(seed):
    """One thread and deterministic kernels, so that a second run writes the same bytes."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def save(path, tensors):
    """Writes float32 and int32 only; bool masks become int32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = {}
    for name, tensor in tensors.items():
        tensor = torch.as_tensor(tensor).detach()
        dtype = torch.float32 if tensor.is_floating_point() else torch.int32
        ready[name] = tensor.to(dtype).contiguous().clone()
    save_file(ready, path, {"format": "pt"})
    print(f"{path.relative_to(GOLDEN)}: {len(ready)} tensors, {path.stat().st_size:,} bytes")


def right_pad(rows, value=0):
    """Lists of unequal lengths as one [rows, longest] tensor."""
    return torch.nn.utils.rnn.pad_sequence(
        [torch.as_tensor(row) for row in rows], batch_first=True, padding_value=value
    )
