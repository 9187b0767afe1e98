// Random bits that are a function of where they fall (dropout/op.ts defines them): a key a token, a hash a channel.
#pragma once

__device__ __forceinline__ unsigned mix32(unsigned h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}
__device__ __forceinline__ unsigned fold(unsigned key, unsigned word) { return mix32((key ^ word) + 0x9e3779b9u); }

__device__ __forceinline__ unsigned tokenKey(const int* stepInts, int row, int depth, unsigned module) {
  return fold(fold(fold(fold(fold(0, stepInts[0]), stepInts[1]), row), depth), module);
}
__device__ __forceinline__ unsigned channelBits(unsigned key, int channel) { return mix32(key + static_cast<unsigned>(channel) * 0x9e3779b9u); }
