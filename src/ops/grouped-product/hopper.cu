#include "hopper.cuh"
GROUPED(256, , false, false)
GROUPED(256, _trans, true, false)
GROUPED(128, , false, false)
GROUPED(128, _trans, true, false)
GROUPED(64, , false, false)
GROUPED(64, _trans, true, false)
