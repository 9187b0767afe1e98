#include "hopper-kernels.cuh"
HOPPER_KERNELS(128_capped, 128, 128, true)
