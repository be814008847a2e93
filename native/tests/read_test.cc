#include "kernels/read.h"

#include <cstddef>
#include <initializer_list>
#include <vector>

#include "tests/check.h"
#include "tests/executors.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

struct Shape {
  std::size_t out, in, rows;
};

// Row by column, below and above every block, panel and task, and with nothing in it.
constexpr Shape kShapes[] = {{1, 1, 1},      {1, 17, 5},  {17, 1, 5},    {2, 32, 1},
                             {32, 2, 33},    {63, 65, 3}, {64, 64, 4},   {65, 63, 97},
                             {130, 129, 31}, {5, 7, 0},   {128, 128, 7}, {3, 500, 6},
                             {200, 150, 300}};

// Exactly the space that is read and written, so that the sanitizer sees a step outside it.
void IsTheSum(const Shape& shape, Executor& executor) {
  const auto [out, in, rows] = shape;
  test::Numbers numbers(1);
  const std::vector<float> g = numbers.Integers(out * in);
  const std::vector<float> x = numbers.Integers(rows * in);
  std::vector<float> y(rows * out, 99.0f);
  Read({g.data(), out, in}, x.data(), rows, y.data(), executor);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t o = 0; o < out; ++o) {
      float sum = 0;
      for (std::size_t i = 0; i < in; ++i) sum += g[o * in + i] * x[r * in + i];
      CHECK(y[r * out + o] == sum);
    }
  }
}

void TransposedIsTheSum(const Shape& shape, Executor& executor) {
  const auto [out, in, rows] = shape;
  test::Numbers numbers(2);
  const std::vector<float> g = numbers.Integers(out * in);
  const std::vector<float> y = numbers.Integers(rows * out);
  std::vector<float> x(rows * in, 99.0f);
  ReadTransposed({g.data(), out, in}, y.data(), rows, x.data(), executor);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < in; ++i) {
      float sum = 0;
      for (std::size_t o = 0; o < out; ++o) sum += y[r * out + o] * g[o * in + i];
      CHECK(x[r * in + i] == sum);
    }
  }
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::test::Pool pool(2);
  xbarax::test::Busy busy;
  for (const xbarax::Shape& shape : xbarax::kShapes) {
    for (xbarax::Executor* executor : std::initializer_list<xbarax::Executor*>{&pool, &busy}) {
      xbarax::IsTheSum(shape, *executor);
      xbarax::TransposedIsTheSum(shape, *executor);
    }
  }
  CHECK(busy.waiting() > 0);  // some shape is large enough for several threads
  busy.RunAll();
  return xbarax::test::Result();
}
