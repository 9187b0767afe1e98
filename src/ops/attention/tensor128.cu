// The tensor-core kernels for heads of up to 128 channels, for sm_80 and later.
#include "tensor-backward.cuh"
#include "tensor-forward.cuh"

extern "C" __global__ void __launch_bounds__(128) attention_tensor_128(Problem p) { tensorForward<128>(p); }
extern "C" __global__ void __launch_bounds__(128) attention_query_grad_tensor_128(Problem p) { tensorQueryGrad<128>(p); }
extern "C" __global__ void __launch_bounds__(128) attention_key_grad_tensor_128(Problem p) { tensorKeyGrad<128>(p); }
