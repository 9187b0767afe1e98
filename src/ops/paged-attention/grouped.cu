// Attention over a cache in pages: a block for each new token and the G heads at most that read one key head, so that keys and values are
// read once for all of them. Keys come in chunks of 32, dealt to the warps in turn by their place in the text, whatever stands beside it: a
// lane has a key while scores are made, and D / 32 channels while values are summed. In the end the warps' sums are one, in order.
#include "paged.cuh"

constexpr int kChunk = 32;

// What the block's warps share, in floats: q (G, D), then of each warp its highest scores (G), its totals (G) and its sums (G, D).
template <int G, int D> struct Room {
  float *q, *tops, *totals, *sums;
  __device__ Room(float* at, int warps) : q(at), tops(at + G * D), totals(tops + warps * G), sums(totals + warps * G) {}
};

// grid: (T, key heads · ⌈heads of one / G⌉)
template <class T, int G, int D> __device__ void pagedGroup(const Paged& p) {
  constexpr int V = D / 32;
  extern __shared__ __align__(16) float room[];
  const paged_attention_attrs& a = p.attrs;
  int warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Room<G, D> own(room, warps);
  int sharing = a.heads / a.kvHeads, portions = (sharing + G - 1) / G, group = blockIdx.y / portions, before = blockIdx.y % portions * G;
  int heads = min(G, sharing - before), head = group * sharing + before;
  long long t = blockIdx.x;
  int at = p.position[t * p.positionStride], first = a.window > 0 ? max(0, at - a.window + 1) : 0;
  const int* pages = p.pages + t * p.pagesStride;

  const T* query = static_cast<const T*>(p.q) + t * p.qStride + head * a.headDim;
  for (int i = threadIdx.x; i < G * D; i += blockDim.x) {
    int g = i / D, c = i % D;
    own.q[i] = g < heads && c < a.headDim ? toFloat(query[g * a.headDim + c]) : 0.0f;
  }
  __syncthreads();

  float top[G], total[G], acc[G][V];
#pragma unroll
  for (int g = 0; g < G; g++) {
    top[g] = lowest();
    total[g] = 0;
#pragma unroll
    for (int i = 0; i < V; i++) acc[g][i] = 0;
  }
  bool hasValues = lane * V < a.valueDim;
  for (int chunk = first / kChunk + warp; chunk * kChunk <= at; chunk += warps) {
    // a page holds whole chunks
    int from = chunk * kChunk;
    long long row = static_cast<long long>(pages[from / a.page]) * a.page + from % a.page;
    int lo = max(first - from, 0), hi = min(at - from, kChunk - 1);
    bool seen = lane >= lo && lane <= hi;
    float s[G] = {};
    if (seen) {
      const T* key = static_cast<const T*>(p.k) + (row + lane) * p.kStride + group * a.headDim;
#pragma unroll 4
      for (int c = 0; c < a.headDim; c += 8) {
        float x[8];
        load<T, 8>(key + c, x);
#pragma unroll
        for (int g = 0; g < G; g++) {
          float low[4], high[4];
          load<float, 4>(own.q + g * D + c, low);
          load<float, 4>(own.q + g * D + c + 4, high);
#pragma unroll
          for (int i = 0; i < 4; i++) s[g] += x[i] * low[i] + x[4 + i] * high[i];
        }
      }
    }
    float weight[G];
#pragma unroll
    for (int g = 0; g < G; g++) {
      s[g] *= a.scale;
      if (a.softCap > 0) s[g] = a.softCap * tanhf(s[g] / a.softCap);
      float best = fmaxf(top[g], warpMax(seen ? s[g] : lowest())), old = top[g] == lowest() ? 0.0f : expf(top[g] - best);
      weight[g] = seen ? expf(s[g] - best) : 0.0f;
      top[g] = best;
      total[g] = total[g] * old + weight[g];
#pragma unroll
      for (int i = 0; i < V; i++) acc[g][i] *= old;
    }
    const T* value = static_cast<const T*>(p.v) + row * p.vStride + group * a.valueDim + lane * V;
#pragma unroll 8
    for (int j = lo; j <= hi; j++) {
      float x[V] = {};
      if (hasValues) load<T, V>(value + static_cast<long long>(j) * p.vStride, x);
#pragma unroll
      for (int g = 0; g < G; g++) {
        float w = __shfl_sync(0xffffffffu, weight[g], j);
#pragma unroll
        for (int i = 0; i < V; i++) acc[g][i] += w * x[i];
      }
    }
  }

#pragma unroll
  for (int g = 0; g < G; g++) {
    // a lane has the weights of its own keys
    float sum = warpSum(total[g]);
    if (lane == 0) own.tops[warp * G + g] = top[g], own.totals[warp * G + g] = sum;
#pragma unroll
    for (int i = 0; i < V; i++) own.sums[(warp * G + g) * D + lane * V + i] = acc[g][i];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < heads * D; i += blockDim.x) {
    int g = i / D, c = i % D;
    float sink = sinkOf(p, head + g), best = sink;
    for (int w = 0; w < warps; w++) best = fmaxf(best, own.tops[w * G + g]);
    float all = sink == lowest() ? 0.0f : expf(sink - best), sum = 0;
    for (int w = 0; w < warps; w++) {
      float share = own.tops[w * G + g] == lowest() ? 0.0f : expf(own.tops[w * G + g] - best);
      all += share * own.totals[w * G + g];
      sum += share * own.sums[(w * G + g) * D + c];
    }
    if (c < a.valueDim) static_cast<T*>(p.o)[t * p.oStride + (head + g) * a.valueDim + c] = fromFloat<T>(all == 0 ? 0.0f : sum / all);
    if (c == 0) p.lse[t * p.lseStride + head + g] = all == 0 ? lowest() : best + logf(all);
  }
}

// `SUMS` of cuda.ts: warps that fit
__host__ __device__ constexpr int threadsOf(int floats) { return floats >= 2048 ? 128 : floats >= 1024 ? 256 : 512; }
#define GROUP(suffix, T, G, D) \
  extern "C" __global__ void __launch_bounds__(threadsOf(G * D)) paged_group##G##_of##D##_##suffix(Paged p) { pagedGroup<T, G, D>(p); }
#define SIZES(suffix, T, G) GROUP(suffix, T, G, 64) GROUP(suffix, T, G, 128) GROUP(suffix, T, G, 256)
#define GROUPS(suffix, T) SIZES(suffix, T, 1) SIZES(suffix, T, 4) SIZES(suffix, T, 8)
FOR_TYPES(GROUPS)
