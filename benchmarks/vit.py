"""Linear layers in Tucker format: a small vision transformer, dense and compressed, with AdamW, as a committed record.

    python benchmarks/vit.py folder:neu_steel --image-size 32 --width 0.5 --epochs 20

Patch embedding, qkv, projections and perceptrons are factorized (a convolution with one input channel cannot be). The
record goes to data/results/vit-…; an interrupted call goes on where it was.
"""

import argparse
from pathlib import Path

import script

from tuckerlab import Budget, load_data
from tuckerlab.arena import Arena, digest, suited
from tuckerlab.contender import Dense, Tucker
from tuckerlab.contest import contest
from tuckerlab.plots import save_figures
from tuckerlab.proof import Proof, show
from tuckerlab.recipe import Recipe
from tuckerlab.record import Records

RECIPE = Recipe(label_smoothing=0.1, batch_size=64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--epochs", type=script.positive, default=30)
    parser.add_argument("--compression", type=float, nargs="+", default=[0.8])
    parser.add_argument("--seeds", type=script.positive, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    data = load_data(options.dataset, image_size=options.image_size)
    contenders = [Dense(), *(Tucker(Budget(rate)) for rate in options.compression)]
    parts = []
    for seed in range(options.seeds):
        recipe = suited(RECIPE, "vit_small", epochs=options.epochs, seed=seed)
        arena = Arena.of(contenders, data, "vit_small", options.width, recipe, options.device)
        plan = {**arena.plan, "contenders": repr(contenders)}
        parts.append(contest(contenders, arena, options.out / f"vit-{digest(plan)}"))
    name = Path(options.dataset.partition(":")[2] or options.dataset).name
    proof = Proof(Records.concat(parts), options.results / f"vit-{name}")
    proof.records.save(proof.folder)
    save_figures(proof.records, proof.folder)
    show(proof)


if __name__ == "__main__":
    script.run(main)
