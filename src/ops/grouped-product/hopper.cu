#include "hopper.cuh"
GROUPED(, false, false)
GROUPED(_trans, true, false)
