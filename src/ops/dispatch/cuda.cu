// The sort counts: pieces of slots, a warp each, count their experts; what lies before a piece's slots of an expert is summed up; then each
// piece puts its slots where those before end.
#include "../cuda.cuh"

// counts[piece][e]: integers, whose sum has no order
extern "C" __global__ void dispatch_count(int slots, int k, const int* chosen, int stride, int experts, int size, int* counts) {
  extern __shared__ int own[];
  for (int e = threadIdx.x; e < experts; e += 32) own[e] = 0;
  __syncwarp();
  int from = blockIdx.x * size, to = min(from + size, slots);
  for (int slot = from + threadIdx.x; slot < to; slot += 32) atomicAdd(own + chosen[static_cast<long long>(slot / k) * stride + slot % k], 1);
  __syncwarp();
  for (int e = threadIdx.x; e < experts; e += 32) counts[static_cast<long long>(blockIdx.x) * experts + e] = own[e];
}

// counts[piece][e] becomes the sorted row of the piece's first slot of e. One block of 1024 threads.
extern "C" __global__ void __launch_bounds__(1024) dispatch_offsets(int pieces, int experts, int* counts, int* offsets, int stride) {
  __shared__ int sums[32];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, before = 0;
  for (int first = 0; first < experts; first += 1024) {
    int e = first + threadIdx.x, own = 0;
    for (int p = 0; e < experts && p < pieces; p++) own += counts[static_cast<long long>(p) * experts + e];
    int upTo = own;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      int left = __shfl_up_sync(0xffffffffu, upTo, d);
      if (lane >= d) upTo += left;
    }
    __syncthreads();  // the sums of the experts before are read
    if (lane == 31) sums[warp] = upTo;
    __syncthreads();
    int row = before + upTo - own;
    for (int w = 0; w < 32; w++) {
      if (w < warp) row += sums[w];
      before += sums[w];
    }
    if (e >= experts) continue;
    offsets[static_cast<long long>(e) * stride] = row;
    for (int p = 0; p < pieces; p++) {
      int& at = counts[static_cast<long long>(p) * experts + e];
      int n = at;
      at = row;
      row += n;
    }
    if (e == experts - 1) offsets[static_cast<long long>(experts) * stride] = row;
  }
}

extern "C" __global__ void dispatch_place(int slots, int k, const int* chosen, int stride, int experts, int size, const int* counts, int* order,
                                          int orderStride, int* places, int placesStride) {
  extern __shared__ int next[];
  for (int e = threadIdx.x; e < experts; e += 32) next[e] = counts[static_cast<long long>(blockIdx.x) * experts + e];
  __syncwarp();
  int from = blockIdx.x * size, to = min(from + size, slots);
  for (int first = from; first < to; first += 32) {
    int slot = first + threadIdx.x, t = slot / k, j = slot % k;
    bool inside = slot < to;
    int e = inside ? chosen[static_cast<long long>(t) * stride + j] : -1;
    unsigned alike = __match_any_sync(0xffffffffu, e), earlier = alike & ((1u << threadIdx.x) - 1);
    int place = inside ? next[e] + __popc(earlier) : 0;
    __syncwarp();
    if (inside) {
      if (earlier == 0) next[e] += __popc(alike);
      order[static_cast<long long>(place) * orderStride] = slot;
      places[static_cast<long long>(t) * placesStride + j] = place;
    }
    __syncwarp();
  }
}

// y[places[t, j]] = x[t]: a token's row is read once
template <class T, int V>
__device__ void spread(int cols, const T* x, int xStride, const int* places, int placesStride, int k, T* y, int yStride) {
  long long t = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    Vector<T, V> v = *reinterpret_cast<const Vector<T, V>*>(x + t * xStride + c);
#pragma unroll 4
    for (int j = 0; j < k; j++) v.write(y + static_cast<long long>(places[t * placesStride + j]) * yStride + c);
  }
}

// y[t] = Σ_j rows[places[t, j]], j in order
template <class T, int V>
__device__ void combine(int cols, const T* rows, int rowsStride, const int* places, int placesStride, int k, T* y, int yStride) {
  long long t = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float sum[V] = {};
    for (int j = 0; j < k; j++) {
      float v[V];
      load<T, V>(rows + static_cast<long long>(places[t * placesStride + j]) * rowsStride + c, v);
#pragma unroll
      for (int i = 0; i < V; i++) sum[i] += v[i];
    }
    store<T, V>(y + t * yStride + c, sum);
  }
}

#define KERNEL(suffix, T, V)                                                                                                              \
  extern "C" __global__ void spread_##suffix(int cols, const T* x, int xStride, const int* places, int placesStride, int k, T* y,          \
                                             int yStride) {                                                                               \
    spread<T, V>(cols, x, xStride, places, placesStride, k, y, yStride);                                                                  \
  }                                                                                                                                       \
  extern "C" __global__ void combine_##suffix(int cols, const T* rows, int rowsStride, const int* places, int placesStride, int k, T* y,   \
                                              int yStride) {                                                                              \
    combine<T, V>(cols, rows, rowsStride, places, placesStride, k, y, yStride);                                                           \
  }
FOR_INSTANCES(KERNEL)
