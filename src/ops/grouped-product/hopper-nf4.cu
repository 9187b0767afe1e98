#include "hopper.cuh"
GROUPED(256, _nf4, false, true)
GROUPED(256, _nf4_trans, true, true)
GROUPED(128, _nf4, false, true)
GROUPED(128, _nf4_trans, true, true)
