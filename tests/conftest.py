"""What all tests share."""

import gc
import os
from importlib import metadata

import jaxtyping
import pytest

from tests import runtime_types

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Most of the tests' time is XLA's, which compiles thousands of small programs: it optimises them as
# ever, but makes machine code quickly. XLA_FLAGS= in the environment has it do all that users get.
_QUICKLY = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if metadata.version("jax").startswith("0.10."):  # later ones do not know it
    _QUICKLY.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_QUICKLY))

# Every annotation in the package is checked at run time. It must happen before anything imports the
# package, so nothing here does so at the top.
jaxtyping.install_import_hook("xbarax", f"{runtime_types.__name__}.check")


@pytest.fixture
def as_users_call(monkeypatch):
    """Without those checks, which would answer before the package's own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True, scope="module")
def little_garbage_to_look_through():
    """The collector need not look at what the tests before have left: gigabytes, in the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["jax", "native"])
def implementation(request):
    """Both implementations of the ideal chip."""
    return request.param


@pytest.fixture(scope="module")
def little_optimisation():
    """XLA takes long to optimise random numbers, and many tests compile small programs."""
    import jax  # not before JAX_PLATFORMS is set

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
