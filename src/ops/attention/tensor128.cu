#include "tensor-kernels.cuh"
TENSOR_KERNELS(128, 128, 128, false)
