// Numbers for tests, the same in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace xbarax::test {

class Numbers {
 public:
  explicit Numbers(std::uint32_t seed) : state_(seed) {}

  // Integers of -4 ... 4: their products' sums are exact, in whatever order they are made.
  std::vector<float> Integers(std::size_t size) {
    std::vector<float> numbers(size);
    for (float& number : numbers) number = static_cast<float>(static_cast<int>(Next() % 9) - 4);
    return numbers;
  }

  // Fractions in [-1, 1): their sums depend on the order, and nearly vanish.
  std::vector<float> Signed(std::size_t size) {
    std::vector<float> numbers = Fractions(size);
    for (float& number : numbers) number = 2 * number - 1;
    return numbers;
  }

  // Fractions in [0, 1): their sums depend on the order.
  std::vector<float> Fractions(std::size_t size) {
    std::vector<float> numbers(size);
    for (float& number : numbers) number = static_cast<float>(Next()) / 65536.0f;
    return numbers;
  }

 private:
  // 16 random bits: the upper half of a linear congruential generator (Numerical Recipes, 7.1).
  std::uint32_t Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 16;
  }

  std::uint32_t state_;
};

}  // namespace xbarax::test
