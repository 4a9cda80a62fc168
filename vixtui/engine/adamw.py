"""The optimizer: AdamW (Loshchilov & Hutter 2019, algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
# Tables by position, though they have the shape of matrices.
_UNDECAYED = ("positions", "class_token", "residual")


class AdamW:
    """Changes the weights of a model by its gradient.

    The kernel is that of ``torch.optim.AdamW``, which loads torch's compiler as well: 150 MB and
    two seconds. The moments are there from the beginning, so that no step can fail half done.

    Args:
        model: on its device.
        weight_decay: of matrices and kernels; not of biases, norms, positions, class token.
    """

    def __init__(self, model: nn.Module, weight_decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        decayed: list[str] = []
        kept: list[str] = []
        for name, parameter in self._parameters.items():
            (decayed if _decays(name, parameter) else kept).append(name)
        self._groups = (decayed, weight_decay), (kept, 0.0)
        self._state = {
            name: {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for name, parameter in self._parameters.items()
        }

    def forget(self) -> None:
        """Begin again, with moments of zero."""
        for _, value in self.tensors():
            value.zero_()

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Change every weight that has a gradient, at the learning rate `lr`."""
        for names, weight_decay in self._groups:
            learning = [
                (self._parameters[name], gradient, self._state[name])
                for name in names
                if (gradient := self._parameters[name].grad) is not None
            ]
            adamw(
                [parameter for parameter, _, _ in learning],
                [gradient for _, gradient, _ in learning],
                [state["exp_avg"] for _, _, state in learning],
                [state["exp_avg_sq"] for _, _, state in learning],
                [],
                [state["step"] for _, _, state in learning],
                fused=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=lr,
                weight_decay=weight_decay,
                eps=_EPSILON,
                maximize=False,
            )

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor of the state, named by kind and parameter."""
        for name, state in self._state.items():
            for kind, value in state.items():
                yield f"{kind}.{name}", value

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what another one's ``tensors`` yielded.

        Raises:
            KeyError: when one is missing.
            RuntimeError: when one does not fit.
        """
        for name, value in self.tensors():
            value.copy_(tensors[name].view_as(value))


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and name.rpartition(".")[2] not in _UNDECAYED
