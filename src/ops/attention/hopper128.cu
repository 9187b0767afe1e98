#include "hopper-kernels.cuh"
HOPPER_KERNELS(128, 128, 128, false)
