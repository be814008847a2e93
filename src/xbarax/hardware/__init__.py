"""Real crossbars behind drivers."""

from xbarax._kernels import NativeLibraryError as NativeLibraryError
from xbarax.hardware._arrays import program as program
from xbarax.hardware._arrays import pulse as pulse
from xbarax.hardware._arrays import recover as recover
from xbarax.hardware._check import CheckResult as CheckResult
from xbarax.hardware._check import check as check
from xbarax.hardware._driver import AbstractDriver as AbstractDriver
from xbarax.hardware._driver import Description as Description
from xbarax.hardware._driver import DeviceLostError as DeviceLostError
from xbarax.hardware._driver import DriverError as DriverError
from xbarax.hardware._driver_chip import DriverChip as DriverChip
from xbarax.hardware._driver_chip import PulsesLostWarning as PulsesLostWarning
from xbarax.hardware._functions import FunctionLibraryChip as FunctionLibraryChip
from xbarax.hardware._libraries import include_dir as include_dir
from xbarax.hardware._libraries import reference_driver as reference_driver
from xbarax.hardware._libraries import reference_library as reference_library
from xbarax.hardware._libraries import simulated_driver as simulated_driver
from xbarax.hardware._load import EmulationWarning as EmulationWarning
from xbarax.hardware._load import close as close
from xbarax.hardware._load import load as load
from xbarax.hardware._recording import RecordedCall as RecordedCall
from xbarax.hardware._recording import Recording as Recording
from xbarax.hardware._recording import RecordingError as RecordingError
from xbarax.hardware._recording import read_recording as read_recording
from xbarax.hardware._replay import ReplayError as ReplayError
from xbarax.hardware._replay import replay as replay
