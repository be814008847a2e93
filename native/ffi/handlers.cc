// XLA's handlers: they check ranks, shapes and types, and call kernels and drivers.
//
// All take leading batch axes (*batch), the same for every operand, so that vmap is one call. Those
// of the operands of a read may also be 1, for what all of an axis share.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "device/driver_registry.h"
#include "ffi/xla.h"
#include "kernels/parallel.h"
#include "kernels/random.h"
#include "kernels/read.h"
#include "kernels/update.h"

namespace xbarax {
namespace {

using Array = ffi::Buffer<ffi::F32>;
using Result = ffi::Result<ffi::Buffer<ffi::F32>>;

bool Same(Dims a, Dims b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

int64_t Product(Dims dims, size_t first, size_t last) {
  int64_t product = 1;
  for (size_t i = first; i < last; ++i) product *= dims[i];
  return product;
}

ffi::Error Mismatch(const char* call, std::initializer_list<Dims> shapes) {
  std::string text = std::string(call) + ": operands that do not match:";
  for (Dims dims : shapes) text += " " + Shape(dims);
  return ffi::Error::InvalidArgument(text);
}

// What a read computes: products of arrays (out, in) with blocks of rows of inputs.
struct ReadShape {
  int64_t products, rows, out, in;
  // The axes of the products, and whether the arrays and the inputs have them.
  std::vector<int64_t> batch;
  std::vector<bool> arrays_have, inputs_have;

  // Which array and which block of inputs a product takes.
  std::pair<int64_t, int64_t> Operands(int64_t product) const {
    int64_t array = 0, inputs = 0, arrays = 1, blocks = 1;
    for (size_t i = batch.size(); i-- > 0;) {
      const int64_t place = product % batch[i];
      product /= batch[i];
      if (arrays_have[i]) array += place * arrays, arrays *= batch[i];
      if (inputs_have[i]) inputs += place * blocks, blocks *= batch[i];
    }
    return {array, inputs};
  }
};

// Checks g (*batch, out, in), x (*batch, rows, in), y (*batch, rows, out); or, transposed, x and y
// exchanged.
bool FindReadShape(Dims g, Dims x, Dims y, bool transposed, ReadShape* shape) {
  if (g.size() < 2 || x.size() != g.size() || y.size() != g.size()) return false;
  const size_t last = g.size() - 1;
  size_t lead = g.size() - 2;
  for (size_t i = 0; i < lead; ++i)
    if ((g[i] != y[i] && g[i] != 1) || (x[i] != y[i] && x[i] != 1)) return false;
  const int64_t out = g[lead], in = g[last], rows = x[lead];
  if (x[last] != (transposed ? out : in) || y[last] != (transposed ? in : out) || y[lead] != rows)
    return false;
  *shape = {1, rows, out, in, {}, {}, {}};
  // Inputs that share an array are rows of one product.
  for (; lead > 0 && g[lead - 1] == 1 && x[lead - 1] == y[lead - 1]; --lead)
    shape->rows *= y[lead - 1];
  shape->products = Product(y, 0, lead);
  for (size_t i = 0; i < lead; ++i) {
    shape->batch.push_back(y[i]);
    shape->arrays_have.push_back(g[i] == y[i]);
    shape->inputs_have.push_back(x[i] == y[i]);
  }
  return true;
}

constexpr int64_t kParallelWork = int64_t{1} << 20;  // multiply-adds worth a second thread
constexpr int64_t kLoad = 8;  // multiply-adds that take as long as to fetch a conductance

// Calls body(0) ... body(count - 1), on several threads where there is enough to do.
//
// Throws what a body threw, once all have ended: threads of the pool must not.
void ForEachArray(Executor& executor, int64_t count, int64_t work,
                  const std::function<void(int64_t)>& body) {
  const int64_t pieces = std::min<int64_t>(count, 4 * static_cast<int64_t>(executor.threads()));
  if (pieces < 2 || count * work < kParallelWork) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<bool> failed{false};
  ParallelFor(executor, static_cast<size_t>(pieces), [&](size_t piece) {
    const int64_t p = static_cast<int64_t>(piece);
    try {
      for (int64_t i = p * count / pieces; i < (p + 1) * count / pieces; ++i) body(i);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

ffi::Error ReadImpl(ffi::ThreadPool pool, Array g, Array x, Result y, bool transposed) {
  ReadShape s;
  if (!FindReadShape(g.dimensions(), x.dimensions(), y->dimensions(), transposed, &s))
    return Mismatch("xbarax read", {g.dimensions(), x.dimensions(), y->dimensions()});
  XlaExecutor executor(pool);
  const int64_t from = transposed ? s.out : s.in, to = transposed ? s.in : s.out;
  try {
    ForEachArray(executor, s.products, (s.rows + kLoad) * s.out * s.in, [&](int64_t product) {
      const auto [a, b] = s.Operands(product);
      const Crossbar array{g.typed_data() + a * s.out * s.in, static_cast<size_t>(s.out),
                           static_cast<size_t>(s.in)};
      const float* inputs = x.typed_data() + b * s.rows * from;
      float* outputs = y->typed_data() + product * s.rows * to;
      (transposed ? ReadTransposed : Read)(array, inputs, static_cast<size_t>(s.rows), outputs,
                                           executor);
    });
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax read: out of memory");
  }
  return ffi::Error::Success();
}

ffi::Error ReadForward(ffi::ThreadPool pool, Array g, Array x, Result y) {
  return ReadImpl(pool, g, x, y, false);
}

ffi::Error ReadBackward(ffi::ThreadPool pool, Array g, Array y, Result x) {
  return ReadImpl(pool, g, y, x, true);
}

// g, d, total (*batch, ...) and bad (*batch, 1).
ffi::Error UpdateImpl(Array g, Array d, Result total, ffi::Result<ffi::Buffer<ffi::S32>> bad) {
  const Dims dims = g.dimensions();
  if (!Same(dims, d.dimensions()) || !Same(dims, total->dimensions()) || bad->element_count() == 0)
    return Mismatch("xbarax update", {dims, d.dimensions(), total->dimensions()});
  const size_t arrays = bad->element_count(), size = g.element_count() / arrays;
  if (size * arrays != g.element_count())
    return Mismatch("xbarax update", {dims, bad->dimensions()});
  for (size_t a = 0; a < arrays; ++a)
    bad->typed_data()[a] = Update(g.typed_data() + a * size, d.typed_data() + a * size,
                                  total->typed_data() + a * size, size);
  return ffi::Error::Success();
}

// Pairs of words are keys.
static_assert(sizeof(RandomKey) == 2 * sizeof(uint32_t) && alignof(RandomKey) == alignof(uint32_t));
RandomKey* Keys(uint32_t* words) { return reinterpret_cast<RandomKey*>(words); }

// keys (*batch, 2), data (*batch), folded (*batch, 2).
ffi::Error FoldInImpl(ffi::Buffer<ffi::U32> keys, ffi::Buffer<ffi::U32> data,
                      ffi::Result<ffi::Buffer<ffi::U32>> folded) {
  const size_t count = data.element_count();
  if (keys.element_count() != 2 * count || !Same(keys.dimensions(), folded->dimensions()))
    return ffi::Error::InvalidArgument("xbarax fold_in: operands that do not match: keys " +
                                       Shape(keys.dimensions(), "uint32") + ", data " +
                                       Shape(data.dimensions(), "uint32"));
  BestRandom().fold_in(Keys(keys.typed_data()), data.typed_data(), count,
                       Keys(folded->typed_data()));
  return ffi::Error::Success();
}

// keys (*batch, 2) -> new ones (*batch, 2), of the numbers 0, 1, …
ffi::Error Split(ffi::Buffer<ffi::U32> keys, ffi::RemainingRets results) {
  const size_t count = keys.element_count() / 2;
  for (size_t i = 0; i < results.size(); ++i) {
    const auto result = results.get<ffi::Buffer<ffi::U32>>(i);
    if (!result.has_value()) return result.error();
    ffi::Result<ffi::Buffer<ffi::U32>> made = *result;
    if (!Same(keys.dimensions(), made->dimensions()))
      return ffi::Error::InvalidArgument("xbarax split: operands that do not match: keys " +
                                         Shape(keys.dimensions(), "uint32") + ", new ones " +
                                         Shape(made->dimensions(), "uint32"));
    const std::vector<uint32_t> numbers(count, static_cast<uint32_t>(i));
    BestRandom().fold_in(Keys(keys.typed_data()), numbers.data(), count, Keys(made->typed_data()));
  }
  return ffi::Error::Success();
}

// Whether numbers are (*batch, *shape) for keys (*batch, 2), with at least `axes` axes of a shape.
ffi::Error CheckNumbers(Dims keys, Dims numbers, size_t axes, size_t* lead) {
  *lead = keys.size() == 0 ? 0 : keys.size() - 1;
  if (keys.size() == 0 || keys[*lead] != 2 || numbers.size() < *lead + axes ||
      !std::equal(keys.begin(), keys.begin() + *lead, numbers.begin()))
    return ffi::Error::InvalidArgument("xbarax random numbers: operands that do not match: keys " +
                                       Shape(keys, "uint32") + ", numbers " + Shape(numbers));
  return ffi::Error::Success();
}

// keys (*batch, 2), numbers (*batch, *shape): each key's numbers.
ffi::Error DrawImpl(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> keys, Result numbers,
                    Distribution distribution) {
  const Dims dims = keys.dimensions(), to = numbers->dimensions();
  size_t lead;
  if (ffi::Error error = CheckNumbers(dims, to, 0, &lead); error.failure()) return error;
  XlaExecutor executor(pool);
  Draw(distribution, Keys(keys.typed_data()), static_cast<size_t>(Product(dims, 0, lead)),
       static_cast<size_t>(Product(to, lead, to.size())), numbers->typed_data(), executor);
  return ffi::Error::Success();
}

// keys (*batch, 2), numbers (*batch, *lines, count): each key's lines of numbers in pairs.
ffi::Error DrawPairedNormal(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> keys, Result numbers) {
  const Dims dims = keys.dimensions(), to = numbers->dimensions();
  size_t lead;
  if (ffi::Error error = CheckNumbers(dims, to, 1, &lead); error.failure()) return error;
  XlaExecutor executor(pool);
  DrawPairs(Keys(keys.typed_data()), static_cast<size_t>(Product(dims, 0, lead)),
            static_cast<size_t>(Product(to, lead, to.size() - 1)), static_cast<size_t>(to.back()),
            numbers->typed_data(), executor);
  return ffi::Error::Success();
}

ffi::Error DrawUniform(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> keys, Result numbers) {
  return DrawImpl(pool, keys, numbers, Distribution::kUniform);
}

ffi::Error DrawNormal(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> keys, Result numbers) {
  return DrawImpl(pool, keys, numbers, Distribution::kNormal);
}

// ---- Libraries with the notebook's three functions --------------------------------------------

bool FitsUnsigned(int64_t n) { return n <= std::numeric_limits<unsigned>::max(); }

// Opens the library; XLA's programs are cached across processes, so that only its path is in them.
ffi::Error OpenOr(std::string_view path, FunctionLibrary** library) {
  std::string error;
  *library = OpenFunctionLibrary(std::string(path), &error);
  if (*library == nullptr) return ffi::Error(ffi::ErrorCode::kFailedPrecondition, error);
  return ffi::Error::Success();
}

ffi::Error FunctionsMul(Array g, Array x, Result y, std::string_view path) {
  ReadShape s;
  if (!FindReadShape(g.dimensions(), x.dimensions(), y->dimensions(), false, &s) ||
      !FitsUnsigned(s.out) || !FitsUnsigned(s.in))
    return Mismatch("user_implementation_mul", {g.dimensions(), x.dimensions(), y->dimensions()});
  FunctionLibrary* library;
  if (ffi::Error error = OpenOr(path, &library); error.failure()) return error;
  for (int64_t product = 0; product < s.products; ++product) {
    const auto [a, b] = s.Operands(product);
    MulRows(*library, g.typed_data() + a * s.out * s.in, x.typed_data() + b * s.rows * s.in,
            y->typed_data() + product * s.rows * s.out, static_cast<size_t>(s.rows),
            static_cast<unsigned>(s.out), static_cast<unsigned>(s.in));
  }
  return ffi::Error::Success();
}

// g, d, total (*batch, out, in): one call for each array.
ffi::Error FunctionsAdd(Array g, Array d, Result total, std::string_view path) {
  const Dims dims = g.dimensions();
  if (dims.size() < 2 || !Same(dims, d.dimensions()) || !Same(dims, total->dimensions()))
    return Mismatch("user_implementation_add", {dims, d.dimensions(), total->dimensions()});
  const int64_t arrays = Product(dims, 0, dims.size() - 2);
  const int64_t size = Product(dims, dims.size() - 2, dims.size());
  if (!FitsUnsigned(size)) return Mismatch("user_implementation_add", {dims});
  FunctionLibrary* library;
  if (ffi::Error error = OpenOr(path, &library); error.failure()) return error;
  std::lock_guard<std::mutex> lock(library->one_call_at_a_time);
  for (int64_t a = 0; a < arrays; ++a)
    library->add(g.typed_data() + a * size, d.typed_data() + a * size,
                 total->typed_data() + a * size, static_cast<unsigned>(size));
  return ffi::Error::Success();
}

// wanted, written (*batch, out, in): one call for each array, on a fresh copy.
ffi::Error FunctionsWrite(Array wanted, Result written, std::string_view path) {
  const Dims dims = wanted.dimensions();
  if (dims.size() < 2 || !Same(dims, written->dimensions()))
    return Mismatch("user_implementation_write", {dims, written->dimensions()});
  const int64_t out = dims[dims.size() - 2], in = dims[dims.size() - 1];
  if (!FitsUnsigned(out) || !FitsUnsigned(in)) return Mismatch("user_implementation_write", {dims});
  FunctionLibrary* library;
  if (ffi::Error error = OpenOr(path, &library); error.failure()) return error;
  float* to = written->typed_data();
  std::copy_n(wanted.typed_data(), wanted.element_count(), to);
  std::lock_guard<std::mutex> lock(library->one_call_at_a_time);
  for (int64_t a = 0; a < Product(dims, 0, dims.size() - 2); ++a)
    library->write(to + a * out * in, static_cast<unsigned>(out), static_cast<unsigned>(in));
  return ffi::Error::Success();
}

}  // namespace
}  // namespace xbarax

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {

// The FFI version that this library was built with; Python compares it before registering.
XBARAX_EXPORT int xbarax_ffi_api_major() { return XLA_FFI_API_MAJOR; }
XBARAX_EXPORT int xbarax_ffi_api_minor() { return XLA_FFI_API_MINOR; }

// Opens a library with the notebook's three functions. Returns 0, or 1 with why in `error`.
XBARAX_EXPORT int xbarax_open_functions(const char* path, char* error, size_t error_size) {
  std::string why;
  if (xbarax::OpenFunctionLibrary(path, &why) != nullptr) return 0;
  if (error_size > 0) error[why.copy(error, error_size - 1)] = '\0';
  return 1;
}

XBARAX_EXPORT XLA_FFI_Error* XbaraxRead(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxReadTransposed(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxUpdate(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxUniform(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxNormal(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxPairedNormal(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxFoldIn(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxSplit(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxFunctionsMul(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxFunctionsAdd(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxFunctionsWrite(XLA_FFI_CallFrame* call_frame);

}  // extern "C"

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxRead, xbarax::ReadForward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<xbarax::Array>()
                                  .Arg<xbarax::Array>()
                                  .Ret<xbarax::Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxReadTransposed, xbarax::ReadBackward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<xbarax::Array>()
                                  .Arg<xbarax::Array>()
                                  .Ret<xbarax::Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxUpdate, xbarax::UpdateImpl,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Array>()
                                  .Arg<xbarax::Array>()
                                  .Ret<xbarax::Array>()
                                  .Ret<ffi::Buffer<ffi::S32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxUniform, xbarax::DrawUniform,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::Buffer<ffi::U32>>().Ret<xbarax::Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxNormal, xbarax::DrawNormal,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::Buffer<ffi::U32>>().Ret<xbarax::Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxPairedNormal, xbarax::DrawPairedNormal,
    ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::Buffer<ffi::U32>>().Ret<xbarax::Array>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxFoldIn, xbarax::FoldInImpl,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Ret<ffi::Buffer<ffi::U32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxSplit, xbarax::Split,
                              ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::U32>>().RemainingRets());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxFunctionsMul, xbarax::FunctionsMul,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Array>()
                                  .Arg<xbarax::Array>()
                                  .Ret<xbarax::Array>()
                                  .Attr<std::string_view>("library"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxFunctionsAdd, xbarax::FunctionsAdd,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Array>()
                                  .Arg<xbarax::Array>()
                                  .Ret<xbarax::Array>()
                                  .Attr<std::string_view>("library"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxFunctionsWrite, xbarax::FunctionsWrite,
    ffi::Ffi::Bind().Arg<xbarax::Array>().Ret<xbarax::Array>().Attr<std::string_view>("library"));
