// What nearly every source includes, read once a variant instead of sixty times (build.mjs): it halves what compiling takes. A source still
// includes what it uses.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>
#include "elementwise.hpp"
