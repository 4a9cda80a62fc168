"""How many bytes a training step takes. `trace` (torch) measures it on fake tensors, `figures`
reads what was measured. Only `trace` imports torch."""
