// What is missing of a processor that is given in numbers: leaf1c leaf7b leaf7d leaf71a palettes kept, and avx512 bf16 tiles, each 0 or 1
#include <cstdio>
#include <cstdlib>
#include "features.hpp"

int main(int, char** given) {
  auto number = [&](int i) { return std::strtoull(given[i], nullptr, 0); };
  auto word = [&](int i) { return static_cast<uint32_t>(number(i)); };
  const saqr::Features features{word(1), word(2), word(3), word(4), word(5), number(6)};
  std::printf("%s\n", missing(features, {number(7) == 1, number(8) == 1, number(9) == 1}));
}
