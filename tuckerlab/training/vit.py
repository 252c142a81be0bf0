"""The parts of a small vision transformer: patches of an image as tokens, and blocks of attention and perceptron.

After A. Dosovitskiy et al., "An image is worth 16×16 words" (ICLR 2021), with the mean over the tokens in the place of
a class token. Its large weights are matrices (qkv, projection, perceptron): in Tucker format each becomes U C Vᵀ.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbedding(nn.Module):
    """A convolution that reads each patch once, and a learned position added to each token: N × tokens × width."""

    def __init__(self, in_channels: int, width: int, *, image_size: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.position = nn.Parameter(torch.empty(1, (image_size // patch) ** 2, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small random positions."""
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.patches(images).flatten(2).mT
        return tokens + self.position


class Attention(nn.Module):
    """Multi-head self-attention whose weights are ordinary linear layers, which can be factorized."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        q, k, v = self.qkv(tokens).view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, length, width)
        result: Tensor = self.projection(mixed)
        return result


class Block(nn.Module):
    """Attention, then a perceptron of four times the width, each on normalised tokens and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        result: Tensor = tokens + self.perceptron(tokens)
        return result


class MeanOfTokens(nn.Module):
    """N × tokens × width → N × width, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.norm(tokens.mean(1))
        return result
