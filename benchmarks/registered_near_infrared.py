# SPDX-License-Identifier: Apache-2.0
"""What registration is worth: mIoU with a near-infrared camera beside the colour camera, in the rendered forest.

Every world is looked at with near infrared through the colour camera's lens, and from a camera of its own some
centimetres beside: registered, used as if it were registered, and left out. Needs MuJoCo (extra ``synthetic``).
"""

import argparse
from collections import defaultdict

import numpy as np

import ssma_ros
from ssma_ros.kernels.shared.resampling import bilinear
from ssma_ros.metrics import ConfusionMatrix
from ssma_ros.synthetic.conditions import CONDITIONS
from ssma_ros.synthetic.dataset import DatasetRecipe
from ssma_ros.synthetic.renderer import Renderer
from ssma_ros.synthetic.sampling import Scene
from ssma_ros.synthetic.sensor import StereoRig

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--worlds", type=int, default=54, help="of the validation set's (%(default)s)")
parser.add_argument("--model", default="forest_rgb_hha_evi", help="shipped model, folder or file (%(default)s)")
parser.add_argument("--baselines", type=float, nargs="+", default=[0.05, 0.12], help="metres (%(default)s)")
args = parser.parse_args()

recipe = DatasetRecipe("val", 0, args.worlds, 1, tuple(CONDITIONS))
matrices: dict[str, ConfusionMatrix] = defaultdict(lambda: ConfusionMatrix(5))
rigs = {"same lens": StereoRig.default(), **{f"{m * 100:g} cm": StereoRig.with_nir_beside(m) for m in args.baselines}}


def cases(name: str, rig: StereoRig, images: dict[str, np.ndarray]) -> dict[str, ssma_ros.Frame]:
    """The ways to use what a rig saw."""
    nir, width, height = images["nir"], rig.intrinsics.width, rig.intrinsics.height
    if rig.nir is None:
        without = {key: image for key, image in images.items() if key != "nir"}
        return {name: ssma_ros.Frame(intrinsics=rig.intrinsics, images=images),
                "no near infrared": ssma_ros.Frame(intrinsics=rig.intrinsics, images=without)}
    return {
        f"{name}, registered": ssma_ros.Frame(intrinsics=rig.intrinsics, images=images, cameras={"nir": rig.nir}),
        f"{name}, not registered": ssma_ros.Frame(
            intrinsics=rig.intrinsics, images={**images, "nir": bilinear(nir, width, height)}),
    }  # fmt: skip


with Renderer() as renderer, ssma_ros.load(args.model, output_resolution="camera") as segment:
    for index in range(args.worlds):
        seed = recipe.scene_seed(index)
        scene = Scene(renderer, seed, rigs["same lens"], condition=recipe.condition(index))
        for name, rig in rigs.items():
            scene.mount(rig)
            rng = np.random.default_rng([seed, 10])
            sample = scene.random_sample(rng)
            images = {"color": sample.color, "depth": sample.depth, "nir": sample.nir}
            for case, frame in cases(name, rig, images).items():
                segment.reset()
                matrices[case].update(segment(frame).mask, sample.label)
        print(f"{index + 1} of {args.worlds}", end="\r", flush=True)

print(f"| near infrared | mIoU | {' | '.join(segment.labels.names)} |")
print("|---" * (2 + len(segment.labels.names)) + "|")
for case, matrix in matrices.items():
    print(f"| {case} | {100 * matrix.miou():.1f} | {' | '.join(f'{100 * value:.1f}' for value in matrix.iou())} |")
