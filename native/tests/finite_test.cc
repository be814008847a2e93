// Every instruction set's search for numbers that are not finite, on this processor.
#include "kernels/finite.h"

#include <cstddef>
#include <limits>
#include <vector>

#include "kernels/isa.h"
#include "tests/check.h"

namespace xbarax {
namespace {

using Search = bool (*)(const float*, std::size_t);
using Limits = std::numeric_limits<float>;

std::vector<Search> Executable() {
  std::vector<Search> all = {&baseline::AllFinite, &AllFinite};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back(&avx2::AllFinite);
  if (Has(Isa::kAvx512)) all.push_back(&avx512::AllFinite);
#endif
  return all;
}

// At every place, below and above vectors and blocks; in exactly the space that is read.
void FindsOne(Search all_finite, float number) {
  for (std::size_t size : {1, 3, 8, 17, 33, 100, 2049, 5000}) {
    std::vector<float> numbers(size, -Limits::max());
    CHECK(all_finite(numbers.data(), size));
    const std::size_t step = size < 200 ? 1 : 97;
    for (std::size_t place = 0; place < size; place += step) {
      numbers[place] = number;
      CHECK(!all_finite(numbers.data(), size));
      numbers[place] = Limits::denorm_min();
      CHECK(all_finite(numbers.data(), size));
    }
    numbers[size - 1] = number;
    CHECK(!all_finite(numbers.data(), size));
  }
}

}  // namespace
}  // namespace xbarax

int main() {
  using xbarax::Limits;
  for (xbarax::Search all_finite : xbarax::Executable()) {
    CHECK(all_finite(nullptr, 0));
    for (float number :
         {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN()})
      xbarax::FindsOne(all_finite, number);
  }
  return xbarax::test::Result();
}
