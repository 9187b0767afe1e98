#include "hopper-kernels.cuh"
HOPPER_KERNELS(64_capped, 64, 64, true)
