"""The training image for GPUs, on a machine that need not have one: `make test-image-gpu`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from local.images.build import Images
from sample_builds.packer import pack
from tests.fakes.inspected_images import MEGABYTE, inspected, python
from tests.fakes.started_containers import job_folder, run

DRIVER = "libcuda.so.1"
"""NVIDIA's runtime mounts it into the container."""
FABRICS = ("libcufile_rdma.", "nvshmem_bootstrap_", "nvshmem_transport_")
"""Plugins for InfiniBand, MPI and the like, each for a library of its own; nothing here asks for one."""

LOADED = """
import ctypes, json, pathlib, torch
packages = pathlib.Path(torch.__file__).parents[1]
mapped = {line.split()[-1] for line in pathlib.Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
failed, found = {}, [path for name in ("torch", "nvidia") for path in (packages / name).rglob("*.so*")]
for path in found:
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        failed[path.name] = str(error).partition(":")[0]
print(json.dumps([sorted(pathlib.Path(name).name for name in mapped), len(found), failed]))
"""


@pytest.fixture
def training(images: Images) -> str:
    if images.torch != "cuda":
        pytest.skip("the training image is for CPUs; `make test-image-gpu` makes the other")
    return images.training


def test_torch_is_built_for_cuda(images: Images, training: str, measure: Callable[[str, str], None]) -> None:
    code = "import torch, torch.backends.cudnn as c; print(torch.__version__, torch.version.cuda, c.version())"
    version, cuda, cudnn = python(images, training, code).split()
    assert version.partition("+")[2] == f"cu{cuda.replace('.', '')}"
    assert int(cudnn) > 0, "cuDNN is loaded"
    measure("training image for GPUs", f"{inspected(images, training)['Size'] / MEGABYTE:,.0f} MB, CUDA {cuda}")


def test_all_its_libraries_can_be_loaded_but_for_the_driver_s(images: Images, training: str) -> None:
    mapped, number, failed = json.loads(python(images, training, LOADED))
    assert {"libtorch_cuda.so", "libcublas.so.13", "libcudart.so.13", "libcudnn.so.9", "libnccl.so.2"} <= set(mapped)
    assert number > 50
    needed = {name: missing for name, missing in failed.items() if not name.startswith(FABRICS)}
    assert set(needed.values()) <= {DRIVER}, needed


def test_nvidia_s_runtime_is_asked_for_a_gpu(images: Images, training: str) -> None:
    environment = dict(entry.split("=", 1) for entry in inspected(images, training)["Config"]["Env"])
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert not [name for name in environment if name.startswith("NVIDIA_REQUIRE_")]


def test_it_trains_where_there_is_no_gpu(training: str, tmp_path: Path) -> None:
    base = job_folder(tmp_path / "ml", pack("Basic", tmp_path), stop__env_steps="1024", seed="3")
    done = run("train", base)
    assert done.returncode == 0, (training, done.stderr)
    assert json.loads((base / "model" / "manifest.json").read_text())["files"]


def test_a_job_that_asks_for_the_gpu_of_a_machine_without_one_is_told(training: str, tmp_path: Path) -> None:
    base = job_folder(tmp_path / "ml", pack("Basic", tmp_path), stop__env_steps="1024", hyperparameters__device="cuda")
    done = run("train", base)
    failure = (base / "output" / "failure").read_text()
    assert done.returncode == 1, training
    assert "device is cuda" in failure
    assert "finds no GPU on this machine" in failure
