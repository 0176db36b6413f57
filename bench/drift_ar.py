"""Drift-AR in PyTorch, op for op the model of Sources/DriftAR/Model, under the parameter names of the reference.

Sizes: L labels, G images of each label, R tokens of an image, C values of a token, D width, K buffer tokens, H heads.
Every tensor that differs between the images of a label is [L, G, R, ...]; what depends on the label alone is
[L, R, ...] and is computed once. Encoding every image, as the reference does, is the same code with a label for each
image and G = 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    tokens: int
    token_width: int
    embed: int
    heads: int
    encoder_depth: int
    decoder_depth: int
    draft_depth: int
    buffer: int
    classes: int
    mlp_ratio: float = 4
    epsilon: float = 1e-6
    sigma_max: float = 0.5
    sigma_tau: float = 2
    last_layer_deviation: float = 0.1

    @property
    def hidden(self) -> int:
        return int(self.embed * self.mlp_ratio)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [B, H, N, D / H]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, H, N, D / H] -> [B, N, D]."""
    return x.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.embed, 3 * shape.embed)
        self.proj = nn.Linear(shape.embed, shape.embed)

    def forward(self, x: Tensor, is_causal: bool = False) -> Tensor:
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        return self.proj(join_heads(F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)))

    def with_weights(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The output and the attention [B, H, N, N], which the fused attention does not give."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask
        weights = logits.softmax(-1)
        return self.proj(join_heads(weights @ value)), weights


# Keys and values [L, H, M, D / H].
Keys = tuple[Tensor, Tensor]


class CrossAttention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.wq, self.wk, self.wv, self.proj = (nn.Linear(shape.embed, shape.embed) for _ in range(4))

    def keys(self, context: Tensor) -> Keys:
        """Of a context [L, M, D]."""
        return split_heads(self.wk(context), self.heads), split_heads(self.wv(context), self.heads)

    def forward(self, x: Tensor, keys: Keys) -> Tensor:
        """x [L, G, R, D]: the images of a label are so many more queries to one context."""
        query = split_heads(self.wq(x).flatten(1, 2), self.heads)
        return self.proj(join_heads(F.scaled_dot_product_attention(query, *keys))).view(x.shape)


class MLP(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.embed, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.embed)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class AttentionBlock(nn.Module):
    """The block of the encoder, the draft and phi."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.embed, shape.epsilon)
        self.attn = SelfAttention(shape)
        self.norm2 = nn.LayerNorm(shape.embed, shape.epsilon)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, is_causal: bool = False) -> Tensor:
        x = x + self.attn(self.norm1(x), is_causal)
        return x + self.mlp(self.norm2(x))

    def with_weights(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        attended, weights = self.attn.with_weights(self.norm1(x), mask)
        x = x + attended
        return x + self.mlp(self.norm2(x)), weights


class CrossAttentionBlock(nn.Module):
    """The decoder's block: self-attention and MLP under AdaLN, between them cross-attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, shape.embed) / shape.embed**0.5)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(shape.embed, shape.epsilon) for _ in range(3))
        self.attn1 = SelfAttention(shape)
        self.attn2 = CrossAttention(shape)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, context: Tensor, modulation: Tensor) -> Tensor:
        """x [L, G, R, D], context [L, R, D], modulation [L, 6, D]."""
        return self.modulated(x, self.attn2.keys(context), (self.scale_shift_table + modulation)[:, None])

    def modulated(self, x: Tensor, keys: Keys, modulation: Tensor) -> Tensor:
        """x [L, G, R, D], modulation with the table [..., 6, D], of the dimensions in front of the 6 each may be 1."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation[..., None, :].unbind(-3)
        normed = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.attn1(normed.flatten(0, 1)).view(x.shape)
        x = x + self.attn2(self.norm2(x), keys)
        return x + gate2 * self.mlp(self.norm3(x) * (1 + scale2) + shift2)


class DraftModel(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(shape.draft_depth))
        self.norm = nn.LayerNorm(shape.embed, shape.epsilon)
        self.out_proj = nn.Linear(shape.embed, shape.embed)

    def forward(self, z: Tensor) -> Tensor:
        for block in self.blocks:
            z = block(z, is_causal=True)
        return self.out_proj(self.norm(z))


class EntropyAdaLN(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.global_mlp = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, 6 * width))
        self.spatial_mlp = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, 2 * width))


class FinalLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(shape.embed, shape.epsilon)
        self.linear = nn.Linear(shape.embed, shape.token_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm_final(x))


class DriftDecoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.randn(1, 6, shape.embed) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, shape.tokens, shape.embed) * 0.02)
        self.input_proj = nn.Linear(shape.token_width, shape.embed)
        self.cond_embed = nn.Linear(shape.embed, shape.embed)
        self.entropy_adaln = EntropyAdaLN(shape.embed)
        self.res_blocks = nn.ModuleList(CrossAttentionBlock(shape) for _ in range(shape.decoder_depth))
        self.final_layer = FinalLayer(shape)

    def forward(self, x0: Tensor, z: Tensor, entropy: Tensor) -> Tensor:
        """x0 [L, G, R, C], z [L, R, D], entropy [L, R] -> [L, G, R, C]."""
        x = self.input_proj(x0) + self.pos_embed
        context = self.cond_embed(z)
        mean = entropy.mean(1, keepdim=True)
        modulation = self.level_embed + self.entropy_adaln.global_mlp(mean).unflatten(-1, (6, -1))
        scale, shift = self.entropy_adaln.spatial_mlp(entropy[..., None])[:, None].chunk(2, -1)
        x = x * (1 + scale) + shift
        for block in self.res_blocks:
            x = block(x, context, modulation)
        return self.final_layer(x)


class LabelEncoder(nn.Module):
    """What comes before and after the blocks that turn a label into z."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, tokens, buffer = shape.embed, shape.tokens, shape.buffer
        self.fake_latent = nn.Parameter(torch.randn(1, width) * 0.02)
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.encoder_pos_embed_learned = nn.Parameter(torch.randn(1, buffer + tokens, width) * 0.02)
        self.diffusion_pos_embed_learned = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.class_emb = nn.Embedding(shape.classes, width)
        self.z_proj = nn.Linear(shape.token_width, width)
        self.z_proj_ln = nn.LayerNorm(width, shape.epsilon)
        self.encoder_blocks = nn.ModuleList(AttentionBlock(shape) for _ in range(2 * shape.encoder_depth))
        self.encoder_norm = nn.LayerNorm(width, shape.epsilon)
        nn.init.normal_(self.class_emb.weight, std=0.02)

    def embed(self, labels: Tensor, is_dropped: Tensor | None = None) -> Tensor:
        """[L, D]; a dropped label gets the unconditional embedding."""
        embedding = self.class_emb(labels)
        return embedding if is_dropped is None else torch.where(is_dropped[:, None], self.fake_latent, embedding)

    def enter(self, embedding: Tensor) -> Tensor:
        """[L, D] -> what the first block takes [L, K + R, D]."""
        shape, labels = self.shape, embedding.shape[0]
        copies = embedding[:, None].expand(-1, shape.buffer, -1)
        x = torch.cat([copies, self.mask_token.expand(labels, shape.tokens, -1)], 1)
        return self.z_proj_ln(x + self.encoder_pos_embed_learned)

    def leave(self, x: Tensor) -> Tensor:
        """What the last block gave -> z [L, R, D]."""
        return self.encoder_norm(x[:, self.shape.buffer :]) + self.diffusion_pos_embed_learned


class DriftAR(LabelEncoder):
    """label -> encoder -> z and entropy -> prior -> drift decoder -> image tokens."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        width, tokens, buffer = shape.embed, shape.tokens, shape.buffer
        self.draft_model = DraftModel(shape)
        self.drift_decoder = nn.ModuleDict({"net": DriftDecoder(shape)})
        self.token_to_enc_proj = nn.Linear(shape.token_width, width)
        self.enc_to_token_proj = nn.Linear(width, shape.token_width)
        self.feature_encoder = nn.ModuleDict({"block": AttentionBlock(shape)}).requires_grad_(False)
        self._initialize()

        row, column = torch.arange(buffer + tokens)[:, None], torch.arange(buffer + tokens)
        visible = (column < buffer) | ((row >= buffer) & (column <= row))
        self.register_buffer("mask", torch.zeros(visible.shape).masked_fill_(~visible, -torch.inf), persistent=False)
        # log 1 is 0, and the first position's entropy is defined as 0.
        inverse = 1 / torch.arange(1.0, tokens + 1).log()
        inverse[0] = 0
        self.register_buffer("inverse_log", inverse, persistent=False)

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        decoder = self.drift_decoder["net"]
        for mlp in (decoder.entropy_adaln.global_mlp, decoder.entropy_adaln.spatial_mlp):
            nn.init.normal_(mlp[0].weight, std=0.02)
            nn.init.normal_(mlp[2].weight, std=0.02)
        nn.init.normal_(decoder.final_layer.linear.weight, std=self.shape.last_layer_deviation)
        for draft, encoder in zip(self.draft_model.blocks, self.encoder_blocks):
            draft.load_state_dict(encoder.state_dict())
        self.feature_encoder["block"].load_state_dict(self.encoder_blocks[-2].state_dict())

    def encode(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """[L, D] -> z [L, R, D] and the entropy [L, R] of the penultimate block."""
        x = self.enter(embedding)
        for block in self.encoder_blocks[:-2]:
            x = block(x)
        x, weights = self.encoder_blocks[-2].with_weights(x, self.mask)
        return self.leave(self.encoder_blocks[-1](x)), self.entropy(weights)

    def entropy(self, weights: Tensor) -> Tensor:
        """Attention [L, H, K + R, K + R] -> [L, R] in [0, 1]."""
        buffer = self.shape.buffer
        weights = weights[:, :, buffer:, buffer:]
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-8)
        weights = weights.mean(1).clamp_min(1e-8)
        return (-(weights * weights.log()).sum(-1) * self.inverse_log).clamp(0, 1)

    def generate(self, z: Tensor, entropy: Tensor, noise: Tensor) -> Tensor:
        """z [L, R, D], entropy [L, R], noise [L, G, R, C] -> image tokens [L, G, R, C]."""
        shape = self.shape
        sigma = shape.sigma_max / math.expm1(1 / shape.sigma_tau) * torch.expm1(entropy / shape.sigma_tau)
        x0 = self.enc_to_token_proj(z)[:, None] + sigma[:, None, :, None] * noise
        return self.drift_decoder["net"](x0, z, entropy)

    def draft_loss(self, z: Tensor, shift: int) -> Tensor:
        """The draft's prediction at r against z at r + shift; no gradient enters z."""
        z = z.detach()
        prediction = self.draft_model(z)
        return F.smooth_l1_loss(prediction[:, : prediction.shape[1] - shift], z[:, shift:])

    def features(self, tokens: Tensor) -> Tensor:
        """phi of each token: [B, R, C] -> [B, R, D]."""
        return self.feature_encoder["block"](self.token_to_enc_proj(tokens))
