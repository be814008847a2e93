#include "device/printable.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace xbarax {
namespace {

constexpr std::size_t kLongest = 2000;

// How many bytes the character at `first` has; 0: it is none.
std::size_t LengthOfUtf8(const std::string& text, std::size_t first) {
  const auto byte = [&](std::size_t k) {
    return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u;
  };
  const unsigned head = byte(first);
  const std::size_t length = head < 0x80                   ? 1
                             : head >= 0xC2 && head < 0xE0 ? 2
                             : head >= 0xE0 && head < 0xF0 ? 3
                             : head >= 0xF0 && head < 0xF5 ? 4
                                                           : 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((byte(first + k) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(first + 1);
  const bool overlong = (head == 0xE0 && second < 0xA0) || (head == 0xF0 && second < 0x90);
  const bool beyond = (head == 0xED && second >= 0xA0) || (head == 0xF4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

}  // namespace

std::string Printable(const char* text) {
  if (text == nullptr || *text == '\0') return "(the driver gives no reason)";
  std::string printable(text, strnlen(text, kLongest));
  for (char& c : printable)
    if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') c = '?';
  for (std::size_t k = 0; k < printable.size();) {
    const std::size_t length = LengthOfUtf8(printable, k);
    if (length == 0) printable[k] = '?';
    k += std::max<std::size_t>(length, 1);
  }
  return printable;
}

}  // namespace xbarax
