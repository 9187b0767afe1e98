#include "hopper.cuh"
GROUPED(_nf4, false, true)
GROUPED(_nf4_trans, true, true)
