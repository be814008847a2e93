// A chip that computes exactly: the smallest library that xbarax.hardware.load takes.
//
// A library for xbarax exports these three functions. Matrices are row-major, [out][in].

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

// Reads the array: y[o] = sum over i of g[o][i] x[i].
EXPORT void user_implementation_mul(const float* g, const float* x, float* y, unsigned out,
                                    unsigned in) {
  for (unsigned o = 0; o < out; ++o) {
    const float* row = g + (unsigned long)o * in;
    float sum = 0;
    for (unsigned i = 0; i < in; ++i) sum += row[i] * x[i];
    y[o] = sum;
  }
}

// Updates the array: g_out[k] = g[k] + d[k] for all `size` weights.
EXPORT void user_implementation_add(const float* g, const float* d, float* g_out, unsigned size) {
  for (unsigned k = 0; k < size; ++k) g_out[k] = g[k] + d[k];
}

// Writes the array: g comes with the wanted weights and leaves with those that were written.
EXPORT void user_implementation_write(float* g, unsigned out, unsigned in) {
  (void)g;
  (void)out;
  (void)in;
}
