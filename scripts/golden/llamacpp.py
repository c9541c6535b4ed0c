"""How llama.cpp lays a model out, as its convert_hf_to_gguf.py does."""

import functools

import numpy as np
from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

MOST_LAYERS = 128


def architecture_of(config):
    """What llama.cpp calls a model_type of config.json."""
    kind = config["model_type"]
    return "llama" if kind == "mistral" else kind


def has_permuted_rows(architecture):
    return architecture in ("llama", "smollm3")


@functools.cache
def names_in(architecture):
    kind = next(kind for kind, name in MODEL_ARCH_NAMES.items() if name == architecture)
    return get_tensor_name_map(kind, MOST_LAYERS)


def gguf_name(name, architecture="llama"):
    return names_in(architecture).get_name(name, try_suffixes=(".weight", ".bias"))


def interleave(weights, heads):
    """What convert_hf_to_gguf.py calls permute: halves of a head become neighbours."""
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def into_halves(weights, heads):
    """Undoes interleave."""
    rows, columns = weights.shape
    pairs = weights.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))
