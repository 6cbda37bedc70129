"""The bundled trainer: OLMo-style pretraining on the memmaps, traced and exactly resumable.

    settings      train.yaml
    models        OLMo 1 and OLMo 2, and the sizes that were published
    schedules     learning rate and batch size by steps and tokens
    batches       step -> instances, tokens and labels of a rank; the segments that it has come by
    optimizer     AdamW and what decays
    sharding      processes, FSDP2, activation checkpointing, compilation
    checkpoints   written at once or not at all, read at any world size
    recording     metrics, and the run.yaml as it was
    energy        energy and carbon, read or modelled
    preparing     before the first step
    loop          the training loop, top to bottom

Only `settings` and `schedules` do without PyTorch, which the extra `train` installs. What every
step has read goes to order-trace.bin (`order.step_trace`), in a chain of hashes.
"""
