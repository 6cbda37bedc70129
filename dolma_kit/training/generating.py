"""Text that a model goes on with: the likeliest tokens, or drawn by their probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dolma_kit.training.models import Transformer


def generate(
    model: Transformer,
    ids: Sequence[int],
    *,
    n: int,
    most: int,
    temperature: float = 0.0,
    seed: int = 0,
    eos_token_id: int | None = None,
) -> Iterator[int]:
    """Up to n tokens behind `ids`, until an EOS; of the last `most` tokens each.

    Temperature 0 takes the likeliest (of equal ones the lowest id); else tokens are drawn with the
    seed.
    """
    generator = torch.Generator().manual_seed(seed)
    known = list(ids)
    model.eval()
    with torch.no_grad():
        for _ in range(n):
            given = torch.tensor([known[-most:]], device=next(model.parameters()).device)
            logits = model(given)[0, -1, : model.shape.vocab_size].float().cpu()
            if temperature == 0:
                token = int(logits.argmax())
            else:
                chances = torch.softmax(logits / temperature, -1)
                token = int(torch.multinomial(chances, 1, generator=generator))
            if token == eos_token_id:
                return
            known.append(token)
            yield token
