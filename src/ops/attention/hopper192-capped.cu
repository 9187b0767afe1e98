#include "hopper-kernels.cuh"
HOPPER_KERNELS(192_capped, 192, 192, true)
