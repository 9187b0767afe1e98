#include "hopper-kernels.cuh"
HOPPER_KERNELS(64, 64, 64, false)
