# What an answer is worth: nothing if it is not one JSON object, otherwise the share of the fields that are right.
import json


def score(answer, row):
    gold = row["answer"]
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"score": 0, "vote": None, "logs": {"valid": 0}}
    right = {key: key in found and found[key] == value for key, value in gold.items()}
    share = sum(right.values()) / max(len(gold), len(found))
    return {"score": share, "correct": share == 1, "logs": {"valid": 1, **right}}
