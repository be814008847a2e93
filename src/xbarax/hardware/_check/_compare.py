"""Compares what came back with what should have, and guesses what went wrong."""

import numpy as np

from xbarax.hardware._check._buffers import count_unwritten
from xbarax.hardware._check._result import Failed


def compare(
    got: np.ndarray,
    wanted: np.ndarray,
    allowed: np.ndarray | float,
    *,
    asked: str,
    advice: str,
    guesses: dict[str, np.ndarray] | None = None,
    contract: str = "",
) -> float:
    """Refuses numbers that are too far off.

    Args:
      got: what came back.
      wanted: what should have.
      allowed: how far it may be off.
      asked: what the driver was asked.
      advice: what to do where no guess fits.
      guesses: what typical mistakes would give, by what they look like.
      contract: what the contract says, where it is not what the check is about.

    Returns:
      The largest difference, as a part of what is allowed.
    """
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(np.float64) - wanted)
        bad = ~(off <= allowed)  # also where it is NaN
        if not bad.any():
            return float(np.max(off / np.broadcast_to(allowed, off.shape), initial=0.0))
    look = _look(got, wanted, allowed, guesses or {})
    raise Failed(
        asked=asked,
        got=_difference(got, wanted, allowed, bad) + (f"; {look}" if look else ""),
        advice=f"it {look}: look there first; or {advice}" if look else advice,
        contract=contract,
    )


def _difference(
    got: np.ndarray, wanted: np.ndarray, allowed: np.ndarray | float, bad: np.ndarray
) -> str:
    if count := count_unwritten(got.astype(np.float32)):
        return (
            f"{count} of {got.size} numbers are what the buffer held: not written, or added to it"
        )
    count = int(bad.sum())
    if nan := int(np.count_nonzero(~np.isfinite(got))):
        return f"{nan} of {got.size} numbers are NaN or infinite"
    off = np.where(bad, np.abs(got - wanted), 0)
    place = np.unravel_index(int(np.argmax(off)), got.shape)
    most = float(np.broadcast_to(allowed, got.shape)[place])
    where = "".join(f"[{int(i)}]" for i in place)
    return (
        f"{count} of {got.size} numbers are off, the worst at {where}: {float(got[place]):.6g}, "
        f"expected {float(wanted[place]):.6g} ± {most:.2g}"
    )


def _look(
    got: np.ndarray,
    wanted: np.ndarray,
    allowed: np.ndarray | float,
    guesses: dict[str, np.ndarray],
) -> str:
    """What the numbers look like, or nothing."""
    if not np.isfinite(got).all():
        return ""
    near = lambda guess: bool((np.abs(got - guess) <= allowed).all())
    differs = lambda guess: bool((np.abs(wanted - guess) > 2 * np.asarray(allowed)).any())
    for look, guess in guesses.items():
        if guess.shape == got.shape and differs(guess) and near(guess):
            return f"looks {look}"
    if near(0 * wanted):
        return "looks like zeros"
    if near(-wanted):
        return "looks like the negative of what is expected"
    factor = float((got * wanted).sum() / max(float((wanted * wanted).sum()), 1e-300))
    if wanted.size > 2 and near(factor * wanted):
        return f"looks like {factor:.4g} times what is expected"
    offset = float(np.mean(got - wanted))
    if wanted.size > 2 and near(wanted + offset):
        return f"looks like what is expected and {offset:.4g} more"
    return ""


def transposed_guesses(weights: np.ndarray, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What reads give whose matrices are laid out in other ways than the contract's."""
    n, out = len(inputs), len(weights)
    w, x = weights.astype(np.float64), inputs.astype(np.float64)
    other_weights = w.reshape(w.shape[1], w.shape[0]).T
    other_inputs = x.reshape(x.shape[1], n).T
    first = np.broadcast_to(x[:1], x.shape)
    turned = lambda y: y.T.reshape(n, out)
    return {
        "transposed: weights taken as [inputs][outputs], not [outputs][inputs]": x
        @ other_weights.T,
        "transposed: input vectors taken as [inputs][n], not [n][inputs]": other_inputs @ w.T,
        "transposed: results given as [outputs][n], not [n][outputs]": turned(x @ w.T),
        "transposed: vectors and results taken as [inputs][n] and [outputs][n]": turned(
            other_inputs @ w.T
        ),
        "like the first vector's results in all places": first @ w.T,
        "like the first vector's results, and zeros for the others": first
        @ w.T
        * (np.arange(n) < 1)[:, None],
        "like the inputs' magnitudes": np.abs(x) @ w.T,
        "reversed: outputs in the opposite order": (x @ w.T)[:, ::-1],
        "reversed: inputs in the opposite order": x[:, ::-1] @ w.T,
    }
