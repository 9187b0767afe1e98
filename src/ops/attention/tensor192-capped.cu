#include "tensor-kernels.cuh"
TENSOR_KERNELS(192_capped, 192, 192, true)
