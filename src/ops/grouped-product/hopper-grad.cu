#include "hopper-grad.cuh"
GRADIENT(256)
GRADIENT(128)
GRADIENT(64)
