#include "hopper-kernels.cuh"
HOPPER_KERNELS(192x128, 192, 128, false)
