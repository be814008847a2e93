"""What all tests share."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
import threading
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

# What one test has compiled is there for the others, in all workers and in processes that tests
# start, for as long as this run takes: a fifth of the tests' time. Workers inherit the folder.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _programs = tempfile.mkdtemp(prefix="xbarax-tests-programs-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Every annotation in the package is checked at run time. It must happen before anything imports the
# package, so nothing here does so at the top.
runtime_types.install()


@pytest.fixture
def as_users_call(monkeypatch):
    """Without those checks, which would answer before the package's own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


# Tracing makes hundreds of thousands of objects that live on: looking through them after each 700
# new ones, as Python does, takes 5 to 10 % of the tests' time.
gc.set_threshold(50_000, 20, 100)

# How many compiled programs JAX may keep from module to module: so many that few modules compile
# again the small programs of operations outside jit.
_KEPT_PROGRAMS = 4000


def _share_contexts():
    """All programs that a thread compiles have one MLIR context.

    JAX makes one for each, which takes half as long as to compile a small program, and 1.5 MB for
    as long as it keeps the program. The more there are, the longer another takes.
    """
    from jax.interpreters import mlir  # not before JAX_PLATFORMS is set

    make = mlir.make_ir_context
    own = threading.local()

    def context():
        if not hasattr(own, "context"):
            own.context = make()
        return own.context

    sys.modules[make.__module__].make_ir_context = context


_share_contexts()


@pytest.fixture(scope="session")
def compilations():
    """Counts XLA's compilations."""
    from tests.helpers import Compilations  # imports the package

    return Compilations()


@pytest.fixture(autouse=True, scope="module")
def little_to_look_through(compilations):
    """Neither JAX nor the garbage collector need look at what the tests before have left."""
    import jax  # not before JAX_PLATFORMS is set

    gc.collect()
    gc.freeze()
    yield
    if compilations.count > _KEPT_PROGRAMS:
        jax.clear_caches()
        gc.unfreeze()
        compilations.count = 0


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
