// A library for a chip that can read and do nothing else.

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT void user_implementation_mul(const float* g, const float* x, float* y, unsigned out,
                                    unsigned in) {
  for (unsigned o = 0; o < out; ++o) y[o] = g[o * in] * x[0];
}
