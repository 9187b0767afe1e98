#include "hopper-kernels.cuh"
HOPPER_KERNELS(192, 192, 192, false)
