#include "tensor-kernels.cuh"
TENSOR_KERNELS(256_capped, 256, 256, true)
