"""Drivers in Python, a good one and some that break the contract."""

import numpy as np

import xbarax as xb


class Good(xb.hardware.AbstractDriver):
    """A chip of 12 × 10 weights, with noise."""

    noise = 0.01

    def __init__(self, config):
        if unknown := sorted(set(config) - {"seed"}):
            raise ValueError(f"config: expected seed, given {unknown[0][:40]}")
        self.random = np.random.default_rng(config.get("seed", 0))
        self.weights = {}
        self.last = 0

    def close(self):
        self.weights = None

    def describe(self):
        return xb.hardware.Description(
            name="good",
            max_outputs=12,
            max_inputs=10,
            max_arrays=3,
            capabilities={"update", "read_out"},
            weight_low=0.0,
            weight_high=2.0,
            read_noise=0.01,
        )

    def allocate(self, outputs, inputs):
        if outputs > 12 or inputs > 10:
            raise ValueError(f"{outputs}×{inputs} is too large")
        if len(self.weights) == 3:
            raise MemoryError("the chip is full")
        self.last += 1
        self.weights[self.last] = np.zeros((outputs, inputs), np.float32)
        return self.last

    def release(self, array):
        self.find(array)
        del self.weights[array]

    def find(self, array):
        if array not in self.weights:
            raise ValueError(f"no array {array}")
        return self.weights[array]

    def program(self, array, weights):
        self.find(array)[:] = weights

    def read(self, array, inputs):
        exact = inputs @ self.find(array).T
        length = np.linalg.norm(inputs, axis=1, keepdims=True)
        return exact + self.noise * length * self.random.normal(size=exact.shape)

    def update(self, array, deltas):
        weights = self.find(array)
        weights[:] = np.clip(weights + deltas, 0, 2)

    def read_out(self, array):
        return self.find(array)


class ForgetsMethod(Good):
    def describe(self):
        said = super().describe()
        return xb.hardware.Description(
            **{**vars(said), "capabilities": {*said.capabilities, "pulse"}}
        )


class FailsToClose(Good):
    def close(self):
        raise OSError("the port is gone")


class ReturnsRow(Good):
    def read(self, array, inputs):
        return super().read(array, inputs)[0]


class RemembersArrays(Good):
    history: list = []

    def allocate(self, outputs, inputs):
        array = super().allocate(outputs, inputs)
        self.history.append([array, "a" * 700 + str(array)])
        return array


class NotADriver:
    pass
