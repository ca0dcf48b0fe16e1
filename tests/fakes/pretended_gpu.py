"""A GPU where there is none: tensors that say they are elsewhere, and are computed with by the CPU.

What mixes them with the CPU's tensors raises, as on a GPU. What a GPU would have to be waited for is counted: whoever
asks for a number, copies to the CPU, copies there without `non_blocking`, or makes something whose size depends on
numbers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("meta")
"""What they say. Of torch's devices it is the one without a GPU's threads that takes part in backward passes."""

_ATEN = torch.ops.aten
_WAITS = {_ATEN._local_scalar_dense, _ATEN.nonzero, _ATEN.masked_select, _ATEN._unique2, _ATEN.equal}
_TAKES_NUMBERS_OF_THE_CPU = {_ATEN.index, _ATEN.index_put_, _ATEN.index_put, _ATEN.copy_}


class Elsewhere(torch.Tensor):
    """`held` is what it is, on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Elsewhere":
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What is given another one's memory (`item.data = ...`) holds what that holds."""
        if func == torch.Tensor.data.__set__:  # type: ignore[attr-defined]
            args[0].held = getattr(args[1], "held", args[1])
            if not isinstance(args[1], Elsewhere):
                return None
        if func is torch.Tensor.tolist:
            return args[0].cpu().tolist()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Without the device nothing goes on."""
        raise RuntimeError(f"{func}: the pretended GPU is not there any more")


class _Literals(TorchFunctionMode):
    """What does not go through torch's dispatcher: tensors made of numbers, which are copied and waited for."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """One function of torch."""
        kwargs = dict(kwargs or {})
        if func is torch.tensor and _is_there(kwargs.get("device")):
            self._waits.append("tensor")
            return Elsewhere(torch.tensor(*args, **{**kwargs, "device": "cpu"}))
        if func is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere):
            self._waits.append("new_tensor")
            return Elsewhere(args[0].held.new_tensor(*args[1:], **kwargs))
        return func(*args, **kwargs)


class PretendedGpu(TorchDispatchMode):
    """While it is entered, tensors may be put on `DEVICE`. `waits`: what it was waited for, so far."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._literals = _Literals(self.waits)

    def __enter__(self) -> "PretendedGpu":
        self._literals.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._literals.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """One operation of torch."""
        kwargs = dict(kwargs or {})
        packet = func.overloadpacket
        given = [item for item in tree_flatten((args, kwargs))[0] if isinstance(item, torch.Tensor)]
        there = any(isinstance(item, Elsewhere) for item in given)
        target = kwargs.get("device")
        if not (there or _is_there(target)):
            return func(*args, **kwargs)
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        self._check(packet, given, there)
        if (there or _is_there(target)) and self._waits(packet, args, kwargs, target):
            self.waits.append(str(packet))
        held_args, held_kwargs = tree_map_only(Elsewhere, lambda item: item.held, (args, kwargs))
        out = func(*held_args, **held_kwargs)
        is_there = there if target is None else _is_there(target)
        if not is_there or packet is _ATEN._local_scalar_dense:
            return out
        if packet is _ATEN.copy_ and not isinstance(args[0], Elsewhere):
            return args[0]
        out = tree_map_only(torch.Tensor, Elsewhere, out)
        return return_and_correct_aliasing(func, args, kwargs, out) if there else out

    def _check(self, packet: Any, given: list[torch.Tensor], there: bool) -> None:
        here = [item for item in given if not isinstance(item, Elsewhere) and item.dim() > 0]
        if there and here and packet not in _TAKES_NUMBERS_OF_THE_CPU:
            raise RuntimeError(f"{packet}: tensors of two devices, {[tuple(item.shape) for item in here]} on the CPU")

    def _waits(self, packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any], target: Any) -> bool:
        if packet in (_ATEN.index, _ATEN.index_put, _ATEN.index_put_):
            numbers = [item for item in args[1] if item is not None]
            return any(item.dtype == torch.bool or not isinstance(item, Elsewhere) for item in numbers)
        if packet is _ATEN.copy_:
            goes_alone = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
            return not (isinstance(args[0], Elsewhere) and (isinstance(args[1], Elsewhere) or goes_alone))
        if packet is _ATEN._to_copy and target is not None:
            from_there = isinstance(args[0], Elsewhere)
            return from_there != _is_there(target) and (from_there or not kwargs.get("non_blocking", False))
        return packet in _WAITS


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type
