"""Makes the models beside this file: what fastText's library has before and after a training.

    python tests/golden/fasttext_training/make.py

needs the full library in an environment of its own (pip install fasttext-community, 0.11.9 made
these): it and fasttext-predict, which dolma-kit's dependencies bring, write the same files. Other
builds fill only a tenth of the first weights for each thread, and some of them leave the rest as
the memory was ("Encountered NaN").
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import fasttext

HERE = Path(__file__).parent
WORDS = {
    "night": ["moon", "dark", "owl", "der", "Mond", "sleep", "月"],
    "day": ["sun", "light", "lark", "die", "Sonne", "wake", "日"],
    "rain": ["wet", "umbrella", "grün", "drop", "the", "雨"],
}
#: name -> how it is trained; the rate is brought up to date after every text
KINDS: dict[str, dict[str, Any]] = {
    "softmax": {"loss": "softmax", "wordNgrams": 2},
    "ova": {"loss": "ova", "wordNgrams": 3, "minn": 2, "maxn": 3, "minCount": 3},
}
SETTINGS = {"dim": 5, "bucket": 60, "epoch": 8, "thread": 1, "lrUpdateRate": 0, "verbose": 0}
LR = 2.0


def examples() -> list[tuple[str, str]]:
    rng = random.Random(6198)
    every = [word for words in WORDS.values() for word in words]
    found = []
    for _ in range(60):
        label = rng.choice(list(WORDS))
        words = rng.choices(WORDS[label], k=rng.randrange(1, 6)) + rng.choices(every, k=2)
        found.append((label, " ".join(words)))
    return found


def main() -> None:
    (HERE / "examples.json").write_text(json.dumps(examples(), indent=0) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.txt"
        lines = [f"__label__{label} {text}\n" for label, text in examples()]
        data.write_text("".join(lines), encoding="utf-8")
        for name, training in KINDS.items():
            for stage, lr in (("start", 0.0), ("end", LR)):
                model = fasttext.train_supervised(str(data), lr=lr, **SETTINGS, **training)
                model.save_model(str(HERE / f"{name}_{stage}.bin"))


if __name__ == "__main__":
    main()
