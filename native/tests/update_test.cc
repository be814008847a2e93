#include "kernels/update.h"

#include <limits>
#include <vector>

#include "tests/check.h"

namespace xbarax {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

void IsTheSum() {
  const std::vector<float> g = {1.0f, -2.0f, 0.5f}, d = {0.25f, 2.0f, -1.0f};
  std::vector<float> total(3);
  CHECK(Update(g.data(), d.data(), total.data(), 3) == 0);
  CHECK((total == std::vector<float>{1.25f, 0.0f, -0.5f}));
}

void CountsWhatIsNotFinite() {
  const std::vector<float> g(6, 1.0f);
  const std::vector<float> d = {kNaN,      -kInfinity, std::numeric_limits<float>::max(),
                                kInfinity, -kNaN,      std::numeric_limits<float>::denorm_min()};
  std::vector<float> total(6);
  CHECK(Update(g.data(), d.data(), total.data(), 6) == 4);
}

void TakesNothing() { CHECK(Update(nullptr, nullptr, nullptr, 0) == 0); }

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::IsTheSum();
  xbarax::CountsWhatIsNotFinite();
  xbarax::TakesNothing();
  return xbarax::test::Result();
}
