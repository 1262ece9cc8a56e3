"""Words and what they weigh."""

WEIGHTS = {"good": 1, "great": 2, "bad": -1, "schön": 2}


def weigh(text):
    return sum(WEIGHTS.get(word.strip(".,!").lower(), 0) for word in text.split())
