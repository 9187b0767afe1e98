#include "hopper-kernels.cuh"
HOPPER_KERNELS(256, 256, 256, false)
