#include "tensor-kernels.cuh"
TENSOR_KERNELS(192_capped, 192, true)
