"""Does an exported GGUF file hold what llama.cpp's own Python package makes of the checkpoint?

    pip install -r scripts/golden/requirements.txt
    npx reft export --checkpoint CHECKPOINT --gguf --output EXPORT
    python scripts/check_gguf.py CHECKPOINT EXPORT/model.gguf

CHECKPOINT is a checkpoint's or a model's folder with its weights in model.safetensors. Run it in the project's folder. The file
is read by the package `gguf`; every tensor must be the checkpoint's, its queries and keys reordered and narrowed by that package,
bit for bit. Ends with 1 where one is not.
"""

import json
import sys
from pathlib import Path

from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from gguf.quants import quantize
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).parent / "golden"))
from llamacpp import architecture_of, gguf_name, has_permuted_rows, interleave  # noqa: E402

checkpoint, path = Path(sys.argv[1]), sys.argv[2]
config = json.loads((checkpoint / "config.json").read_text())
heads = config["num_attention_heads"]
architecture = architecture_of(config)
kv_heads = config.get("num_key_value_heads") or heads
reader = GGUFReader(path)
tensors = {tensor.name: tensor for tensor in reader.tensors}
tensors.pop("rope_freqs.weight", None)
wrong = []
for name, weight in load_file(checkpoint / "model.safetensors").items():
    values = weight.float().numpy()
    if has_permuted_rows(architecture) and name.endswith(("q_proj.weight", "k_proj.weight")):
        values = interleave(values, heads if "q_proj" in name else kv_heads)
    tensor = tensors.pop(gguf_name(name, architecture))
    expected = quantize(values, Type(tensor.tensor_type))
    if tensor.data.tobytes() != expected.tobytes():
        wrong.append(name)
for key in ["general.architecture", "general.file_type", "tokenizer.ggml.model", "tokenizer.ggml.pre"]:
    print(f"{key}: {reader.fields[key].contents()}")
print(f"{len(reader.tensors)} tensors, {len(wrong)} of them other than the checkpoint's: {', '.join(wrong) or '-'}")
print(f"tensors that are not the checkpoint's: {', '.join(tensors) or '-'}")
sys.exit(1 if wrong or tensors else 0)
