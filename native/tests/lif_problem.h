// A chain of layers with all that it computes with, and the equations of `xbarax.snn.LIF`, and
// their derivatives, written out in double precision with dense sums.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/isa.h"
#include "kernels/lif.h"
#include "kernels/lif_few_chain.h"
#include "tests/check.h"
#include "tests/numbers.h"

namespace xbarax::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// Those that this processor has.
inline std::vector<LifLoops> ExecutableLoops() {
  std::vector<LifLoops> all = {baseline::kLifLoops};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back(avx2::kLifLoops);
  if (Has(Isa::kAvx512)) all.push_back(avx512::kLifLoops);
#endif
  return all;
}

struct Settings {
  Reset reset;
  bool recurrent, detach, biases, driven;
};

// Everything that a chain computes with, and room for what it gives.
struct Problem {
  LifChain chain;
  std::vector<std::vector<Floats>> parameters, gradients;                // W, b, V, c of each layer
  std::vector<std::vector<Floats>> states, ends, bars, state_gradients;  // U, I, R, S
  std::vector<Floats> decays, membranes, membrane_bars, hidden_bars;
  std::vector<std::vector<std::uint32_t>> bits;
  std::vector<std::uint32_t> events;
  Floats xs, xs_gradient, spikes, spikes_bar;
  bool has_bits = true;

  Problem(const Settings& s, std::size_t steps, std::size_t batch,
          const std::vector<std::size_t>& sizes, std::uint32_t seed, float rate) {
    Numbers numbers(seed);
    const std::size_t rows = steps * batch;
    chain = {steps, batch, nullptr, {}};
    xs = numbers.Fractions(rows * (s.driven ? sizes[1] : sizes[0]));
    if (!s.driven)
      for (float& x : xs) x = x < rate ? (x < rate / 2 ? 1.0f : 0.5f) : 0.0f;
    xs_gradient.resize(xs.size());
    events.resize(rows * EventWords(sizes[0]));
    for (std::size_t l = 1; l < sizes.size(); ++l) {
      const std::size_t in = sizes[l - 1], n = sizes[l];
      const auto scaled = [&](std::size_t size, float by) {
        Floats drawn = numbers.Signed(size);
        for (float& x : drawn) x = by * x + by / 2;  // more than nothing, so that neurons spike
        return drawn;
      };
      parameters.push_back({scaled(n * in, 1.0f), s.biases ? scaled(n, 0.1f) : Floats(),
                            s.recurrent ? scaled(n * n, 0.5f) : Floats(),
                            s.biases && s.recurrent ? scaled(n, 0.1f) : Floats()});
      if (s.driven && l == 1) parameters[0][0].clear();
      gradients.push_back(parameters.back());
      const std::size_t size = batch * n;
      states.push_back({scaled(size, 0.5f), scaled(size, 0.05f),
                        s.recurrent ? scaled(size, 0.05f) : Floats(), numbers.Fractions(size)});
      ends.push_back(states.back()), state_gradients.push_back(states.back());
      bars.push_back({numbers.Signed(size), numbers.Signed(size),
                      s.recurrent ? numbers.Signed(size) : Floats(), numbers.Signed(size)});
      Floats decay(6 * n);
      const Floats kept = numbers.Fractions(3 * n);
      for (std::size_t k = 0; k < 3; ++k)
        for (std::size_t i = 0; i < n; ++i) {
          decay[2 * k * n + i] = 0.7f + 0.2f * kept[k * n + i];
          decay[(2 * k + 1) * n + i] = 1 - decay[2 * k * n + i];
        }
      decays.push_back(decay);
      membranes.emplace_back(rows * n), bits.emplace_back(rows * WordsOf(n));
      membrane_bars.push_back(numbers.Signed(rows * n)),
          hidden_bars.push_back(numbers.Signed(rows * n));
    }
    spikes.resize(rows * sizes.back());
    spikes_bar = numbers.Signed(rows * sizes.back());
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      LifLayer layer = {};
      layer.inputs = l == 0 && s.driven ? sizes[1] : sizes[l], layer.size = sizes[l + 1];
      layer.recurrent = s.recurrent, layer.detach = s.detach, layer.reset = s.reset;
      layer.gain = 3, layer.threshold = 0.75f, layer.steepness = 2;
      layer.decays = decays[l].data();
      const auto pointer = [](const Floats& f) { return f.empty() ? nullptr : f.data(); };
      const std::vector<Floats>& p = parameters[l];
      layer.parameters = {pointer(p[0]), pointer(p[1]), pointer(p[2]), pointer(p[3])};
      layer.state = State(states[l]);
      chain.layers.push_back(layer);
    }
    chain.xs = xs.data();
  }

  static LifState State(const std::vector<Floats>& s) {
    return {s[0].data(), s[1].data(), s[2].empty() ? nullptr : s[2].data(), s[3].data()};
  }
  static LifStateTo State(std::vector<Floats>* s) {
    return {(*s)[0].data(), (*s)[1].data(), (*s)[2].empty() ? nullptr : (*s)[2].data(),
            (*s)[3].data()};
  }

  void Run(Executor& executor, const LifLoops& loops = BestLifLoops(), std::size_t segment = 0,
           std::size_t again = 0, bool shown = true) {
    LifTrace trace = {};
    trace.segment = segment, trace.again = again;
    trace.shown = shown && segment == 0 && again == 0;
    if (!chain.driven()) trace.events = events.data();
    std::vector<std::vector<Floats>> kept;  // so that they stay where they are
    const std::size_t segments = std::max<std::size_t>(1, Segments(chain.steps, segment));
    kept.resize(chain.layers.size());
    std::vector<LifStateTo> to;
    LifCotangents given = {spikes_bar.data(), {}, {}, {}};
    LifResults results = {xs_gradient.data(), {}, {}};
    for (std::size_t l = 0; l < chain.layers.size(); ++l) {
      trace.membranes.push_back(segment == 0 ? membranes[l].data() : nullptr);
      trace.spikes.push_back(bits[l].data());
      kept[l].assign(4, Floats((segments - 1) * chain.batch * chain.layers[l].size));
      if (!chain.layers[l].recurrent) kept[l][2].clear();
      trace.states.push_back(State(&kept[l]));
      to.push_back(State(&ends[l]));
      given.hidden.push_back(hidden_bars[l].data());
      given.membranes.push_back(membrane_bars[l].data());
      given.states.push_back(State(bars[l]));
      const auto pointer = [](Floats& f) { return f.empty() ? nullptr : f.data(); };
      std::vector<Floats>& g = gradients[l];
      results.parameters.push_back({pointer(g[0]), pointer(g[1]), pointer(g[2]), pointer(g[3])});
      results.states.push_back(State(&state_gradients[l]));
    }
    has_bits = !lif::AreFew(chain, loops);
    LifForward(chain, spikes.data(), to, trace, executor, loops);
    LifBackward(chain, trace, given, results, executor, loops);
  }
};

inline void Close(const Floats& found, const Doubles& expected, double tolerance) {
  CHECK(found.size() == expected.size());
  double largest = 1;
  for (double x : expected) largest = std::max(largest, std::fabs(x));
  for (std::size_t k = 0; k < found.size(); ++k)
    CHECK(std::fabs(found[k] - expected[k]) <= tolerance * largest);
}

inline double At(const Floats& f, std::size_t k) { return f.empty() ? 0.0 : f[k]; }

// The membranes are those of the equations, from the spikes that were found: no spike that rounding
// decides hides an error, and none that is found is beside its threshold. Then the derivatives.
inline void IsTheEquations(Problem* p, const Settings& s) {
  const LifChain& chain = p->chain;
  const std::size_t steps = chain.steps, batch = chain.batch;
  const auto spike = [&](std::size_t l, std::size_t t, std::size_t b, std::size_t k) -> double {
    const std::size_t n = chain.layers[l].size, row = t * batch + b;
    const bool above = p->membranes[l][row * n + k] - chain.layers[l].threshold > 0;
    if (p->has_bits) CHECK((p->bits[l][row * WordsOf(n) + k / 32] >> k % 32 & 1) == above);
    return above;
  };
  std::vector<Doubles> below;  // by the spikes of the layer below, of the layer that was last
  for (std::size_t l = chain.layers.size(); l-- > 0;) {
    const LifLayer& layer = chain.layers[l];
    const std::size_t n = layer.size, in = layer.inputs;
    const std::vector<Floats>& w = p->parameters[l];
    const auto decay = [&](std::size_t k, std::size_t i) {
      return double(p->decays[l][k * n + i]);
    };
    const bool driven = w[0].empty();
    const auto input = [&](std::size_t t, std::size_t b, std::size_t j) -> double {
      return l > 0 ? spike(l - 1, t, b, j) : p->xs[(t * batch + b) * in + j];
    };
    std::vector<Doubles> next(steps * batch, Doubles(in));
    std::vector<Doubles> gradient = {Doubles(w[0].size()), Doubles(w[1].size()),
                                     Doubles(w[2].size()), Doubles(w[3].size())};
    std::vector<Doubles> ends(4, Doubles(batch * n)), starts(4, Doubles(batch * n));
    for (std::size_t b = 0; b < batch; ++b) {
      std::vector<Doubles> U(steps + 1, Doubles(n)), S(steps + 1, Doubles(n));
      Doubles I(n), R(n);
      for (std::size_t k = 0; k < n; ++k) {
        U[0][k] = p->states[l][0][b * n + k], I[k] = p->states[l][1][b * n + k];
        R[k] = At(p->states[l][2], b * n + k), S[0][k] = p->states[l][3][b * n + k];
      }
      for (std::size_t t = 0; t < steps; ++t) {
        for (std::size_t k = 0; k < n; ++k) {
          double drive = At(w[1], k), feedback = At(w[3], k);
          if (driven) drive += input(t, b, k);
          for (std::size_t j = 0; !driven && j < in; ++j)
            drive += w[0][k * in + j] * input(t, b, j);
          for (std::size_t j = 0; s.recurrent && j < n; ++j) feedback += w[2][k * n + j] * S[t][j];
          double kept = decay(0, k) * U[t][k];
          if (s.reset == Reset::kZero) kept *= 1 - S[t][k];
          if (s.reset == Reset::kSubtract) kept -= double(layer.threshold) * S[t][k];
          U[t + 1][k] = kept + decay(1, k) * (double(layer.gain) * I[k] + R[k]);
          I[k] = decay(2, k) * I[k] + decay(3, k) * drive;
          if (s.recurrent) R[k] = decay(4, k) * R[k] + decay(5, k) * feedback;
          const double above = U[t + 1][k] - double(layer.threshold);
          S[t + 1][k] = spike(l, t, b, k);
          CHECK(S[t + 1][k] == (above > 0) ||
                std::fabs(above) < 1e-5 * (1 + std::fabs(U[t + 1][k])));
          const double found = p->membranes[l][(t * batch + b) * n + k];
          CHECK(std::fabs(found - U[t + 1][k]) <= 1e-5 * (1 + std::fabs(U[t + 1][k])));
        }
      }
      for (std::size_t k = 0; k < n; ++k) {
        ends[0][b * n + k] = U[steps][k], ends[1][b * n + k] = I[k];
        ends[2][b * n + k] = R[k], ends[3][b * n + k] = S[steps][k];
      }
      // Backward: derivatives by U, I, R and S at the end of a step.
      Doubles u(n), i(n), r(n), sp(n);
      for (std::size_t k = 0; k < n; ++k) {
        u[k] = p->bars[l][0][b * n + k], i[k] = p->bars[l][1][b * n + k];
        r[k] = At(p->bars[l][2], b * n + k), sp[k] = p->bars[l][3][b * n + k];
      }
      for (std::size_t t = steps; t-- > 0;) {
        const std::size_t row = t * batch + b;
        Doubles before(n);  // by the spikes of the step before
        for (std::size_t k = 0; k < n; ++k) {
          const bool last = l + 1 == chain.layers.size();
          double by_spike = sp[k] + (last ? p->spikes_bar : p->hidden_bars[l])[row * n + k];
          if (!last) by_spike += below[row][k];
          const double slope =
              double(layer.steepness) * std::fabs(U[t + 1][k] - double(layer.threshold)) + 1;
          const double du = u[k] + by_spike / (slope * slope) + p->membrane_bars[l][row * n + k];
          const double drive = decay(3, k) * i[k], feedback = decay(5, k) * r[k];
          for (std::size_t j = 0; !driven && j < in; ++j) {
            gradient[0][k * in + j] += drive * input(t, b, j);
            next[row][j] += drive * w[0][k * in + j];
          }
          if (driven) next[row][k] = drive;
          if (!w[1].empty()) gradient[1][k] += drive;
          for (std::size_t j = 0; s.recurrent && j < n; ++j) {
            gradient[2][k * n + j] += feedback * S[t][j];
            before[j] += feedback * w[2][k * n + j];
          }
          if (!w[3].empty()) gradient[3][k] += feedback;
          i[k] = decay(2, k) * i[k] + decay(1, k) * double(layer.gain) * du;
          r[k] = s.recurrent ? decay(4, k) * r[k] + decay(1, k) * du : 0;
          u[k] = decay(0, k) * du * (s.reset == Reset::kZero ? 1 - S[t][k] : 1);
          if (!s.detach && s.reset == Reset::kZero) before[k] -= decay(0, k) * U[t][k] * du;
          if (!s.detach && s.reset == Reset::kSubtract) before[k] -= double(layer.threshold) * du;
        }
        sp = before;
      }
      for (std::size_t k = 0; k < n; ++k) {
        starts[0][b * n + k] = u[k], starts[1][b * n + k] = i[k];
        starts[2][b * n + k] = r[k], starts[3][b * n + k] = sp[k];
      }
    }
    for (std::size_t k = 0; k < 4; ++k) {
      Close(p->gradients[l][k], gradient[k], 3e-5);
      if (p->states[l][k].empty()) continue;
      Close(p->ends[l][k], ends[k], 1e-5);
      Close(p->state_gradients[l][k], starts[k], 3e-5);
    }
    below = next;
  }
  Doubles xs;
  for (const Doubles& row : below) xs.insert(xs.end(), row.begin(), row.end());
  Close(p->xs_gradient, xs, 3e-5);
}

}  // namespace xbarax::test
