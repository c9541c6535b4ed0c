"""The keys of config.json that transformers reads for a LLaMA and its relatives.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/config_keys.py

Fetches transformers 4.57.1 for the names that it had (only its sources are read). Writes test/golden/configKeys.json:

- llama: fields of LlamaConfig and PreTrainedConfig, what they take out of other keys, and what the code of a
  LLaMA (attention masks, caches, rotary embedding) looks for by name
- rope: what may stand in rope_parameters
- generation: settings of sampling, which old files have in config.json
- older: arguments of transformers 4's LlamaConfig and PretrainedConfig
- families: by model_type, what the other families of src/model/families.ts read beyond that
- sameWeights: fields that other decoders have beyond LLaMA's although they have the very same weights, so that only
  the key tells that something else is computed
"""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    cache_utils,
    masking_utils,
    modeling_rope_utils,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.models.llama import modeling_llama

from common import GOLDEN

OLD = "4.57.1"
LOOKED_FOR = re.compile(r'(?:getattr|hasattr)\((?:self|(?:self\.)?\w*config),\s*"(\w+)"')


def fields(config):
    return {field.name for field in dataclasses.fields(config)}


def llama_keys():
    taken = re.compile(r'kwargs\.(?:pop|get)\(\s*"(\w+)"')
    conversion = "".join(
        inspect.getsource(part)
        for part in [PreTrainedConfig.__post_init__, modeling_rope_utils.RotaryEmbeddingConfigMixin]
    )
    code = conversion + "".join(
        inspect.getsource(part)
        for part in [
            modeling_llama,
            masking_utils.create_causal_mask,
            cache_utils.get_layer_types_and_kwargs,
        ]
    )
    names = fields(LlamaConfig) | set(taken.findall(conversion)) | set(LOOKED_FOR.findall(code))
    return {name for name in names if not name.startswith("_")} | {"model_type"}


def family_keys(kind):
    code = inspect.getsource(importlib.import_module(f"transformers.models.{kind}.modeling_{kind}"))
    return (fields(CONFIG_MAPPING[kind]) | set(LOOKED_FOR.findall(code))) - llama_keys()


def older_keys():
    with tempfile.TemporaryDirectory() as home:
        package = f"transformers=={OLD}"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package, "-d", home]
        subprocess.run(command, check=True)
        archive = zipfile.ZipFile(next(Path(home).glob("*.whl")))
        names = set()
        for file in ["configuration_utils.py", "models/llama/configuration_llama.py"]:
            tree = ast.parse(archive.read(f"transformers/{file}"))
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    arguments = node.args.args + node.args.kwonlyargs
                    names |= {argument.arg for argument in arguments}
    return names - {"self"}


def weight_names(config):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {re.sub(r"\.\d+\.", ".N.", name) for name, _ in model.named_parameters()}


def same_weights():
    ours = weight_names(LlamaConfig(num_hidden_layers=2))
    found = {}
    for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        config = CONFIG_MAPPING[kind]
        if not dataclasses.is_dataclass(config) or "num_hidden_layers" not in fields(config):
            continue
        try:
            names = weight_names(config(num_hidden_layers=4))
        except Exception as error:  # a few cannot be made of their defaults
            print(f"left out: {kind} ({type(error).__name__})")
            continue
        if names <= ours:
            found[kind] = sorted(fields(config) - fields(LlamaConfig))
    return found


transformers.logging.set_verbosity_error()
golden = {
    "transformers": [transformers.__version__, OLD],
    "llama": sorted(llama_keys()),
    "rope": sorted(modeling_rope_utils.RopeParameters.__annotations__),
    "generation": sorted(GenerationConfig._get_default_generation_params()),
    "older": sorted(older_keys()),
    "families": {kind: sorted(family_keys(kind)) for kind in ["mistral", "qwen2", "qwen3", "smollm3"]},
    "sameWeights": same_weights(),
}
path = GOLDEN / "configKeys.json"
path.write_text(json.dumps(golden, indent=1) + "\n")
print(f"{path.name}: {path.stat().st_size:,} bytes")
