"""A chip that goes wrong at a call that its configuration names."""

import ctypes
import os
import time
from typing import Any

import numpy as np

import xbarax as xb


class FaultyChip(xb.hardware.AbstractDriver):
    """`{"fault": "error", "of": "read", "call": 3}`: the third read raises, and so on."""

    def __init__(self, config: dict[str, Any]):
        if config.get("fault") == "closed":
            raise ConnectionError("no answer from the bench")
        self._config = config
        self._weights: dict[int, np.ndarray] = {}
        self._calls: dict[str, int] = {}
        self._last = 0

    def close(self):
        self._weights.clear()

    def describe(self):
        return xb.hardware.Description(
            name="faulty",
            max_outputs=64,
            max_inputs=64,
            capabilities={"read_transposed", "update", "read_out"},
            weight_low=-8.0,
            weight_high=8.0,
        )

    def allocate(self, outputs, inputs):
        self._last += 1
        self._weights[self._last] = np.zeros((outputs, inputs), np.float32)
        return self._last

    def release(self, array):
        del self._weights[array]

    def program(self, array, weights):
        self._count("program")
        self._weights[array] = weights.copy()

    def read(self, array, inputs):
        self._count("read")
        return inputs @ self._weights[array].T

    def read_transposed(self, array, inputs):
        self._count("read_transposed")
        return inputs @ self._weights[array]

    def update(self, array, deltas):
        self._count("update")
        self._weights[array] = np.clip(self._weights[array] + deltas, -8, 8)

    def read_out(self, array):
        return self._weights[array]

    def _count(self, call):
        self._calls[call] = self._calls.get(call, 0) + 1
        if call != self._config.get("of") or self._calls[call] != self._config["call"]:
            return
        match self._config["fault"]:
            case "error":
                raise RuntimeError(f"the {call} failed on the bench")
            case "lost":
                raise ConnectionError("the bench is unplugged")
            case "hang":
                time.sleep(3600)
            case "exit":
                os._exit(4)
            case "crash":
                ctypes.string_at(0)
