"""The outside classes, as their packages have them, in the configuration of the paper.

ViN, ViP, ViL and FNet are those of `vision-xformer`, by the paper's authors; the ViT with
naive attention is that of `vit-pytorch`, from which the authors made theirs; the rotation of
queries and keys is that of `performer-pytorch`, which the authors use.

Their patch embedding is LayerNorm, Linear, LayerNorm where ours is one Linear.
"""

from __future__ import annotations

from functools import partial

import torch
from performer_pytorch.performer_pytorch import FixedPositionalEmbedding, apply_rotary_pos_emb
from torch import Tensor, nn
from vision_xformer import FNet, ViL, ViN, ViP
from vit_pytorch import ViT

EMBED_DIM, DEPTH, HEADS, HEAD_DIM, HIDDEN, CLASSES = 128, 4, 4, 32, 256, 10
LANDMARKS = PROJECTION_RANK = 64
RANDOM_FEATURES = 110  # what ViP takes by itself, int(32 · ln 32)

# ViP calls torch.qr, which torch no longer has.
torch.qr = lambda matrix, some=True: torch.linalg.qr(matrix, mode="reduced")

_ATTENTION = {"heads": HEADS, "dim_head": HEAD_DIM}
_CLASSES = {
    "vit": partial(ViT, **_ATTENTION),
    "vin": partial(ViN, num_landmarks=LANDMARKS, **_ATTENTION),
    "vip": partial(ViP, **_ATTENTION),
    "vil": partial(ViL, k=PROJECTION_RANK, one_kv_head=True, share_kv=True, **_ATTENTION),
    "fnet": FNet,
}


def build_official(name: str, side: int) -> nn.Module:
    """Return a new official model for RGB pictures of side × side pixels, one token a pixel.

    Args:
        name: ``vit``, ``vin``, ``vip``, ``vil`` or ``fnet``.
        side: pixels.
    """
    return _CLASSES[name](
        image_size=side,
        patch_size=1,
        num_classes=CLASSES,
        dim=EMBED_DIM,
        depth=DEPTH,
        mlp_dim=HIDDEN,
    )


def rotation_table(tokens: int) -> Tensor:
    """Return the table that `rotate_both` takes, (1, n, e)."""
    return FixedPositionalEmbedding(HEAD_DIM, tokens).emb[None]


def rotate_both(q: Tensor, k: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """(b, h, n, e) queries and keys → rotated by position."""
    return apply_rotary_pos_emb(q, k, table)
