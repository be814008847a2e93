"""What one cell does: conductance range, programming, pulses, noise, drift."""

from xbarax.chip.device import characterise as characterise
from xbarax.chip.device import presets as presets
from xbarax.chip.device._cmo_hfox import CMOHfOx as CMOHfOx
from xbarax.chip.device._constant_step import ConstantStep as ConstantStep
from xbarax.chip.device._device import AbstractDevice as AbstractDevice
from xbarax.chip.device._exponential_step import ExponentialStep as ExponentialStep
from xbarax.chip.device._fit import Fit as Fit
from xbarax.chip.device._fit import fit_response as fit_response
from xbarax.chip.device._ideal import Ideal as Ideal
from xbarax.chip.device._linear_step import LinearStep as LinearStep
from xbarax.chip.device._pcm import PCM as PCM
from xbarax.chip.device._pcm_hermes import PCMHermes as PCMHermes
from xbarax.chip.device._power_step import PowerStep as PowerStep
from xbarax.chip.device._pulsed import AbstractPulsed as AbstractPulsed
from xbarax.chip.device._pulses import Own as Own
from xbarax.chip.device._response_csv import read_response_csv as read_response_csv
from xbarax.chip.device._rram_milo import RRAMMilo as RRAMMilo
from xbarax.chip.device._rram_wan import RRAMWan as RRAMWan
from xbarax.chip.device._soft_bounds import SoftBounds as SoftBounds
from xbarax.chip.device._sonos import SONOS as SONOS
from xbarax.chip.device._statistical import AbstractStatistical as AbstractStatistical
