"""Responses to one prompt as a tree of tokens, so that what they share is encoded once.

A prompt with its image, and the responses to it, make one sequence: the prompt, the first response, and of
each further response what none before it began with. A token attends to its ancestors alone and stands at
the position that it has in its own response, so that every hidden state is the one that the plain
computation gives. The last token of a response predicts nothing and is not encoded.

For a pair whose rejected thought is the beginning of the chosen one (91 of the authors' 104 example pairs)
this halves the tokens; several pairs about one question share more.
"""

# torch leaves parts of what is used here without types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class TokenTree:
    """A prompt and responses to it. Nodes are numbered as they stand in the sequence.

    Args:
        prompt: Tokens of the prompt, image tokens expanded; at least one.

    Attributes:
        tokens: The tokens of all nodes.
        depths: For each node behind the prompt, how many tokens of its response stand before it.
    """

    def __init__(self, prompt: Sequence[int]) -> None:
        if not prompt:
            raise ValueError("a prompt has at least one token")
        self.prompt_length = len(prompt)
        self.tokens: list[int] = list(prompt)
        self.depths: list[int] = []
        self._children: dict[tuple[int, int], int] = {}
        # Where runs of nodes begin, each the parent of the next, and which node the first hangs on.
        self._runs: list[tuple[int, int]] = []

    def add(self, response: Sequence[int]) -> list[int]:
        """Add a response; what the tree has of it already is not added again.

        Returns:
            For each token of the response the node whose hidden state predicts it.
        """
        node = self.prompt_length - 1
        sources = [node]
        for depth, token in enumerate(response[:-1]):
            child = self._children.get((node, token))
            if child is None:
                child = self._append(node, token, depth)
            sources.append(child)
            node = child
        return sources if response else []

    def _append(self, parent: int, token: int, depth: int) -> int:
        node = len(self.tokens)
        if parent != node - 1:
            self._runs.append((node, parent))
        self.tokens.append(token)
        self.depths.append(depth)
        self._children[parent, token] = node
        return node

    @property
    def branches(self) -> bool:
        """Whether some node does not follow the one before it, so that a causal mask would not do."""
        return bool(self._runs)

    def mask(self) -> Tensor:
        """Which node (row) sees which (column): itself and its ancestors. Booleans, nodes by nodes."""
        size = len(self.tokens)
        mask = torch.ones(size, size, dtype=torch.bool).tril_()
        for start, parent in self._runs:
            # All that was set right of the parent's own row belongs to other branches. Later runs write
            # their own rows, so that it does no harm to write to the end.
            mask[start:, :start] = mask[parent, :start]
        return mask
