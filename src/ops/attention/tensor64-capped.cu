#include "tensor-kernels.cuh"
TENSOR_KERNELS(64_capped, 64, 64, true)
