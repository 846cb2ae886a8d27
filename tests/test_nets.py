"""The networks, by value: each piece against a hand computation, and what every network promises."""

import math

import pytest
import torch
import torch.nn.functional as F

from diffusion_book.errors import BookError
from diffusion_book.nets.classifier import Classifier
from diffusion_book.nets.embedding import Conditioning, time_features
from diffusion_book.nets.mlp import MLP, MLPConfig
from diffusion_book.nets.unet import Attention, ResidualBlock, UNet, UNetConfig

SMALL = UNetConfig(classes=3, widths=(8, 16), blocks=1, attention=(1,), heads=2, embedding=16, groups=4)


def stirred(net, seed=0):
    """The network with every parameter moved off its initial value, so that nothing is hidden behind a zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            value += 0.2 * torch.randn(value.shape, generator=generator).to(value.dtype)
    return net


def unet(config=SMALL, seed=0):
    torch.manual_seed(seed)
    return stirred(UNet(config)).double()


def mlp(config=MLPConfig(classes=3, width=16)):  # noqa: B008 (frozen)
    torch.manual_seed(0)
    return stirred(MLP(config)).double()


def batch(net, n=4, size=8):
    generator = torch.Generator().manual_seed(1)
    if isinstance(net, MLP):
        x = torch.randn(n, net.config.dim, generator=generator, dtype=torch.float64)
    else:
        x = torch.randn(n, net.config.channels, size, size, generator=generator, dtype=torch.float64)
    return x, torch.rand(n, generator=generator, dtype=torch.float64), torch.arange(n) % (net.config.classes + 1)


def group_norm(x, groups, weight, bias, eps=1e-5):
    """Written out: each sample's groups of channels, to mean 0 and variance 1."""
    g = x.reshape(len(x), groups, -1)
    g = (g - g.mean(-1, keepdim=True)) / (g.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
    return g.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


# The pieces


def test_time_features_are_the_formula():
    t = torch.tensor([0.0, 0.0015, 0.37, 1.0], dtype=torch.float64)
    expected = [
        [math.cos(1000 * u * 10000 ** (-i / 3)) for i in range(3)]
        + [math.sin(1000 * u * 10000 ** (-i / 3)) for i in range(3)]
        for u in t.tolist()
    ]
    torch.testing.assert_close(time_features(t, 6), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_time_features_tell_neighbouring_steps_apart_and_keep_t_itself():
    t = torch.arange(1001, dtype=torch.float64) / 1000
    features = time_features(t, 64)
    assert (features[1:] - features[:-1]).norm(dim=1).min() > 0.9
    assert (features[1:, -1] > features[:-1, -1]).all()  # the slowest sine rises over all of [0, 1]


def test_time_features_do_not_round_t_to_bfloat16():
    t = torch.tensor([0.5, 0.75], dtype=torch.bfloat16)
    torch.testing.assert_close(time_features(t, 8), time_features(t.float(), 8), rtol=0, atol=0)


def test_scale_and_shift_by_hand():
    torch.manual_seed(0)
    block = stirred(ResidualBlock(8, 16, SMALL)).double().eval()
    x, vector = torch.randn(2, 8, 5, 5).double(), torch.randn(2, 16).double()
    h = F.silu(group_norm(x, 4, block.norm1.weight, block.norm1.bias))
    h = group_norm(
        F.conv2d(h, block.conv1.weight, block.conv1.bias, padding=1), 4, block.norm2.weight, block.norm2.bias
    )
    modulation = vector @ block.modulation.weight.T + block.modulation.bias
    scale, shift = modulation[:, :16, None, None], modulation[:, 16:, None, None]
    h = F.conv2d(F.silu(h * (1 + scale) + shift), block.conv2.weight, block.conv2.bias, padding=1)
    expected = torch.einsum("oc,bchw->bohw", block.skip.weight[:, :, 0, 0], x) + block.skip.bias[:, None, None] + h
    torch.testing.assert_close(block(x, vector), expected, rtol=0, atol=1e-12)


def test_fresh_block_and_attention_are_the_identity():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(ResidualBlock(8, 8, SMALL)(x, torch.randn(2, 16)), x)
    assert torch.equal(Attention(8, SMALL)(x), x)


def test_attention_is_a_softmax_over_places():
    torch.manual_seed(0)
    layer = stirred(Attention(8, SMALL)).double()
    x = torch.randn(2, 8, 3, 4).double()
    tokens = group_norm(x, 4, layer.norm.weight, layer.norm.bias).flatten(2).transpose(1, 2)  # (B, places, C)
    q, k, v = (tokens @ layer.qkv.weight[:, :, 0, 0].T + layer.qkv.bias).split(8, dim=-1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        logits = torch.einsum("bic,bjc->bij", q[..., part], k[..., part]) / math.sqrt(4)
        weights = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
        heads.append(torch.einsum("bij,bjc->bic", weights, v[..., part]))
    out = torch.cat(heads, dim=-1) @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
    torch.testing.assert_close(layer(x), x + out.transpose(1, 2).reshape(x.shape), rtol=0, atol=1e-12)


def test_patches_hold_neighbouring_pixels_and_unfold_again():
    x = torch.arange(2 * 36.0).reshape(1, 2, 6, 6)
    folded = F.pixel_unshuffle(x, 3)
    assert torch.equal(folded[0, 9:18, 1, 0], x[0, 1, 3:6, 0:3].flatten())
    assert torch.equal(F.pixel_shuffle(folded, 3), x)


def test_conditioning_adds_the_labels_row_to_the_times_vector():
    torch.manual_seed(0)
    layer = Conditioning(8, classes=3)
    t = torch.tensor([0.2, 0.9])
    w1, w2 = layer.time[0], layer.time[2]
    h = F.silu(time_features(t, 8) @ w1.weight.T + w1.bias) @ w2.weight.T + w2.bias
    expected = F.silu(h + layer.label.weight[[2, 0]])
    torch.testing.assert_close(layer(t, torch.tensor([2, 0])), expected)


# What every network promises


@pytest.mark.parametrize("make", [unet, mlp])
def test_no_label_is_the_null_label(make):
    net = make().eval()
    x, t, _ = batch(net)
    null = torch.full((len(x),), net.config.classes)
    assert torch.equal(net(x, t), net(x, t, null))
    assert (net(x, t) - net(x, t, null - 1)).abs().amax() > 1e-3


@pytest.mark.parametrize("net", [UNet(SMALL), UNet(UNetConfig(channels=3, patch=2)), MLP(MLPConfig())])
def test_a_fresh_network_returns_zero(net):
    x, t, _ = batch(net, size=16)
    y = net(x.float(), t)
    assert y.shape == x.shape
    assert not y.any()


def test_a_fresh_network_starts_to_learn():
    net = UNet(SMALL)
    x, t, cond = batch(net)
    (net(x.float(), t, cond) - 1).square().mean().backward()
    assert net.out.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("make", [unet, mlp])
def test_gradient_reaches_every_parameter(make):
    net = make()
    x, t, cond = batch(net)  # every label once, the null label among them
    net(x, t, cond).square().sum().backward()
    silent = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []
    assert net.conditioning.label.weight.grad.abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("make", [unet, mlp])
def test_samples_do_not_see_each_other(make):
    net = make().eval()
    x, t, cond = batch(net)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(net(x, t, cond)[order], net(x[order], t[order], cond[order]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [unet, mlp])
def test_time_and_label_matter(make):
    net = make().eval()
    x, t, cond = batch(net)
    assert (net(x, t, cond) - net(x, t + 0.1, cond)).abs().amax() > 1e-3
    assert (net(x, t, cond) - net(x, t, cond.roll(1))).abs().amax() > 1e-3


def test_without_attention_the_unet_sees_only_a_neighbourhood_and_with_it_everything():
    def reach(attention):
        net = unet(UNetConfig(classes=0, widths=(8,), blocks=1, attention=attention, heads=2, embedding=16, groups=8))
        # Groups of one channel still share their mean over all places: without norms only convolutions are left.
        for layer in list(net.modules()):
            for name, child in list(layer.named_children()):
                if isinstance(child, torch.nn.GroupNorm):
                    setattr(layer, name, torch.nn.Identity())
        x, t, _ = batch(net, n=1, size=40)
        x.requires_grad_()
        (row,) = torch.autograd.grad(net(x, t)[0, 0, 0, 0], x)
        return row[0, 0].abs().amax(dim=0).nonzero().max().item()

    assert reach(()) == 10  # stem, out and 4 blocks of 2 convolutions: one pixel each
    assert reach((0,)) == 39


def test_dropout_only_while_training():
    net = unet(UNetConfig(widths=(8, 16), blocks=1, attention=(), embedding=16, groups=4, dropout=0.5))
    x, t, _ = batch(net)
    assert not torch.equal(net.train()(x, t), net(x, t))
    assert torch.equal(net.eval()(x, t), net(x, t))


@pytest.mark.parametrize("patch, widths, size", [(1, (8, 16), 6), (2, (8, 16), 12), (7, (8,), 28), (1, (8,), 5)])
def test_other_sizes(patch, widths, size):
    net = unet(UNetConfig(channels=2, patch=patch, widths=widths, blocks=1, attention=(0,), embedding=16, groups=4))
    x, t, _ = batch(net, size=size)
    wide = torch.cat([x, x], dim=3)
    assert net(wide, t).shape == wide.shape


def test_learned_variance_doubles_the_channels():
    net = UNet(UNetConfig(channels=3, patch=2, widths=(8,), attention=(), learned_variance=True))
    assert net(torch.randn(2, 3, 8, 8), torch.rand(2)).shape == (2, 6, 8, 8)


def test_bfloat16_autocast_is_close_and_returns_the_inputs_type():
    net = unet().float().eval()
    x, t, cond = batch(net)
    exact = net(x.float(), t, cond)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(x.float(), t, cond)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() < 0.03 * exact.norm()


def test_channels_last_changes_nothing():
    net = unet().eval()
    x, t, cond = batch(net)
    expected = net(x, t, cond)
    net = net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last), t, cond), expected)


def test_number_of_parameters():
    E, w0, w1, classes = 16, 8, 16, 3

    def conv(a, b, k=3):
        return a * b * k * k + b

    def block(a, b):
        return 2 * a + conv(a, b) + E * 2 * b + 2 * b + 2 * b + conv(b, b) + (conv(a, b, 1) if a != b else 0)

    def attention(a):
        return 2 * a + conv(a, 3 * a, 1) + conv(a, a, 1)

    expected = 2 * (E * E + E) + (classes + 1) * E + conv(1, w0)  # time, labels, stem
    expected += block(w0, w0) + conv(w0, w0) + block(w0, w1) + attention(w1)  # down
    expected += block(w1, w1) + attention(w1)  # middle
    expected += block(w1 + w1, w1) + block(w1 + w0, w1) + 2 * attention(w1) + conv(w1, w1)  # up, coarse
    expected += block(w1 + w0, w0) + block(w0 + w0, w0) + 2 * w0 + conv(w0, 1)  # up, fine, out
    assert sum(value.numel() for value in UNet(SMALL).parameters()) == expected


def test_state_survives_a_round_trip():
    one, two = unet(seed=0).eval(), unet(seed=1).eval()
    two.load_state_dict(one.state_dict())
    x, t, cond = batch(one)
    assert torch.equal(one(x, t, cond), two(x, t, cond))


# Bad input


@pytest.mark.parametrize(
    "change, message",
    [
        ({"widths": ()}, "at least 1"),
        ({"blocks": 0}, "at least 1"),
        ({"widths": (12, 16)}, "divisible by groups=8"),
        ({"attention": (3,)}, "levels 0 to 2"),
        ({"heads": 3}, "divisible by heads=3"),
        ({"dropout": 1.0}, r"\[0, 1\)"),
    ],
)
def test_bad_configurations(change, message):
    with pytest.raises(BookError, match=message):
        UNetConfig(**change)


@pytest.mark.parametrize("change", [{"dim": 0}, {"depth": 0}, {"width": 7}])
def test_bad_mlp_configurations(change):
    with pytest.raises(BookError, match="width even"):
        MLPConfig(**change)


@pytest.mark.parametrize("make", [unet, mlp])
@pytest.mark.parametrize(
    "cond, message",
    [
        (torch.tensor([0, 1, 2, 4]), "label 4 is out of range: this network knows the classes 0 to 2, and 3 for no"),
        (torch.tensor([0, -1, 2, 3]), "label -1 is out of range"),
        (torch.tensor([0.0, 1.0, 2.0, 3.0]), "int64"),
        (torch.tensor([0, 1]), "one label per sample"),
    ],
)
def test_bad_labels(make, cond, message):
    net = make()
    x, t, _ = batch(net)
    with pytest.raises(BookError, match=message):
        net(x, t, cond)


def test_labels_without_classes():
    with pytest.raises(BookError, match="unconditional"):
        MLP(MLPConfig())(torch.randn(2, 2), torch.rand(2), torch.tensor([0, 1]))


@pytest.mark.parametrize("shape", [(2, 1, 7, 8), (2, 1, 8, 9), (2, 3, 8, 8), (1, 8, 8)])
def test_bad_images(shape):
    with pytest.raises(BookError, match=r"shape \(B, 1, H, W\) with H and W divisible by 2"):
        UNet(SMALL)(torch.zeros(shape), torch.rand(2))


def test_bad_points_and_times():
    with pytest.raises(BookError, match=r"\(B, 2\)"):
        MLP(MLPConfig())(torch.randn(2, 3), torch.rand(2))
    with pytest.raises(BookError, match="one time per sample"):
        MLP(MLPConfig())(torch.randn(2, 2), torch.tensor(0.5))


# The classifier


def test_folding_the_norms_away_changes_nothing():
    torch.manual_seed(0)
    net = stirred(Classifier(batch_norm=True)).double()
    x = torch.rand(16, 1, 28, 28).double() * 2 - 1
    net(x)  # running statistics that are not 0 and 1
    plain = net.eval().folded().double()
    torch.testing.assert_close(plain(x), net(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(plain.train()(x[:3]), plain.eval()(x)[:3])  # no statistics, so no modes
    assert plain.features(x).shape == (16, 128)


def test_classifier_rejects_other_shapes():
    with pytest.raises(BookError, match="28x28"):
        Classifier()(torch.zeros(1, 3, 28, 28))
