// What the machine can do at most, measured: the limits that shares are shares of.
#pragma once
#include "pool.hpp"

namespace saqr {
double probeFma(Pool& pool, int kind);  // GFLOP/s of all threads, registers only; kind 0: f32 multiply-add, 1: of bf16 (tiles, else dot products; 0 without)
double probeCopy(Pool& pool);           // GB/s, read + write, far beyond the caches
double probeRead(Pool& pool);           // GB/s, in order, far beyond the caches
}  // namespace saqr
