"""Published devices by name."""

import dataclasses
import types
from collections.abc import Callable, Mapping

from xbarax.chip.device._cmo_hfox import CMOHfOx
from xbarax.chip.device._device import AbstractDevice
from xbarax.chip.device._exponential_step import ExponentialStep
from xbarax.chip.device._linear_step import LinearStep
from xbarax.chip.device._pcm import PCM
from xbarax.chip.device._pcm_hermes import PCMHermes
from xbarax.chip.device._rram_milo import RRAMMilo
from xbarax.chip.device._rram_wan import RRAMWan
from xbarax.chip.device._soft_bounds import SoftBounds
from xbarax.chip.device._sonos import SONOS

# The pulse devices' steps, bounds, their spreads and noise are those of the aihwkit simulator's
# presets of similar names, fits to the figures of the papers, for states that are weights. Small
# spreads of the asymmetry (up to 0.05 there) are left out. Their conductances are illustrative.


def pcm() -> PCM:
    """Phase-change memory of Nandakumar et al. and Joshi et al.: see `PCM`."""
    return PCM()


def pcm_hermes() -> PCMHermes:
    """Phase-change memory of the HERMES chip, Le Gallo et al.: see `PCMHermes`."""
    return PCMHermes()


def rram_wan() -> RRAMWan:
    """Resistive memory of the NeuRRAM chip, Wan et al.: see `RRAMWan`."""
    return RRAMWan()


def rram_milo() -> RRAMMilo:
    """Resistive memory of Milo et al., with a nonlinear I–V: see `RRAMMilo`."""
    return RRAMMilo()


def sonos() -> SONOS:
    """Charge-trap memory of Agrawal et al.: see `SONOS`."""
    return SONOS()


def cmo_hfox() -> CMOHfOx:
    """Conductive-metal-oxide/HfOx resistive memory of Falcone et al.: see `CMOHfOx`."""
    return CMOHfOx()


def reram_soft_bounds() -> SoftBounds:
    """Resistive memory of Gong et al. (2018), fitted with soft bounds."""
    return SoftBounds(
        step_up=0.002,
        step_spread=0.3,
        asymmetry_spread=0.0,
        lower=-0.75,
        upper=1.25,
        lower_spread=0.40,
        upper_spread=0.24,
        cycle_noise=3.75,
        write_noise=56.0,
    )


def reram_exponential() -> ExponentialStep:
    """Resistive memory of Gong et al. (2018), fitted with exponential steps."""
    return ExponentialStep(
        step_up=0.00135,
        step_down=0.00135 * (1 - 0.259),
        step_spread=0.2,
        asymmetry_spread=0.0,
        lower_spread=0.3,
        upper_spread=0.3,
        cycle_noise=5.0,
        write_noise=75.0,
        a=-0.5,
        b=-0.5,
        gamma_up=5.0,
        gamma_down=5.0,
        amplitude_up=-1.184,
        amplitude_down=-0.0814,
    )


def capacitor() -> LinearStep:
    """A capacitor that holds a weight, of Li et al.; it leaks 1e-6 of its state per update."""
    return LinearStep(
        step_up=0.005,
        step_spread=0.1,
        asymmetry_spread=0.0,
        lower_spread=0.07,
        upper_spread=0.07,
        cycle_noise=0.3,
        leak=1 / 1e6,
        gamma_up=0.05,
        gamma_down=0.05,
        additive_noise=True,
    )


def ecram() -> LinearStep:
    """Lithium-based electrochemical memory of Tang et al."""
    return LinearStep(
        step_up=0.002,
        step_spread=0.1,
        asymmetry_spread=0.0,
        lower=-0.8276,
        upper=1.1724,
        lower_spread=0.05,
        upper_spread=0.05,
        cycle_noise=0.3,
        gamma_up=0.1153,
        gamma_down=0.5085,
    )


def ecram_metal_oxide() -> LinearStep:
    """Metal-oxide electrochemical memory of Kim et al."""
    return LinearStep(
        step_up=2.8214e-4,
        step_spread=0.1,
        asymmetry_spread=0.0,
        lower=-0.8286,
        upper=1.1714,
        lower_spread=0.05,
        upper_spread=0.05,
        cycle_noise=2.0,
        gamma_up=0.4152,
        gamma_down=0.7342,
    )


def reram_array_om() -> SoftBounds:
    """The array of optimised-material resistive memory of Gong, Rasch et al. (2022)."""
    return SoftBounds(
        step_up=0.0949,
        step_spread=0.7829,
        step_lognormal=True,
        asymmetry_spread=0.0,
        lower_spread=0.57,
        upper_spread=0.35,
        cycle_noise=0.4158,
        write_noise=1.4113,
        failed=0.135,
        zero_at_symmetry=True,
    )


def reram_array_hfo2() -> SoftBounds:
    """The array of baseline HfO₂ resistive memory of Gong, Rasch et al. (2022)."""
    return SoftBounds(
        step_up=0.4622,
        step_spread=0.7125,
        step_lognormal=True,
        asymmetry_spread=0.0,
        lower_spread=0.60,
        upper_spread=0.43,
        cycle_noise=0.2174,
        write_noise=0.5841,
        failed=0.098,
        zero_at_symmetry=True,
    )


@dataclasses.dataclass(frozen=True)
class Preset:
    """A published device and where it is from.

    Args:
      make: makes the device.
      source: the paper that measured it, and who fitted the model to it where that is another.
      description: one line on what it is.
    """

    make: Callable[[], AbstractDevice]
    source: str
    description: str


_GONG_2018 = "N. Gong et al., Nat. Commun. 9, 2102 (2018); fit of aihwkit"
_GONG_2022 = "N. Gong, M. J. Rasch et al., IEDM 2022; fit of aihwkit"

PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "pcm": Preset(
            pcm,
            "S. R. Nandakumar et al., ICECS 2019; V. Joshi et al., Nat. Commun. 11, 2473 (2020)",
            "phase-change memory: programming error, drift, 1/f read noise",
        ),
        "pcm_hermes": Preset(
            pcm_hermes,
            "M. Le Gallo et al., Nat. Electron. 6, 680 (2023); fit of aihwkit",
            "phase-change memory of the HERMES chip, one device per polarity",
        ),
        "rram_wan": Preset(
            rram_wan,
            "W. Wan et al., Nature 608, 504 (2022); fit of aihwkit",
            "resistive memory of the NeuRRAM chip, with its relaxation over two days",
        ),
        "rram_milo": Preset(
            rram_milo,
            "V. Milo et al., IRPS 2021; fit of CrossSim",
            "resistive memory with a programming error and a nonlinear I–V",
        ),
        "sonos": Preset(
            sonos,
            "V. Agrawal et al., IEDM 2022; fit of CrossSim",
            "charge-trap memory below threshold, its spread over five days, read noise",
        ),
        "cmo_hfox": Preset(
            cmo_hfox,
            "Falcone et al., arXiv:2502.04524 (2025); Lombardo et al., DRC 2024; fit of aihwkit",
            "conductive-metal-oxide/HfOx resistive memory: programming, relaxation, read noise",
        ),
        "reram_soft_bounds": Preset(
            reram_soft_bounds,
            _GONG_2018,
            "resistive memory, soft bounds: about 1000 noisy steps",
        ),
        "reram_exponential": Preset(
            reram_exponential,
            _GONG_2018,
            "resistive memory, exponential steps: a closer fit, and asymmetric",
        ),
        "capacitor": Preset(
            capacitor,
            "Y. Li et al., VLSI 2018; fit of aihwkit",
            "capacitor, nearly linear: 400 steps, a leak",
        ),
        "ecram": Preset(
            ecram,
            "J. Tang et al., IEDM 2018; fit of aihwkit",
            "lithium electrochemical memory, linear steps: about 1000, little noise",
        ),
        "ecram_metal_oxide": Preset(
            ecram_metal_oxide,
            "S. Kim et al., IEDM 2019; fit of aihwkit",
            "metal-oxide electrochemical memory, linear steps: about 7000",
        ),
        "reram_array_om": Preset(
            reram_array_om,
            _GONG_2022,
            "array of optimised resistive memory: about 20 steps, 13.5 % failed",
        ),
        "reram_array_hfo2": Preset(
            reram_array_hfo2,
            _GONG_2022,
            "array of HfO₂ resistive memory: about 4 steps, 9.8 % failed",
        ),
    }
)
"""Every preset by its name, as `xbarax train --chip` takes it."""
