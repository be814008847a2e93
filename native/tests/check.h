// The least that a test needs: CHECK reports what does not hold and goes on, Result() is for main.
#pragma once

#include <cstdio>

namespace xbarax::test {

inline int failures = 0;

inline void Check(bool holds, const char* condition, const char* file, int line) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
}

inline int Result() { return failures == 0 ? 0 : 1; }

}  // namespace xbarax::test

#define CHECK(condition) ::xbarax::test::Check((condition), #condition, __FILE__, __LINE__)
