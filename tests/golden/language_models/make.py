"""Makes the files of this folder with KenLM and SentencePiece, which are not needed to read them.

    python tests/golden/language_models/make.py BIN

BIN holds KenLM's `lmplz` and `build_binary`; the Python needs the packages `kenlm` (0.3.0) and
`sentencepiece`. `text.txt` and `odd.arpa` were written by hand. What is made:

    order-N.arpa     lmplz -o N --discount_fallback < text.txt, N = 1, 2, 3, 5
    pruned.arpa      the same, order 4, --prune 0 0 1
    probing.bin      build_binary probing order-5.arpa
    trie.bin         build_binary trie order-3.arpa
    scores.json      {model: {sentence: [log10 of each word and of the end of the line, unknown]}}
    pieces.model     SentencePiece's unigram model of text.txt, 40 pieces
    pieces.json      {sentence: its pieces}
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SENTENCES = [
    "", "the cat sat on the mat", "a dog", "a zebra ran", "the the the cat", "x y z the cat",
    "the small dog ran home",
    "mat the on sat cat the", "<unk> cat", "tab\tand  two spaces", "NO Capitals",
]  # fmt: skip
MODELS = ["order-2.arpa", "order-3.arpa", "order-5.arpa", "pruned.arpa", "odd.arpa", "probing.bin"]


def main(folder: str) -> None:
    import kenlm
    import sentencepiece

    def lmplz(name: str, order: int, *flags: str) -> None:
        arguments = [f"{folder}/lmplz", "-o", str(order), "-S", "100M", "--discount_fallback"]
        with open(HERE / "text.txt", "rb") as text, open(HERE / name, "wb") as out:
            subprocess.run([*arguments, *flags], stdin=text, stdout=out, check=True)

    for order in (1, 2, 3, 5):
        lmplz(f"order-{order}.arpa", order)
    lmplz("pruned.arpa", 4, "--prune", "0", "0", "1")
    for kind, source in (("probing", "order-5.arpa"), ("trie", "order-3.arpa")):
        build = [f"{folder}/build_binary", kind, str(HERE / source), str(HERE / f"{kind}.bin")]
        subprocess.run(build, check=True)
    scores = {}
    for name in MODELS:
        model = kenlm.Model(str(HERE / name))
        scores[name] = {
            sentence: [[score, is_unknown] for score, _, is_unknown in model.full_scores(sentence)]
            for sentence in SENTENCES
        }
    (HERE / "scores.json").write_text(json.dumps(scores, indent=0) + "\n", encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(HERE / "text.txt"), model_prefix=str(HERE / "pieces"), vocab_size=40,
        model_type="unigram", normalization_rule_name="identity", minloglevel=2,
    )  # fmt: skip
    (HERE / "pieces.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "pieces.model"))
    pieces = {s: processor.encode_as_pieces(s) for s in [*SENTENCES, "the 貓 sat", "  the  cat "]}
    text = json.dumps(pieces, ensure_ascii=False, indent=0)
    (HERE / "pieces.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
