"""The other side of the benchmark: transformers on PyTorch as its users run it, and the structure of the ReFT authors' code
(lqtrung1998/mwp_ReFT) where that is the measure; adapters as peft has them. float32, or float32 weights under bf16 autocast; padded batches with attention masks, generate
with its cache, fused AdamW.

Reads a job and then, line by line on standard input, what to do; answers each line with one line of JSON, as ours.ts does:
  python scripts/bench/peer.py JOB.json [--compile]
Or loads a model and writes the first greedy token:
  python scripts/bench/peer.py --load MODEL PROMPT.json OUTPUT
"""

import json
import sys
import time
from pathlib import Path

LOADS = sys.argv[1] == "--load"
JOB = {"kind": "load"} if LOADS else json.loads(Path(sys.argv[1]).read_text())

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.utils import clip_grad_norm_
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LogitsProcessor

if JOB.get("trainsAdapter"):
    from peft import PeftModel

if JOB["kind"] in ("reft", "rewards"):  # elsewhere it would only cost memory
    import math

    import sympy
    from pebble import ProcessPool


def right_pad(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def left_pad(rows, value):
    width = max(map(len, rows))
    return torch.tensor([[value] * (width - len(row)) + row for row in rows])


def autocast():
    """Around forward passes alone: what it has cast is kept until it ends, and an update would make that stale."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=JOB.get("precision") == "bf16")


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def load_trained(job):
    """The model, or its adapter beside frozen weights: of bf16 in the file, of float32 in memory, as on the other side where they count."""
    if not job["trainsAdapter"]:
        return load(job["model"])
    folder = Path(job["model"])
    return PeftModel.from_pretrained(load(folder / "bf16"), folder / "lora", is_trainable=True)


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def fused_adamw(parameters, settings):
    return torch.optim.AdamW(
        parameters,
        lr=settings["learningRate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weightDecay"],
        fused=True,
    )


class Training:
    """Updates on padded batches, the model's own loss."""

    def __init__(self, job, model, compiles):
        self.settings = job["settings"]
        self.model = model.train()
        self.forward = torch.compile(model) if compiles else model
        self.parameters = trained(model)
        self.optimizer = fused_adamw(self.parameters, self.settings)

    def update(self, batch):
        with autocast():
            loss = self.forward(**batch).loss
        loss.backward()
        norm = clip_grad_norm_(self.parameters, self.settings["maxGradNorm"])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item(), norm.item()


class Sft:
    def __init__(self, job, compiles):
        self.batches = job["batches"]
        self.training = Training(job, load_trained(job), compiles)

    def step(self, _):
        updates = [self.training.update(self.collate(batch)) for batch in self.batches]
        losses, norms = zip(*updates)
        return {"losses": losses, "gradNorms": norms}

    def collate(self, batch):
        labels = [[-100] * len(row["prompt"]) + row["response"] for row in batch]
        return {**whole_rows(batch), "labels": right_pad(labels, -100)}


class Rerank(Sft):
    def __init__(self, job, compiles):
        self.batches = job["batches"]
        folder = Path(job["model"]) / "classifier"
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
        self.training = Training(job, model, compiles)

    def collate(self, batch):
        labels = torch.tensor([int(i % 2 == 0) for i in range(len(batch))])
        return {**whole_rows(batch), "labels": labels}


def whole_rows(batch):
    rows = [row["prompt"] + row["response"] for row in batch]
    return {
        "input_ids": right_pad(rows, 0),
        "attention_mask": right_pad([[1] * len(row) for row in rows], 0),
    }


class EndAt(LogitsProcessor):
    """Samples EOS as the given token of each row and nowhere else."""

    def __init__(self, lengths, prompt_width, eos):
        self.lengths, self.prompt_width, self.eos = torch.tensor(lengths), prompt_width, eos

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        scores[:, self.eos] = float("-inf")
        ends = self.lengths == input_ids.shape[1] - self.prompt_width + 1
        scores[ends] = float("-inf")
        scores[ends, self.eos] = 0
        return scores


def generate(model, rows, ends_at_eos, samples):
    """Responses padded to the longest, after their left-padded prompts: [rows, prompt width + response width]."""
    prompts = [row["prompt"] for row in rows]
    lengths = [len(row["response"]) for row in rows]
    input_ids = left_pad(prompts, 0)
    eos = model.config.vocab_size - 1
    with torch.no_grad(), autocast():
        return input_ids.shape[1], model.generate(
            input_ids=input_ids,
            attention_mask=left_pad([[1] * len(prompt) for prompt in prompts], 0),
            max_new_tokens=max(lengths),
            pad_token_id=0,
            eos_token_id=eos if ends_at_eos else None,
            logits_processor=[EndAt(lengths, input_ids.shape[1], eos)] if ends_at_eos else [],
            **({"do_sample": True, "top_k": 0, "top_p": 1.0} if samples else {"do_sample": False}),
        )


class Rollout:
    def __init__(self, job, compiles):
        self.batches, self.ends_at_eos = job["batches"], job["endsAtEos"]
        self.model = load(job["model"]).eval()
        self.model.generation_config.eos_token_id = None

    def step(self, _):
        responses = []
        for batch in self.batches:
            width, tokens = generate(self.model, batch, self.ends_at_eos, samples=True)
            lengths = [len(row["response"]) for row in batch]
            responses += [row[:n] for row, n in zip(tokens[:, width:].tolist(), lengths)]
        return {"responses": responses}

    def greedy(self, command):
        rows = self.batches[0][: command["prompts"]]
        longest = max(len(row["response"]) for batch in self.batches for row in batch)
        rows = [{"prompt": row["prompt"], "response": [0] * longest} for row in rows]
        width, tokens = generate(self.model, rows, ends_at_eos=False, samples=False)
        return {"responses": tokens[:, width:].tolist()}

    def score(self, command):
        """Row by row, without padding or cache: an independent way to the same numbers."""
        rows = [row for batch in self.batches for row in batch]
        logprobs, gap = [], 0.0
        with torch.no_grad(), autocast():
            for row, response in zip(rows, command["responses"]):
                logits = self.model(torch.tensor([row["prompt"] + response])).logits[0].float()
                predicted = logits[len(row["prompt"]) - 1 : -1].log_softmax(dim=-1)
                chosen = predicted.gather(1, torch.tensor(response)[:, None])[:, 0]
                logprobs.append(chosen.tolist())
                gap = max(gap, (predicted.max(dim=1).values - chosen).max().item())
        return {"logprobs": logprobs, "gap": gap}


def token_logprobs(logits, tokens):
    """[rows, width - 1] of the tokens that follow each place."""
    predicted = logits[:, :-1].log_softmax(dim=-1)
    return predicted.gather(2, tokens[:, 1:, None])[:, :, 0]


def masked_whiten(x, mask):
    mean = (x * mask).sum() / mask.sum()
    variance = ((x - mean) ** 2 * mask).sum() / (mask.sum() - 1)
    return (x - mean) * torch.rsqrt(variance + 1e-8)


class Reft:
    """One step of the authors' loop: generate, run the programs, forward passes over padded [rows, width] for log-probabilities,
    values and the reference, advantages row by row on the CPU, then minibatches. Columns belong to states: column t predicts
    token t + 1. Masks are carried along instead of being guessed from the id of padding."""

    def __init__(self, job, compiles):
        self.rows, self.settings, self.program = job["batches"][0], job["settings"], job["program"]
        self.model = load_trained(job)
        self.model.generation_config.eos_token_id = None
        if job["trainsAdapter"]:  # as TRL has it: a frozen copy of the adapter beside the same weights
            self.model.load_adapter(Path(job["model"]) / "lora", adapter_name="reference")
            self.reference = self.with_reference_adapter
        else:
            self.reference = load(job["model"]).eval()
        head = load_file(Path(job["model"]) / "value_head.safetensors")
        self.value_head = torch.nn.Linear(head["value_head.weight"].shape[1], 1)
        self.value_head.load_state_dict({k.split(".")[1]: v for k, v in head.items()})
        self.parameters = [*trained(self.model), *self.value_head.parameters()]
        self.optimizer = fused_adamw(self.parameters, self.settings)

    def forward(self, tokens, mask):
        with autocast():
            output = self.model(tokens, attention_mask=mask, output_hidden_states=True)
            values = self.value_head(output.hidden_states[-1])[:, :, 0]
        return output.logits.float(), values.float()

    def with_reference_adapter(self, *args, **kwargs):
        self.model.set_adapter("reference", inference_mode=True)
        output = self.model(*args, **kwargs)
        self.model.set_adapter("default")
        return output

    def roll_out(self, responses):
        if responses is None:
            return generate(self.model, self.rows, ends_at_eos=True, samples=True)
        prompts = left_pad([row["prompt"] for row in self.rows], 0)
        return prompts.shape[1], torch.cat([prompts, right_pad(responses, 0)], dim=1)

    def scores(self, tokens, width):
        lengths = [len(row["response"]) for row in self.rows]
        sums = [row[width : width + n].sum().item() for row, n in zip(tokens, lengths)]
        programs = [self.program.replace("SUM", str(total)) for total in sums]
        partial = self.settings["partialReward"]
        worth = {None: 0.0, 0.0: 1.0}
        return [worth.get(result, partial) for result in run_programs(programs, self.settings)]

    def step(self, command):
        started = time.perf_counter()
        settings = self.settings
        self.model.eval()
        width, tokens = self.roll_out(command.get("responses"))
        scores = self.scores(tokens, width)
        lengths = torch.tensor([len(row["response"]) for row in self.rows])
        prompt_lengths = torch.tensor([len(row["prompt"]) for row in self.rows])
        column = torch.arange(tokens.shape[1])[None]
        attention = (column >= width - prompt_lengths[:, None]) & (column < width + lengths[:, None])
        mask = ((column >= width - 1) & (column < width - 1 + lengths[:, None])).float()
        with torch.no_grad():
            logits, values = self.forward(tokens, attention)
            old_logprobs = token_logprobs(logits, tokens)
            with autocast():
                reference = self.reference(tokens, attention_mask=attention).logits.float()
            reference = token_logprobs(reference, tokens)
        kl = ((old_logprobs - reference) * mask[:, :-1]).numpy()
        rewards = np.zeros(mask.shape)
        rewards[:, :-1] = -settings["klCoefficient"] * kl
        for row, (score, length) in enumerate(zip(scores, lengths.tolist())):
            rewards[row, width - 2 + length] += score
        values = (values * mask).numpy()
        advantages = np.zeros_like(rewards)
        gamma, following = settings["gamma"], np.zeros(len(rewards))
        for t in range(rewards.shape[1] - 2, width - 2, -1):
            delta = rewards[:, t] + gamma * values[:, t + 1] - values[:, t]
            following = delta + gamma * settings["gaeLambda"] * following
            advantages[:, t] = following
        returns = torch.tensor(advantages + values, dtype=torch.float32) * mask
        values = torch.tensor(values)
        advantages = masked_whiten(torch.tensor(advantages, dtype=torch.float32) * mask, mask)
        rollout_seconds = time.perf_counter() - started

        self.model.train()
        losses, norms = [], []
        for _ in range(settings["ppoEpochs"]):
            order = torch.randperm(len(tokens))
            for begin in range(0, len(order), settings["miniBatchSize"]):
                i = order[begin : begin + settings["miniBatchSize"]]
                loss = self.loss(
                    tokens[i], attention[i], mask[i], old_logprobs[i], advantages[i], values[i], returns[i]
                )
                loss.backward()
                norms.append(clip_grad_norm_(self.parameters, settings["maxGradNorm"]).item())
                self.optimizer.step()
                self.optimizer.zero_grad()
                losses.append(loss.item())
        in_order = list(zip(range(len(tokens)), lengths.tolist()))
        return {
            "responses": [tokens[row, width : width + n].tolist() for row, n in in_order],
            "logprobs": [old_logprobs[row, width - 1 : width - 1 + n].tolist() for row, n in in_order],
            "values": [values[row, width - 1 : width - 1 + n].tolist() for row, n in in_order],
            "scores": scores,
            "losses": [sum(losses) / len(losses)],
            "gradNorms": [sum(norms) / len(norms)],
            "rolloutSeconds": rollout_seconds,
        }

    def loss(self, tokens, attention, mask, old_logprobs, advantages, old_values, returns):
        clip, value_clip = self.settings["clipRange"], self.settings["valueClipRange"]
        logits, values = self.forward(tokens, attention)
        ratio = torch.exp(token_logprobs(logits, tokens) - old_logprobs)
        gain, action = advantages[:, :-1], mask[:, :-1]
        surrogate = torch.max(-gain * ratio, -gain * ratio.clamp(1 - clip, 1 + clip))
        lengths = mask.sum(dim=1)
        policy_loss = ((surrogate * action).sum(dim=1) / lengths).mean()
        clipped = torch.max(torch.min(values, old_values + value_clip), old_values - value_clip)
        error = torch.max((values - returns) ** 2, (clipped - returns) ** 2)
        value_loss = 0.5 * ((error * mask).sum(dim=1) / lengths).mean()
        return policy_loss + self.settings["valueCoefficient"] * value_loss


def run_program(code):
    """The authors' way: exec in a worker process that shares whatever its parent has loaded."""
    names = {"math": math, "sympy": sympy}
    exec(code, names)
    return eval("solution()", names)


def run_programs(programs, settings):
    """A pool per call, as the authors have it; numbers as floats, None where nothing came out."""
    results = []
    with ProcessPool(max_workers=settings["workers"]) as pool:
        futures = [pool.schedule(run_program, args=[code], timeout=settings["timeoutSeconds"]) for code in programs]
        for future in futures:
            try:
                result = future.result()
                results.append(None if result is None else float(result))
            except Exception:
                results.append(None)
    return results


class Rewards:
    def __init__(self, job, compiles):
        self.job, self.number = job, 0

    def step(self, _):
        answers = []
        for _ in self.job["batches"]:
            numbers = range(self.number, self.number + self.job["programs"])
            self.number += len(numbers)
            programs = [self.job["program"].replace("SUM", str(number)) for number in numbers]
            answers += run_programs(programs, self.job["settings"])
        return {"answers": answers}


def usage():
    """VmHWM, in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return {"peakMegabytes": int(line.split()[1]) * 1024 / 1e6}


def answer(worker, command):
    if command["do"] == "usage":
        return usage()
    if command["do"] != "step":
        return getattr(worker, command["do"])(command)
    started, processor = time.perf_counter(), time.process_time()
    reply = worker.step(command)
    seconds = time.perf_counter() - started
    return {**reply, "seconds": seconds, "processorSeconds": time.process_time() - processor}


def first_token(folder, prompt_path, output):
    model = load(folder).eval()
    prompt = torch.tensor([json.loads(Path(prompt_path).read_text())])
    with torch.no_grad():
        tokens = model.generate(prompt, do_sample=False, max_new_tokens=1, pad_token_id=0)
    Path(output).write_text(str(tokens[0, -1].item()))


def main():
    if LOADS:
        first_token(*sys.argv[2:])
        return
    torch.set_num_threads(JOB["threads"])
    kinds = {"sft": Sft, "rollout": Rollout, "reft": Reft, "rerank": Rerank, "rewards": Rewards}
    worker = kinds[JOB["kind"]](JOB, compiles="--compile" in sys.argv)
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
