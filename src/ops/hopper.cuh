// Hopper's own instructions (sm_90a): asynchronous copies of tiles into shared memory, the barriers that tell of them, clusters of blocks,
// and a warpgroup's matrix product. PTX ISA: mbarrier, cp.async.bulk.tensor, wgmma.mma_async. Comes after cuda.cuh.
#pragma once

// CUtensorMap: what the launcher makes of a tile in cuda-launch.ts, or a kernel in attention/copies.cuh
struct alignas(64) Map {
  unsigned char bytes[128];
};

using Barrier = unsigned long long;

__device__ __forceinline__ void initBarrier(Barrier* b, int arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(b)), "r"(arrivals) : "memory"); }
// after the barriers of a block are made, before its threads (or the cluster's blocks) meet
__device__ __forceinline__ void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ __forceinline__ void arrive(Barrier* b) { asm volatile("{.reg .b64 t; mbarrier.arrive.shared::cta.b64 t, [%0];}" ::"r"(sharedAddress(b)) : "memory"); }
// at the same barrier of another block of the cluster
__device__ __forceinline__ void arriveAt(Barrier* b, int block) {
  asm volatile("{.reg .b32 a; mapa.shared::cluster.u32 a, %0, %1; mbarrier.arrive.shared::cluster.b64 _, [a];}" ::"r"(sharedAddress(b)), "r"(block) : "memory");
}
// arrives; the phase ends when that many bytes have come too
__device__ __forceinline__ void arriveWith(Barrier* b, int bytes) {
  asm volatile("{.reg .b64 t; mbarrier.arrive.expect_tx.shared::cta.b64 t, [%0], %1;}" ::"r"(sharedAddress(b)), "r"(bytes) : "memory");
}
// until the phase of this parity has ended
__device__ __forceinline__ void await(Barrier* b, int parity) {
  unsigned done;
  do {
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(sharedAddress(b)), "r"(parity) : "memory");
  } while (!done);
}

// a ring of buffers: which one, and the parity of its phase
template <int STAGES> struct Ring {
  int stage = 0, parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == STAGES) stage = 0, parity ^= 1;
  }
};

__device__ __forceinline__ int clusterRank() {
  unsigned r;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}
__device__ __forceinline__ void clusterSync() { asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory"); }
// THREADS threads, at one of the hardware's barriers (0 is __syncthreads')
template <int THREADS> __device__ __forceinline__ void meet(int barrier) { asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(THREADS) : "memory"); }

// has the copy engine fetch a map before it is used
__device__ __forceinline__ void prefetchMap(const Map& map) { asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory"); }
// A tile that starts at (row, column) of the map's matrix; zeros beyond its edges.
__device__ __forceinline__ void copyTile(void* to, const Map& map, Barrier* b, int row, int column) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(sharedAddress(to)), "l"(&map), "r"(sharedAddress(b)),
               "r"(column), "r"(row)
               : "memory");
}
// of the `which`th matrix of a stack
__device__ __forceinline__ void copyTileOf(void* to, const Map& map, Barrier* b, int which, int row, int column) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(sharedAddress(to)), "l"(&map),
               "r"(sharedAddress(b)), "r"(column), "r"(row), "r"(which)
               : "memory");
}
// a tile (copyTile) to the same place in every block of the cluster that `blocks` has a bit for
__device__ __forceinline__ void copyTileTo(void* to, const Map& map, Barrier* b, int row, int column, unsigned short blocks) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(sharedAddress(to)), "l"(&map),
               "r"(sharedAddress(b)), "r"(column), "r"(row), "h"(blocks)
               : "memory");
}
// ordinary stores to shared memory come before what the copy engine reads after the next barrier
__device__ __forceinline__ void publishShared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ __forceinline__ void storeTile(const Map& map, const void* from, int row, int column) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map), "r"(sharedAddress(from)), "r"(column), "r"(row) : "memory");
}
__device__ __forceinline__ void commitStores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// until all but the newest PENDING groups have read their shared memory
template <int PENDING> __device__ __forceinline__ void waitStores() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory"); }

template <int REGISTERS> __device__ __forceinline__ void fewerRegisters() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS)); }
template <int REGISTERS> __device__ __forceinline__ void moreRegisters() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS)); }

// Operands of a product lie in shared memory as panels of 128 bytes a row, swizzled (SWIZZLE_128B). Rows of a panel are rows of the operand
// that the sum runs along, or, `panel` bytes from one panel to the next, rows that the sum counts.
__device__ __forceinline__ unsigned long long operand(unsigned at, unsigned panel = 16) {
  constexpr unsigned long long SWIZZLE = 1ull << 62, EIGHT_ROWS = 1024ull >> 4 << 32;
  return SWIZZLE | EIGHT_ROWS | static_cast<unsigned long long>(panel >> 4) << 16 | (at & 0x3ffff) >> 4;
}
// from one 16 of the sum to the next, in an operand's units of 16 bytes
template <bool COUNTS> constexpr int kStep = (COUNTS ? 16 * 128 : 16 * 2) / 16;

__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING> __device__ __forceinline__ void waitProducts() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory"); }
// What is read of accumulators below is read below the wait above.
template <int N> __device__ __forceinline__ void settle(float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(x[i])::"memory");
}

// c (64 × N in f32) = a · b, or += where `add` is not 0; K = 16. COUNTS: rows of b's panels are those the sum counts; it runs along a's.
// Who knows it beforehand says ADD: `add` takes a register, and the compiler then places the code around it otherwise.
#define R8(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3]), "+f"(c[i + 4]), "+f"(c[i + 5]), "+f"(c[i + 6]), "+f"(c[i + 7])
#define R32(i) R8(i), R8(i + 8), R8(i + 16), R8(i + 24)
#define R64(i) R32(i), R32(i + 32)
#define R96(i) R64(i), R32(i + 64)
#define R128(i) R64(i), R64(i + 64)
#define N32 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define N64                                                                                                                  \
  N32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60" \
  ",%61,%62,%63"
#define N96                                                                                                                  \
  N64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92" \
  ",%93,%94,%95"
#define N128                                                                                                                  \
  N96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119" \
  ",%120,%121,%122,%123,%124,%125,%126,%127"
#define WGMMA(COLUMNS, C, A, B, ADDS, TRANS, adds) \
  asm volatile("{.reg .pred p; setp.ne.b32 p, " ADDS ", 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, " A ", " B ", p, 1, 1, 0, " TRANS ";}" \
               : R##C(0)                           \
               : "l"(a), "l"(b), adds, "n"(COUNTS ? 1 : 0))
#define MULTIPLY(COLUMNS, C, A, B, ADDS, TRANS)                                                                                          \
  template <bool COUNTS> __device__ __forceinline__ void multiply(float (&c)[C], unsigned long long a, unsigned long long b, int add) {  \
    WGMMA(COLUMNS, C, A, B, ADDS, TRANS, "r"(add));                                                                                      \
  }                                                                                                                                      \
  template <bool COUNTS, bool ADD> __device__ __forceinline__ void multiply(float (&c)[C], unsigned long long a, unsigned long long b) { \
    WGMMA(COLUMNS, C, A, B, ADDS, TRANS, "n"(ADD ? 1 : 0));                                                                              \
  }
MULTIPLY(64, 32, "%32", "%33", "%34", "%35")
MULTIPLY(128, 64, "%64", "%65", "%66", "%67")
MULTIPLY(192, 96, "%96", "%97", "%98", "%99")
MULTIPLY(256, 128, "%128", "%129", "%130", "%131")
#undef MULTIPLY
#undef WGMMA

// A warpgroup's accumulators: this thread has, of every 8 columns, two from `threadColumn` on, in rows threadRow and threadRow + 8.
__device__ __forceinline__ int threadRow() { return threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4; }
__device__ __forceinline__ int threadColumn() { return threadIdx.x % 4 * 2; }

// Where in a panel this lane names rows of the matrices that go between accumulators (16 rows × 16 columns) and shared memory.
__device__ __forceinline__ unsigned matrixAt(unsigned panel, int column16) {
  int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane % 16, chunk = column16 * 2 + lane / 16;
  return panel + row * 128 + ((chunk ^ row & 7) << 4);
}
__device__ __forceinline__ void storeMatrices(unsigned at, unsigned a, unsigned b, unsigned c, unsigned d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
// the same matrices with rows and columns exchanged
__device__ __forceinline__ void storeMatricesTransposed(unsigned at, unsigned a, unsigned b, unsigned c, unsigned d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
