#include "hopper-kernels.cuh"
HOPPER_KERNELS(256_capped, 256, 256, true)
