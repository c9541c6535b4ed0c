"""What the scripts of golden values share: where they write, how, and determinism."""

import json
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


def real_texts(data):
    """Every text of SVAMP and GSM8K, in the order of test/support/realData.ts."""
    for name in ["svamp_python_sdp", "svamp_nl", "svamp_test_set"]:
        for record in json.loads((data / "svamp" / f"{name}.json").read_text("utf8")):
            yield record["question"]
            if "answer_cot" in record:
                yield record["answer_cot"]
    for name in ["train", "test"]:
        for line in (data / "gsm8k" / f"{name}.jsonl").read_text("utf8").split("\n"):
            if line.strip():
                record = json.loads(line)
                yield record["question"]
                yield record["answer"]
