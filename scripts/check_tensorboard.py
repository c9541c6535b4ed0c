"""Prints as JSON what TensorBoard reads of a folder: every scalar and every text by its tag, as [step, value].

    python3 scripts/check_tensorboard.py runs/tiny-reft/tensorboard

Needs tensorboard (scripts/golden/requirements.txt).
"""
import json
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
tags = events.Tags()
figures = {
    tag: [[event.step, event.value if math.isfinite(event.value) else None] for event in events.Scalars(tag)]
    for tag in tags["scalars"]
}
texts = {
    tag: [[event.step, event.tensor_proto.string_val[0].decode()] for event in events.Tensors(tag)]
    for tag in tags["tensors"]
}
assert all(events.SummaryMetadata(tag).plugin_data.plugin_name == "text" for tag in texts), texts.keys()
print(json.dumps({"figures": figures, "texts": texts}))
