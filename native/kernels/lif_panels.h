// Products of a block's rows with all of a matrix.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>

#include "kernels/finite.h"
#include "kernels/lif_blocks.h"
#include "kernels/matmul.h"

namespace xbarax::lif {

// A matrix (rows, columns), with rows `apart`, that rows of `depth` numbers are multiplied with: no
// fewer than the matrix has, and zeros behind those.
struct Panels {
  std::size_t depth = 0, columns = 0, width = 0;
  Row packed;

  Panels() = default;
  Panels(const float* matrix, std::size_t rows, std::size_t columns, std::size_t apart,
         std::size_t depth, const Matmul& matmul)
      : depth(depth), columns(columns), width(matmul.panel_columns) {
    packed.resize((columns + width - 1) / width * depth * width);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; c += width)
        std::copy_n(matrix + r * apart + c, std::min(width, columns - c),
                    packed.data() + c * depth + r * width);
  }
  // y (rows, y_stride) = x (rows, depth) times the matrix.
  void Multiply(const float* x, std::size_t rows, float* y, std::size_t y_stride,
                const Matmul& matmul) const {
    for (std::size_t c = 0; c < columns; c += width)
      matmul.panel(x, rows, depth, packed.data() + c * depth, width, y + c, y_stride,
                   std::min(width, columns - c));
  }
};

// Panels that are made when a thread first needs them. There are none of a matrix whose numbers are
// not all finite: what has no event must not show, and 0 times those does.
class PanelsOnDemand {
 public:
  const Panels* Get(const Row& matrix, std::size_t rows, std::size_t columns, std::size_t apart,
                    std::size_t depth, const Matmul& matmul) {
    std::call_once(once_, [&] {
      made_ = AllFinite(matrix.data(), matrix.size());
      if (made_) panels_ = Panels(matrix.data(), rows, columns, apart, depth, matmul);
    });
    return made_ ? &panels_ : nullptr;
  }

 private:
  std::once_flag once_;
  bool made_ = false;
  Panels panels_;
};

}  // namespace xbarax::lif
