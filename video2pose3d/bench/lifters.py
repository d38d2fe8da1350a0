"""Forward time of every lifter, side by side, with a large matrix product as the yardstick.

A machine drifts while it measures. So the passes take turns, each stands beside a product of its
own, and what is said are medians over the turns. Of two passes in a row the second counts, as in a
run, which lifts one window after another: others' turns drive weights out of the memory near by.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from video2pose3d import discovery, lifters, weights
from video2pose3d.lifters._linear import onednn_is_faster
from video2pose3d.training.precision import half_is_faster

FRAMES = (27, 81, 243)  # T of the papers
SIZES = ("small", "base")  # of each lifter's VARIANTS; the others are ablations or other T
WINDOWS = {"cpu": 1, "cuda": 32}  # in one pass: a GPU is idle with one
SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices of the yardstick
TURNS = 3


@dataclass(frozen=True)
class Timing:
    """One lifter at one T in one precision. gflop: of a window, two for each multiply-add."""

    lifter: str
    parameters: int
    frames: int
    precision: str
    gflop: float
    ms: float  # a window
    gflops: float  # GFLOP/s
    share: float  # of the rate of the matrix product beside it


@dataclass(frozen=True)
class Bench:
    """products: precision -> GFLOP/s of a side x side matrix product; windows: in one pass."""

    device: str
    threads: int
    torch: str
    windows: int
    side: int
    products: dict[str, float]
    timings: list[Timing]

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class _Case:
    """A pass to measure, beside the product in its precision."""

    lifter: str
    parameters: int
    frames: int
    precision: str
    gflop: float
    forward: Callable[[], object]
    product: Callable[[], object]


def measure(
    device: str, frames: Sequence[int] = FRAMES, sizes: Sequence[str] = SIZES, turns: int = TURNS
) -> Bench:
    """Forward times of all lifters on a device ("cpu", "cuda:0"), in each precision it has."""
    place = torch.device(device)
    windows, side = WINDOWS[place.type], SIDE[place.type]
    with torch.inference_mode():
        cases = list(_cases(place, frames, sizes))
        rounds = [
            [(_seconds(case.forward, place), _seconds(case.product, place)) for case in cases]
            for _ in range(turns)
        ]
    timings, products = [], {}
    for case, *pairs in zip(cases, *rounds, strict=True):
        seconds = statistics.median(forward for forward, _ in pairs) / windows
        # A pass in units of the product: of a window, for as many operations.
        ratio = statistics.median(forward / product for forward, product in pairs) / windows
        share = case.gflop / (2 * side**3 / 1e9) / ratio
        timings.append(
            Timing(
                lifter=case.lifter,
                parameters=case.parameters,
                frames=case.frames,
                precision=case.precision,
                gflop=case.gflop,
                ms=1e3 * seconds,
                gflops=case.gflop / seconds,
                share=share,
            )
        )
        products.setdefault(case.precision, []).extend(product for _, product in pairs)
    return Bench(
        device=_describe(place),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        windows=windows,
        side=side,
        products={p: 2e-9 * side**3 / statistics.median(s) for p, s in products.items()},
        timings=timings,
    )


def _cases(device: torch.device, frames: Sequence[int], sizes: Sequence[str]) -> Iterator[_Case]:
    precisions = {"fp32": torch.float32}
    if half_is_faster(device):
        precisions["bf16"] = torch.bfloat16
    products = {name: _product(device, dtype) for name, dtype in precisions.items()}
    for name, model in _models(device, sizes):
        parameters = sum(p.numel() for p in model.parameters())
        for T in frames:
            x = torch.randn(WINDOWS[device.type], T, 17, 3, device=device)
            gflop = _gflop(model, x[:1])
            for precision, dtype in precisions.items():
                forward = _forward(model, x, dtype)
                yield _Case(name, parameters, T, precision, gflop, forward, products[precision])


def _models(device: torch.device, sizes: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """The lifters that discovery finds, with random weights, and the shipped ones."""
    for name in discovery.names("lifters"):
        module = discovery.load("lifters", name)
        for variant in sizes:
            if variant in module.VARIANTS:
                model = module.Model(module.VARIANTS[variant])
                yield f"{name} {variant}", model.eval().to(device)
    for entry in weights.entries().values():
        file = weights.on_disk(entry.name) if entry.kind == "lifter" else None
        if file is not None:
            yield f"{entry.name}, shipped", lifters.load(file, str(device)).model


def _gflop(model: nn.Module, x: Tensor) -> float:
    """Floating-point operations of a forward pass, two for each multiply-add, in 10^9."""
    # The counter knows the products of plain attention and layers, but not every fused kernel.
    others = {torch.ops.mkldnn._linear_pointwise: _linear_flop} if onednn_is_faster() else {}
    counter = FlopCounterMode(display=False, custom_mapping=others)
    with sdpa_kernel(SDPBackend.MATH), counter:
        model(x)
    return counter.get_total_flops() / 1e9


def _linear_flop(x: Sequence[int], weight: Sequence[int], *_: object, **__: object) -> int:
    """Of a product of these shapes, (..., C) and (C', C)."""
    return 2 * math.prod(x) * weight[0]


def _forward(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """The pass to measure; on CUDA one captured graph, so that no kernel waits to be launched."""

    def forward() -> Tensor:
        half = dtype != torch.float32
        with torch.autocast(x.device.type, dtype, cache_enabled=False) if half else nullcontext():
            return model(x)

    return _captured(forward) if x.is_cuda else forward


def _captured(forward: Callable[[], Tensor]) -> Callable[[], object]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # a capture wants kernels that are chosen and loaded already
        for _ in range(3):
            forward()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        forward()
    return graph.replay


def _product(device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    """The yardstick: a product of two large square matrices."""
    n = SIDE[device.type]
    a, b = torch.randn(2, n, n, device=device, dtype=dtype)
    return lambda: a @ b


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    wait()
    begun = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - begun


def _describe(device: torch.device) -> str:
    """The processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return "CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "CPU"


def as_table(bench: Bench) -> str:
    """The measurement for people: what it was measured on, then a row a pass."""
    products = ", ".join(f"{rate:.0f} GFLOP/s in {p}" for p, rate in bench.products.items())
    lines = [
        f"{bench.device}, {bench.threads} threads, torch {bench.torch}",
        f"product of two {bench.side} x {bench.side} matrices: {products}",
        f"windows in a pass: {bench.windows}",
        f"{'lifter':22}{'params':>8}{'T':>5} {'':6}{'ms a window':>12}{'GFLOP/s':>9}"
        f"{'of the product':>16}",
    ]
    lines += [
        f"{t.lifter:22}{t.parameters / 1e6:7.1f}M{t.frames:5} {t.precision:>6}{t.ms:12.1f}"
        f"{t.gflops:9.1f}{100 * t.share:15.0f}%"
        for t in bench.timings
    ]
    return "\n".join(lines)
