// A chip that counts its calls and leaves a mark on what it does: reads are doubled, updates add a
// quarter, writes add one to the first weight.
static int muls, adds, writes, inside, overlaps;

static void enter(void) {
  if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1) __atomic_add_fetch(&overlaps, 1, 0);
}
static void leave(void) { __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST); }

int count_muls(void) { return muls; }
int count_adds(void) { return adds; }
int count_writes(void) { return writes; }
int count_overlaps(void) { return overlaps; }

void user_implementation_mul(const float* g, const float* x, float* y, unsigned out, unsigned in) {
  enter();
  ++muls;
  for (unsigned o = 0; o < out; ++o) {
    y[o] = 0;
    for (unsigned i = 0; i < in; ++i) y[o] += 2 * g[o * in + i] * x[i];
  }
  leave();
}

void user_implementation_add(const float* g, const float* d, float* g_out, unsigned size) {
  enter();
  ++adds;
  for (unsigned k = 0; k < size; ++k) g_out[k] = g[k] + d[k] + 0.25f;
  leave();
}

void user_implementation_write(float* g, unsigned out, unsigned in) {
  enter();
  ++writes;
  if (out * in > 0) g[0] += 1;
  leave();
}
