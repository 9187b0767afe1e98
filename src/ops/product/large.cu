#include "large.cuh"
LARGE(256, , false)
LARGE(256, _trans, true)
LARGE(192, , false)
LARGE(192, _trans, true)
LARGE(128, , false)
LARGE(128, _trans, true)
