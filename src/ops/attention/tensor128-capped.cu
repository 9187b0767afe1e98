#include "tensor-kernels.cuh"
TENSOR_KERNELS(128_capped, 128, 128, true)
