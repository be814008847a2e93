"""Spiking neural networks: plain functions on plain parameter trees."""

from xbarax.snn.init import glorot_uniform as glorot_uniform
from xbarax.snn.loss import spike_count_accuracy as spike_count_accuracy
from xbarax.snn.loss import spike_count_cross_entropy as spike_count_cross_entropy
from xbarax.snn.lsuv import lsuv as lsuv
from xbarax.snn.network import NetworkState as NetworkState
from xbarax.snn.network import Sequential as Sequential
from xbarax.snn.network import unroll as unroll
from xbarax.snn.neuron import LIF as LIF
from xbarax.snn.neuron import AbstractNeuron as AbstractNeuron
from xbarax.snn.neuron import LayerRecord as LayerRecord
from xbarax.snn.neuron import LIFState as LIFState
from xbarax.snn.surrogate import AbstractSurrogate as AbstractSurrogate
from xbarax.snn.surrogate import SuperSpike as SuperSpike
from xbarax.snn.surrogate import heaviside as heaviside
from xbarax.snn.weights import project as project
from xbarax.snn.weights import project_sequence as project_sequence
