"""Log-probabilities, loss, gradients and five AdamW steps of LoRA adapters by peft, on the models of
test/golden/models. Run scripts/golden/model.py first, then this one like it.

Writes test/golden/adapter/<name>/, the folder that save_pretrained makes, its base named relative to it,
and test/golden/adapter/<name>.safetensors; test/golden/README.md describes them.
"""

import json

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from common import GOLDEN, deterministic, right_pad, save

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "all-matrices": ("grouped-query", {"r": 4, "lora_alpha": 8, "target_modules": ALL}),
    "queries-and-values": ("multi-head", {"r": 3, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}),
}
PROMPT_LENGTHS = [5, 5, 9, 1]  # the first two rows have the same prompt
RESPONSE_LENGTHS = [7, 2, 11, 4]
STEPS = 5
ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}


def draw_rows(vocab_size):
    rows = [
        torch.randint(3, vocab_size, (prompt + response,))
        for prompt, response in zip(PROMPT_LENGTHS, RESPONSE_LENGTHS)
    ]
    rows[1][: PROMPT_LENGTHS[1]] = rows[0][: PROMPT_LENGTHS[0]]
    return rows


def response_logprobs(model, rows):
    """[predictions] of all rows, one after another."""
    tokens = right_pad(rows)
    logprobs = torch.log_softmax(model(input_ids=tokens).logits, dim=-1)
    return torch.cat(
        [
            logprobs[i, prompt - 1 : len(row) - 1].gather(1, row[prompt:, None])[:, 0]
            for i, (row, prompt) in enumerate(zip(rows, PROMPT_LENGTHS))
        ]
    )


def trained(model):
    """By the names of the file."""
    return {
        name.replace(".default.", "."): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def main():
    for seed, (name, (base, settings)) in enumerate(CASES.items()):
        deterministic(seed)
        folder = GOLDEN / "adapter" / name
        backbone = AutoModelForCausalLM.from_pretrained(
            GOLDEN / "models" / base, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        model = get_peft_model(backbone, LoraConfig(task_type="CAUSAL_LM", **settings))
        for parameter in trained(model).values():
            torch.nn.init.normal_(parameter, 0.0, 0.1)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"../../models/{base}"
        config["target_modules"] = sorted(config["target_modules"])  # a set, in no order
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")

        rows = draw_rows(backbone.config.vocab_size)
        golden = {
            "tokens": right_pad(rows),
            "lengths": torch.tensor([len(row) for row in rows]),
            "promptLengths": torch.tensor(PROMPT_LENGTHS),
            "logprobs": response_logprobs(model, rows),
        }
        optimizer = torch.optim.AdamW(trained(model).values(), **ADAM)
        losses, norms = [], []
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = -response_logprobs(model, rows).mean()
            loss.backward()
            if step == 0:
                golden |= {f"grad.{key}": value.grad.clone() for key, value in trained(model).items()}
            norms.append(torch.nn.utils.clip_grad_norm_(trained(model).values(), 1.0))
            optimizer.step()
            losses.append(loss.detach())
        golden |= {"losses": torch.stack(losses), "gradNorms": torch.stack(norms)}
        golden |= {f"final.{key}": value for key, value in trained(model).items()}
        save(GOLDEN / "adapter" / f"{name}.safetensors", golden)


if __name__ == "__main__":
    main()
