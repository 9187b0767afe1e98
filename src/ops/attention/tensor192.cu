#include "tensor-kernels.cuh"
TENSOR_KERNELS(192, 192, 192, false)
