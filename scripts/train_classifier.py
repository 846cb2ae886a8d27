"""Train the classifier whose features the metrics use: about three minutes on two CPU cores.

    python scripts/train_classifier.py [--epochs 5] [--seed 0] [--out PATH]

It learns from all 60,000 training images of Fashion-MNIST and is stored in float16, with how it came to be in the
file's metadata. Every stored Frechet distance depends on these weights: after a change, run `make calibrate`.
"""

import argparse
import platform
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from diffusion_book.data.fashion import fashion_mnist
from diffusion_book.nets.classifier import Classifier

BATCH = 128
OUT = Path(__file__).resolve().parents[1] / "diffusion_book" / "weights" / "fashion_features.safetensors"


def scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1  # uint8 to [-1, 1]


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        guesses = [classifier(scaled(batch)).argmax(dim=1) for batch in images.split(500)]
    return (torch.cat(guesses) == labels).double().mean().item()


def train(images: Tensor, labels: Tensor, epochs: int, seed: int) -> Classifier:
    torch.manual_seed(seed)
    classifier = Classifier(batch_norm=True)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=3e-3, weight_decay=0.05)
    steps = epochs * (len(images) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps, pct_start=0.2)
    step, start = 0, time.perf_counter()
    for epoch in range(epochs):
        for index in torch.randperm(len(images)).split(BATCH)[: len(images) // BATCH]:
            x = scaled(images[index])
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(-1), x)
            with torch.autocast("cpu", torch.bfloat16):  # half the time of float32
                logits = classifier(x)
            loss = F.cross_entropy(logits.float(), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            step += 1
            if step % 100 == 0:
                print(
                    f"epoch {epoch + 1}  step {step}/{steps}  loss {loss:.3f}  {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
    return classifier.folded()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    train_set, test_set = fashion_mnist("train", full=True), fashion_mnist("test", full=True)
    start = time.perf_counter()
    classifier = train(train_set.images, train_set.labels, options.epochs, options.seed)
    seconds = time.perf_counter() - start
    weights = {name: value.half().contiguous() for name, value in classifier.state_dict().items()}
    classifier.load_state_dict({name: value.float() for name, value in weights.items()})  # score what is stored
    test = accuracy(classifier, test_set.images, test_set.labels)
    metadata = {
        "what": "Classifier of diffusion_book.nets.classifier, trained on the 60,000 Fashion-MNIST training images",
        "seed": str(options.seed),
        "epochs": str(options.epochs),
        "test_accuracy": f"{test:.4f}",
        "seconds": f"{seconds:.0f}",
        "hardware": f"{torch.get_num_threads()} CPU threads ({platform.machine()}), torch {torch.__version__}",
        "rebuild": f"python scripts/train_classifier.py --epochs {options.epochs} --seed {options.seed}",
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(save(weights, metadata))
    print(f"test accuracy {test:.4f} after {seconds:.0f} s; wrote {options.out} ({options.out.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
