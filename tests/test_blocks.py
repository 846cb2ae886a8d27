"""The U-Net's variants by value: the ConvNeXt block, linear attention, and what choosing them leaves as it was."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from diffusion_book import recipes
from diffusion_book.errors import BookError
from diffusion_book.nets.blocks import Attention, ConvNeXtBlock, LinearAttention
from diffusion_book.nets.unet import UNet, UNetConfig

BASE = UNetConfig(classes=3, widths=(8, 16), blocks=1, attention=(), heads=2, embedding=16, groups=4)
CONVNEXT = replace(BASE, convnext=True)
LINEAR = replace(BASE, linear_attention=(0, 1))
VARIANTS = {"convnext": CONVNEXT, "linear": LINEAR, "all": replace(CONVNEXT, attention=(1,), linear_attention=(0,))}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stirred(net, seed=0):
    """In float64, with every parameter off its initial value, so that nothing is hidden behind a zero."""
    generator, net = torch.Generator().manual_seed(seed), net.double()
    with torch.no_grad():
        for value in net.parameters():
            value += 0.2 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return net


def close(value, expected, tolerance=1e-12):
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)


# ConvNeXt


@pytest.mark.parametrize("outputs", [8, 12])
def test_convnext_block_by_hand(outputs):
    block = stirred(ConvNeXtBlock(8, outputs, CONVNEXT)).eval()
    x, vector = normal(2, 8, 9, 5), normal(2, 16, seed=1)
    padded = F.pad(x, (3, 3, 3, 3))
    h = block.depthwise.bias[:, None, None] + sum(
        block.depthwise.weight[:, 0, i, j, None, None] * padded[:, :, i : i + 9, j : j + 5]
        for i in range(7)
        for j in range(7)
    )
    h = (h - h.mean(1, keepdim=True)) / (h.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    h = h * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
    modulation = vector @ block.modulation.weight.T + block.modulation.bias
    h = h * (1 + modulation[:, :8, None, None]) + modulation[:, 8:, None, None]
    h = torch.einsum("oc,bchw->bohw", block.widen.weight, h) + block.widen.bias[:, None, None]
    assert h.shape[1] == 4 * outputs
    h = h * (1 + torch.erf(h / math.sqrt(2))) / 2
    h = torch.einsum("oc,bchw->bohw", block.narrow.weight, h) + block.narrow.bias[:, None, None]
    skip = x
    if outputs != 8:
        skip = torch.einsum("oc,bchw->bohw", block.skip.weight[:, :, 0, 0], x) + block.skip.bias[:, None, None]
    close(block(x, vector), skip + h)


def test_a_fresh_convnext_block_is_the_identity():
    x = normal(2, 8, 5, 5).float()
    assert torch.equal(ConvNeXtBlock(8, 8, CONVNEXT)(x, normal(2, 16).float()), x)


def test_a_convnext_block_hears_the_vector():
    block = stirred(ConvNeXtBlock(8, 8, CONVNEXT))
    x = normal(1, 8, 5, 5).expand(2, -1, -1, -1)
    y = block(x, normal(2, 16, seed=1))
    assert (y[0] - y[1]).abs().amax() > 0.1


def test_a_convnext_block_sees_three_pixels_to_each_side_and_keeps_channels_apart_until_the_norm():
    block = stirred(ConvNeXtBlock(8, 8, CONVNEXT))
    x = normal(1, 8, 15, 15).requires_grad_()
    (row,) = torch.autograd.grad(block(x, normal(1, 16))[0, 0, 7, 7], x)
    seen = row[0].abs().amax(0) > 0
    assert seen[4:11, 4:11].all()
    assert seen.sum() == 49
    (row,) = torch.autograd.grad(block.depthwise(x)[0, 2, 7, 7], x)
    assert row[0].abs().amax((1, 2)).nonzero().flatten().tolist() == [2]


# Linear attention


def test_linear_attention_is_a_matrix_of_weights_over_all_pairs_of_places():
    layer = stirred(LinearAttention(8, LINEAR))
    x = normal(2, 8, 3, 4)
    g = x.reshape(2, 4, -1)
    g = (g - g.mean(-1, keepdim=True)) / (g.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    tokens = g.reshape(x.shape) * layer.norm.weight[:, None, None] + layer.norm.bias[:, None, None]
    tokens = tokens.flatten(2).transpose(1, 2)  # (B, N, C)
    q, k, v = (tokens @ layer.qkv.weight[:, :, 0, 0].T + layer.qkv.bias).split(8, dim=-1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        rho_q = q[..., part].exp() / q[..., part].exp().sum(2, keepdim=True)  # over features
        rho_k = k[..., part].exp() / k[..., part].exp().sum(1, keepdim=True)  # over places
        weights = torch.einsum("bic,bjc->bij", rho_q, rho_k)  # (B, N, N)
        close(weights.sum(2), torch.ones(2, 12, dtype=torch.float64))
        assert torch.linalg.matrix_rank(weights[0]) == 4
        heads.append(torch.einsum("bij,bjc->bic", weights, v[..., part]))
    out = torch.cat(heads, dim=-1) @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
    close(layer(x), x + out.transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize("kind", [Attention, LinearAttention])
def test_attention_knows_no_order_of_places(kind):
    layer, x = stirred(kind(8, LINEAR)), normal(2, 8, 1, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    close(layer(x)[..., order], layer(x[..., order]))


def test_where_all_keys_are_alike_both_kinds_of_attention_are_the_mean():
    q, v = normal(2, 2, 12, 4), normal(2, 2, 12, 4, seed=1)
    k = normal(2, 2, 1, 4, seed=2).expand(2, 2, 12, 4)
    for kind in (Attention, LinearAttention):
        close(kind(8, LINEAR).gather(q, k, v), v.mean(2, keepdim=True).expand_as(v))


def test_both_kinds_have_the_same_parameters_and_differ():
    exact, linear = stirred(Attention(8, LINEAR)), LinearAttention(8, LINEAR).double()
    linear.load_state_dict(exact.state_dict())
    x = normal(2, 8, 3, 4)
    assert (exact(x) - linear(x)).abs().amax() > 1e-3


def test_linear_attention_goes_where_a_matrix_of_pairs_would_not_fit():
    x = torch.randn(1, 8, 256, 256)  # all pairs of places would be 17 GB a head
    layer = LinearAttention(8, LINEAR)
    nn.init.eye_(layer.out.weight[:, :, 0, 0])
    assert torch.isfinite(layer(x)).all()


# In the U-Net


@variants
def test_a_fresh_variant_returns_zero_and_learns(config):
    net, x, t = UNet(config), normal(4, 1, 8, 8).float(), torch.rand(4)
    assert not net(x, t).any()
    (net(x, t) - 1).square().mean().backward()
    assert net.out.weight.grad.abs().sum() > 0


@variants
def test_gradient_reaches_every_parameter_of_a_variant(config):
    net = stirred(UNet(config))
    net(normal(4, 1, 8, 8), torch.linspace(0.1, 0.9, 4).double(), torch.arange(4)).square().sum().backward()
    assert [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()] == []


@variants
def test_a_variant_keeps_what_every_network_promises(config):
    net, x, t, cond = stirred(UNet(config)).eval(), normal(4, 1, 8, 8), torch.rand(4).double(), torch.arange(4)
    y, order = net(x, t, cond), torch.tensor([2, 0, 3, 1])
    close(y[order], net(x[order], t[order], cond[order]))
    assert (y - net(x, t + 0.1, cond)).abs().amax() > 1e-3
    assert (y - net(x, t, cond.roll(1))).abs().amax() > 1e-3
    same = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last), t, cond)
    close(same, y, 1e-11)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net.float()(x.float(), t.float(), cond)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - y).norm() < 0.05 * y.norm()


def test_dropout_of_a_convnext_net_only_while_training():
    net = stirred(UNet(replace(CONVNEXT, dropout=0.5)))
    x, t = normal(2, 1, 8, 8), torch.rand(2).double()
    assert not torch.equal(net.train()(x, t), net(x, t))
    assert torch.equal(net.eval()(x, t), net(x, t))


def reach(**changes):
    """How far from pixel (0, 0) a pixel can lie and still move it."""
    net = stirred(UNet(UNetConfig(widths=(8,), blocks=1, heads=2, embedding=16, **({"attention": ()} | changes))))
    # groups of one channel still share their mean over all places: without them only the layers' own reach is left
    for layer in list(net.modules()):
        for name, child in list(layer.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(layer, name, nn.Identity())
    x = normal(1, 1, 40, 40).requires_grad_()
    (row,) = torch.autograd.grad(net(x, torch.rand(1).double())[0, 0, 0, 0], x)
    return row[0, 0].abs().amax(dim=0).nonzero().max().item()


def test_reach_of_the_variants():
    assert reach() == 10  # stem, out and 4 blocks of 2 convolutions: one pixel each
    assert reach(convnext=True) == 14  # stem and out: one pixel each; 4 blocks of one 7x7: three each
    assert reach(linear_attention=(0,)) == 39


def test_every_level_gets_the_attention_that_names_it():
    net = UNet(UNetConfig(widths=(8, 8, 8), blocks=1, attention=(2,), linear_attention=(0,), heads=2, embedding=16))
    assert [type(stages[0].attention) for stages in net.down] == [LinearAttention, nn.Identity, Attention]
    assert [type(stages[1].attention) for stages in net.up] == [Attention, nn.Identity, LinearAttention]
    assert type(net.middle.attention) is Attention


def parameters(config):
    return sum(value.numel() for value in UNet(config).parameters())


def test_number_of_parameters_of_a_convnext_unet_with_linear_attention():
    E, w0, w1, classes = 16, 8, 16, 3

    def conv(a, b, k=3):
        return a * b * k * k + b

    def block(a, b):  # depthwise, norm, modulation, widen, narrow, skip
        inner = (49 * a + a) + 2 * a + (E * 2 * a + 2 * a) + (a * 4 * b + 4 * b) + (4 * b * b + b)
        return inner + (conv(a, b, 1) if a != b else 0)

    def attention(a):
        return 2 * a + conv(a, 3 * a, 1) + conv(a, a, 1)

    expected = 2 * (E * E + E) + (classes + 1) * E + conv(1, w0)  # time, labels, stem
    expected += block(w0, w0) + conv(w0, w0) + block(w0, w1) + attention(w1)  # down
    expected += block(w1, w1) + attention(w1)  # middle
    expected += block(w1 + w1, w1) + block(w1 + w0, w1) + 2 * attention(w1) + conv(w1, w1)  # up, coarse
    expected += block(w1 + w0, w0) + block(w0 + w0, w0) + 2 * w0 + conv(w0, 1)  # up, fine, out
    assert parameters(replace(CONVNEXT, linear_attention=(1,))) == expected
    assert parameters(replace(CONVNEXT, attention=(1,))) == expected


# Files


def test_parameter_names_of_the_residual_unet_are_those_in_the_files_that_exist():
    layers = ["conditioning.time.0", "conditioning.time.2", "stem", "norm", "out"]
    for stage in ("down.0.0", "middle", "up.0.0", "up.0.1"):
        layers += [f"{stage}.block.{name}" for name in ("norm1", "conv1", "modulation", "norm2", "conv2")]
        layers += [f"{stage}.attention.{name}" for name in ("norm", "qkv", "out")]
    layers += ["up.0.0.block.skip", "up.0.1.block.skip"]  # 8 + 8 channels to 8
    net = UNet(UNetConfig(widths=(8,), blocks=1, attention=(0,), heads=2, embedding=16))
    assert set(net.state_dict()) == {f"{layer}.{name}" for layer in layers for name in ("weight", "bias")}


@variants
def test_a_recipe_with_variants_survives_its_file(config):
    recipe = replace(recipes.FASHION, net=config)
    again = recipes.decode(json.loads(json.dumps(recipes.encode(recipe))))
    assert again == recipe
    assert again.network().state_dict().keys() == UNet(config).state_dict().keys()


def test_a_card_from_before_the_variants_is_a_residual_unet_without_linear_attention():
    text = recipes.encode(recipes.FASHION)
    del text["net"]["convnext"], text["net"]["linear_attention"]
    again = recipes.decode(text)
    assert again == recipes.FASHION
    assert (again.net.convnext, again.net.linear_attention) == (False, ())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"linear_attention": (3,)}, "linear_attention names levels 0 to 2"),
        ({"linear_attention": (0, 2)}, "one kind of attention"),  # level 2 has the other kind
        ({"attention": (), "linear_attention": (1,), "heads": 3}, "divisible by heads=3"),
    ],
)
def test_bad_variants(change, message):
    with pytest.raises(BookError, match=message):
        UNetConfig(**change)
