// Reading prompts and decoding on the CPU as one TensorFlow op of our own, from tokens to sampled tokens, with keys and values
// written to the cache (src/generate/steps.ts). A decode step's arithmetic is small; as some hundred ops, most of its time goes
// into calling them.
//
// One lane of a vector is one token: activations are matrices [features, lanes], in panels of 32 lanes. A weight is read where it
// stands, once per step, and multiplied with as many tokens as a vector has lanes. No sum runs across lanes, so what becomes of a
// sequence does not depend on its neighbours. Tokens of -1 get no lane.
#include <cmath>

#include "tiles.h"
#include "vectors.h"

namespace {

/** Lanes of a panel. */
constexpr int64_t kPanel = 2 * kLanes;
/** Tokens that go through the model together when prompts are read: enough that reading the weights costs little. */
constexpr int64_t kMostLanes = 4 * kPanel;
/** Positions of a slot whose keys stand together: [head_dim, kKeys]. */
constexpr int64_t kKeys = kLanes;
/** Rows of a weight that are multiplied together, at most. */
constexpr int64_t kMostRows = 16;
/** Prefetching's word for the processor's second cache. */
constexpr int kFarCache = 2;
/** Logits of so many tokens are summed up by themselves, so that the sum over a large vocabulary stays exact. */
constexpr int64_t kBlock = 64;

/** Weights of a matrix, of float32 or bf16, where they stand. */
struct Matrix {
  const void *data;
  template <class Weight>
  const Weight *As() const {
    return static_cast<const Weight *>(data);
  }
};

INLINE float Widened(float number) { return number; }
INLINE float Widened(Bfloat16 number) {
  const uint32_t bits = uint32_t(number) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
INLINE void Keep(float value, float *to) { *to = value; }
/** Rounds to the nearest number of bf16, of two that are as near to the even one; NaN stays NaN. */
INLINE void Keep(float value, Bfloat16 *to) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  *to = value != value ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/** How a copy of the code multiplies: rows and vectors together, numbers rounded to bf16 or not, and what weights are made of. */
template <int rows, int vectors, bool rounded, class W>
struct Form {
  static constexpr int kRows = rows, kVectors = vectors;
  static constexpr bool kRounded = rounded;
  typedef W Weight;
};

/** The two matrices that are added to one: B [out, rank] · A [rank, in]; without them rank is 0. */
struct Adapter {
  const float *a, *b;
  int64_t rank;
};

/** A layer's matrices that can have an adapter, in the order of the op's inputs. */
enum Adapted { kQueryHeads, kKeyHeads, kValueHeads, kOutput, kGate, kUp, kDown, kAdapted };

struct Layer {
  const float *attention_norm, *ffn_norm;
  const float *query_bias, *key_bias, *value_bias, *query_norm, *key_norm;  // nullptr: none
  Matrix queries, keys, values, output, gate, up, down;
  void *cached_keys;    // [slots, kv_heads, capacity / kKeys, head_dim, kKeys]
  void *cached_values;  // [slots, kv_heads, capacity, head_dim]
  int64_t window;        // positions that a token sees, its own included
  bool is_rotated;       // queries and keys
  Adapter adapters[kAdapted];
};

struct Lane {
  int32_t slot, token, position;
  int64_t index;  // in the inputs
};

struct Model {
  int64_t vocab, dim, ffn_dim, heads, kv_heads, head_dim, capacity;
  Matrix embedding, head;
  const float *norm;
  std::vector<Layer> layers;
  const float *cosines, *sines;  // [capacity, head_dim], the first half of the sines negative
  float temperature, epsilon;
  float adapter_scale;
  int64_t most_rank;  // of all adapters, 0 where there is none
  bool is_rounded;  // products of numbers rounded to bf16
  bool is_bfloat16;  // the matrices
  bool caches_bfloat16;  // what cached keys and values are made of

  /** Multiplications per token of all layers. */
  double products() const {
    return (2.0 * heads * head_dim + 2.0 * kv_heads * head_dim + 3.0 * ffn_dim) * dim * layers.size();
  }
};

/** Some tokens on their way through the model, and what is sampled after them. */
struct Batch {
  const Model &model;
  std::vector<Lane> lanes;
  int64_t steps, inputs;  // 0 steps: keys and values are all that is wanted
  const float *uniforms;  // [steps, inputs]
  int32_t *sampled;       // [steps, inputs]
  float *logprobs;        // [steps, inputs]
  std::vector<float> memory;
  // All [panels, features, kPanel].
  float *x, *queries, *mixed, *gated, *logits;
  float *lowered;  // A · x of up to three matrices, scaled: [3, panels, rank, kPanel]
  float *scratch;  // of each member: scratch_size()
  Team team;

  int64_t used() const { return lanes.size(); }
  int64_t panels() const { return RoundedUp(used(), kPanel) / kPanel; }
  int64_t vectors() const { return RoundedUp(used(), kLanes) / kLanes; }
  /** Features that a member computes before they are used: a head, or a block of rows. */
  int64_t projected() const { return std::max(model.head_dim, kMostRows); }
  /** The most features that a product sums up. */
  int64_t inner() const { return std::max({model.dim, model.ffn_dim, model.heads * model.head_dim}); }
  int64_t scratch_size() const {
    const int64_t sums = (model.vocab + kBlock - 1) / kBlock * kLanes, scores = RoundedUp(model.capacity, kKeys) + 2 * model.head_dim;
    return (model.dim + 2 * model.head_dim + projected()) * panels() * kPanel + std::max(sums, RoundedUp(scores, kLanes)) + tiles();
  }
  /** Memory of one member for products of rounded numbers: all lanes and a block of rows, of 2 bytes, and two blocks of sums. */
  int64_t tiles() const {
    return model.is_rounded ? RoundedUp(inner(), kTileInner) * (panels() * kPanel + kTileRows) / 2 + 2 * kTileRows * kLanes : 0;
  }
  void Allocate(int64_t threads) {
    const int64_t attended = model.heads * model.head_dim, words = steps > 0 ? model.vocab : 0;
    const int64_t size = panels() * kPanel;
    memory.assign(kLanes + (model.dim + 2 * attended + model.ffn_dim + words + 3 * model.most_rank) * size + threads * scratch_size(), 0.0f);
    x = memory.data();
    while (reinterpret_cast<uintptr_t>(x) % (4 * kLanes) != 0) x++;  // a vector is one line of the processor's cache
    queries = x + model.dim * size;
    mixed = queries + attended * size;
    gated = mixed + attended * size;
    logits = gated + model.ffn_dim * size;
    lowered = logits + words * size;
    scratch = lowered + 3 * model.most_rank * size;
  }
};

template <int kRows, int kVectors>
INLINE void StoreBlock(const Lanes (&sums)[kRows][kVectors], float *out, bool adds) {
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVectors; v++) {
      float *at = out + r * kPanel + v * kLanes;
      Store(at, adds ? Load(at) + sums[r][v] : sums[r][v]);
    }
  }
}

/**
 * out [kRows, kVectors · kLanes] = or += weight [kRows, inner] · x [inner, kVectors · kLanes], both within panels. The rows that
 * follow are asked for meanwhile: short rows end before the processor has seen by itself that they are read through.
 */
template <int kRows, int kVectors>
INLINE void Block(const float *weight, int64_t inner, const float *x, float *out, bool adds) {
  Lanes sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < inner; k++) {
    if (k % kLanes == 0)
      for (int r = 0; r < kRows; r++) __builtin_prefetch(weight + (kRows + r) * inner + k, 0, kFarCache);
    for (int v = 0; v < kVectors; v++) {
      const Lanes right = Load(x + k * kPanel + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; r++) sums[r][v] += weight[r * inner + k] * right;
    }
  }
  StoreBlock<kRows, kVectors>(sums, out, adds);
}

/**
 * The same of bf16 weights, two of which are widened at once, in registers. The sums run in the same order, so they are those of float32
 * weights of the same values, bit for bit.
 */
template <int kRows, int kVectors>
INLINE void Block(const Bfloat16 *weight, int64_t inner, const float *x, float *out, bool adds) {
  Lanes sums[kRows][kVectors] = {};
  const auto add = [&](int64_t k, int r, Lanes left) {
    for (int v = 0; v < kVectors; v++) sums[r][v] += left * Load(x + k * kPanel + v * kLanes);
  };
  int64_t k = 0;
  for (; k + 1 < inner; k += 2) {
    if (k % (2 * kLanes) == 0)
      for (int r = 0; r < kRows; r++) __builtin_prefetch(weight + (kRows + r) * inner + k, 0, kFarCache);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; r++) {
      int32_t pair;
      std::memcpy(&pair, weight + r * inner + k, sizeof pair);
      const IntLanes both = IntLanes{} + pair;
      add(k, r, ToFloats(both << 16));
      add(k + 1, r, ToFloats(both & int32_t(0xffff0000)));
    }
  }
  if (k < inner)
    for (int r = 0; r < kRows; r++) add(k, r, Lanes{} + Widened(weight[r * inner + k]));
  StoreBlock<kRows, kVectors>(sums, out, adds);
}

#ifdef HAS_TILES
/** 16 numbers rounded to bf16, each in 4 bytes. */
TILES_INLINE __m512i Rounded(const float *at) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(at))); }

/** x [inner, lanes] to [vectors, inner / kTileInner, kTileInner / 2, kLanes, 2], rounded: neighbouring features side by side. */
TILES void RoundX(const Batch &b, int64_t inner, const float *x, uint16_t *rounded) {
  for (int64_t vector = 0; vector < b.vectors(); vector++) {
    const float *from = x + vector / 2 * inner * kPanel + vector % 2 * kLanes;
    for (int64_t i = 0; i < RoundedUp(inner, kTileInner); i += 2, rounded += 2 * kLanes) {
      const __m512i low = i < inner ? Rounded(from + i * kPanel) : __m512i{};
      const __m512i high = i + 1 < inner ? Rounded(from + (i + 1) * kPanel) : __m512i{};
      _mm512_storeu_si512(rounded, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
}

/** The first of 32 weights, rounded. */
TILES_INLINE __m512i RoundedRow(const float *from, int64_t count) {
  const __m512 low = _mm512_maskz_loadu_ps(Mask(count), from), high = _mm512_maskz_loadu_ps(Mask(count - 16), from + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
TILES_INLINE __m512i RoundedRow(const Bfloat16 *from, int64_t count) {
  return _mm512_maskz_loadu_epi16(__mmask32(Mask(count - 16)) << 16 | Mask(count), from);
}

/** As Product, of numbers that RoundX has rounded. */
template <class Weight>
TILES void TileProduct(const Batch &b, const Weight *weight, Range rows, int64_t inner, const uint16_t *x, uint16_t *block, float *out,
                       int64_t height, bool adds) {
  const int64_t padded = RoundedUp(inner, kTileInner), tile = kTileRows * kTileInner;
  float *sums = reinterpret_cast<float *>(block + kTileRows * padded);  // [2, kTileRows, kLanes]
  for (int64_t row = rows.begin; row < rows.end; row += kTileRows) {
    const int64_t height_here = std::min(kTileRows, rows.end - row);
    for (int64_t k = 0; k < inner; k += kTileInner) {
      for (int64_t r = 0; r < kTileRows; r++) {
        const Weight *from = weight + (row + r) * inner + k;
        for (int64_t line = 0; line < kTileInner; line += kLanes) __builtin_prefetch(from + kTileRows * inner + line, 0, kFarCache);
        const int64_t count = r < height_here ? inner - k : 0;
        _mm512_storeu_si512(block + k * kTileRows + r * kTileInner, RoundedRow(from, count));
      }
    }
    // GCC does not know that loading a tile reads memory; that storing one may write anywhere, it does.
    asm volatile("" ::: "memory");
    for (int64_t vector = 0; vector < b.vectors(); vector += 2) {
      const bool both = vector + 1 < b.vectors();
      const uint16_t *first = x + vector * padded * kLanes, *second = first + (both ? padded * kLanes : 0);
      _tile_zero(0);
      _tile_zero(1);
      for (int64_t k = 0; k < padded / kTileInner; k++) {
        _tile_loadd(2, block + k * tile, 64);
        _tile_loadd(3, first + k * tile, 64);
        _tile_dpbf16ps(0, 2, 3);
        _tile_loadd(4, second + k * tile, 64);
        _tile_dpbf16ps(1, 2, 4);
      }
      _tile_stored(0, sums, 64);
      _tile_stored(1, sums + kTileRows * kLanes, 64);
      float *to = out + (vector / 2 * height + row) * kPanel;
      for (int64_t r = 0; r < height_here; r++) {
        for (int64_t v = 0; v <= both; v++) {
          float *at = to + r * kPanel + v * kLanes;
          const Lanes sum = Load(sums + (v * kTileRows + r) * kLanes);
          Store(at, adds ? Load(at) + sum : sum);
        }
      }
    }
  }
}
#endif

/**
 * What a product multiplies weights with: x itself, or as RoundX rounds it.
 *
 * @param tiles memory of tiles() numbers
 */
template <class F>
INLINE float *RightOf(const Batch &b, int64_t inner, float *x, float *tiles) {
#ifdef HAS_TILES
  if constexpr (F::kRounded) {
    RoundX(b, inner, x, reinterpret_cast<uint16_t *>(tiles));
    return tiles;
  }
#endif
  return x;
}

/**
 * Some rows of out [rows, lanes] = or += weight [rows, inner] · x [inner, lanes].
 *
 * @param x as RightOf gives it
 * @param height features of out: how far apart its panels are
 */
template <class F>
INLINE void Product(const Batch &b, const typename F::Weight *weight, Range rows, int64_t inner, float *x, float *out, int64_t height,
                    bool adds) {
#ifdef HAS_TILES
  if constexpr (F::kRounded) {
    uint16_t *rounded = reinterpret_cast<uint16_t *>(x), *block = rounded + RoundedUp(inner, kTileInner) * b.panels() * kPanel;
    return TileProduct(b, weight, rows, inner, rounded, block, out, height, adds);
  }
#endif
  constexpr int kRows = F::kRows, kVectors = F::kVectors;
  const int64_t vectors = b.vectors();
  for (int64_t row = rows.begin; row < rows.end;) {
    const bool whole = row + kRows <= rows.end;
    for (int64_t vector = 0; vector < vectors;) {
      const int64_t panel = vector / 2, first = vector % 2 * kLanes;
      const typename F::Weight *left = weight + row * inner;
      const float *right = x + panel * inner * kPanel + first;
      float *to = out + (panel * height + row) * kPanel + first;
      const bool wide = vector + kVectors <= vectors;
      if (whole && wide) Block<kRows, kVectors>(left, inner, right, to, adds);
      else if (whole) Block<kRows, 1>(left, inner, right, to, adds);
      else Block<1, 1>(left, inner, right, to, adds);
      vector += whole && wide ? kVectors : 1;
    }
    row += whole ? kRows : 1;
  }
}

/** How adapters are multiplied: with float32 as it is, whatever the weights are. */
template <class F>
using PlainForm = Form<F::kRows <= 8 ? F::kRows : 8, F::kVectors, false, float>;

/** Where A · x of the matrix is, which is one of three at most that have the same x. */
INLINE float *LoweredOf(const Batch &b, int matrix) {
  const int which = matrix < kOutput ? matrix : matrix == kUp ? 1 : 0;
  return b.lowered + which * b.model.most_rank * b.panels() * kPanel;
}

/**
 * A member's part of A · x, scaled, of the adapters of matrices that have the same x; all members' when it returns.
 *
 * @param x [inner, lanes], not rounded
 */
template <class F>
INLINE void Lower(Batch &b, const Layer &layer, std::initializer_list<int> matrices, int64_t inner, float *x, int64_t member,
                  int64_t count) {
  if (b.model.most_rank == 0) return;
  for (const int matrix : matrices) {
    const Adapter &adapter = layer.adapters[matrix];
    if (adapter.rank == 0) continue;
    const Range rows = ShareOf(adapter.rank, 1, member, count);
    float *lowered = LoweredOf(b, matrix);
    Product<PlainForm<F>>(b, adapter.a, rows, inner, x, lowered, adapter.rank, false);
    for (int64_t panel = 0; panel < b.panels(); panel++)
      for (int64_t i = rows.begin * kPanel; i < rows.end * kPanel; i += kLanes) {
        float *at = lowered + panel * adapter.rank * kPanel + i;
        Store(at, Load(at) * b.model.adapter_scale);
      }
  }
  b.team.Wait(count);
}

/** Adds some rows of B · (A · x) to out, whose first row is the first of these. */
template <class F>
INLINE void Raise(const Batch &b, const Layer &layer, int matrix, Range rows, float *out, int64_t height) {
  const Adapter &adapter = layer.adapters[matrix];
  if (adapter.rank == 0) return;
  Product<PlainForm<F>>(b, adapter.b + rows.begin * adapter.rank, {0, rows.end - rows.begin}, adapter.rank, LoweredOf(b, matrix), out,
                        height, true);
}

/** RMS norm of every vector of x [dim, kPanel]; normed may be x. */
INLINE void NormPanel(int64_t dim, float epsilon, const float *weight, const float *x, float *normed) {
  for (int64_t lane = 0; lane < kPanel; lane += kLanes) {
    Lanes squares = {};
    for (int64_t i = lane; i < dim * kPanel; i += kPanel) squares += Load(x + i) * Load(x + i);
    Lanes inverse = squares / float(dim) + epsilon;
    for (int i = 0; i < kLanes; i++) inverse[i] = 1 / std::sqrt(inverse[i]);
    for (int64_t i = 0; i < dim; i++) Store(normed + i * kPanel + lane, Load(x + i * kPanel + lane) * inverse * weight[i]);
  }
}

/** RMS norm of every lane. */
INLINE void Norm(const Batch &b, const float *weight, float *normed) {
  const int64_t dim = b.model.dim;
  for (int64_t at = 0; at < b.panels() * dim * kPanel; at += dim * kPanel)
    NormPanel(dim, b.model.epsilon, weight, b.x + at, normed + at);
}

/** Adds a bias [features] to vectors [features, kPanel]. */
INLINE void AddBias(int64_t features, const float *bias, float *vectors) {
  for (int64_t i = 0; i < features; i++)
    for (float *at = vectors + i * kPanel; at < vectors + (i + 1) * kPanel; at += kLanes) Store(at, Load(at) + bias[i]);
}

/** Rotates one head's vectors [head_dim, kPanel] by cosines and sines [head_dim, kPanel]. */
INLINE void Rotate(int64_t head_dim, const float *cosines, const float *sines, float *vectors) {
  for (int64_t low = 0, high = head_dim / 2 * kPanel; high < head_dim * kPanel; low += kLanes, high += kLanes) {
    const Lanes first = Load(vectors + low), second = Load(vectors + high);
    Store(vectors + low, first * Load(cosines + low) + second * Load(sines + low));
    Store(vectors + high, second * Load(cosines + high) + first * Load(sines + high));
  }
}

/** Scores of the kKeys keys of a block [head_dim, kKeys]; asks for the next block's keys and for this one's values. */
template <class Cached>
INLINE Lanes Scores(const float *query, const Cached *keys, const Cached *values, int64_t head_dim) {
  Lanes sums[4] = {};  // one sum alone would have to wait for itself
  int64_t i = 0;
  for (; i + 4 <= head_dim; i += 4) {
    for (int x = 0; x < 4; x++) {
      __builtin_prefetch(keys + (head_dim + i + x) * kKeys, 0, kFarCache);
      __builtin_prefetch(values + (i + x) * kKeys, 0, kFarCache);
      sums[x] += query[i + x] * Load(keys + (i + x) * kKeys);
    }
  }
  for (; i < head_dim; i++) sums[0] += query[i] * Load(keys + i * kKeys);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/** The weighted mean of neighbouring vectors, some lanes of it. */
template <int kWidth, class Cached>
INLINE void Mix(const float *weights, const Cached *vectors, int64_t step, int64_t count, float scale, float *mixed) {
  Lanes even[kWidth] = {}, odd[kWidth] = {};
  for (int64_t i = 0; i + 1 < count; i += 2) {
    for (int x = 0; x < kWidth; x++) {
      even[x] += weights[i] * Load(vectors + i * step + x * kLanes);
      odd[x] += weights[i + 1] * Load(vectors + (i + 1) * step + x * kLanes);
    }
  }
  for (int x = 0; x < kWidth; x++) {
    if (count % 2) even[x] += weights[count - 1] * Load(vectors + (count - 1) * step + x * kLanes);
    Store(mixed + x * kLanes, (even[x] + odd[x]) * scale);
  }
}

/** Attention of one query to some of the first keys and values of a slot. */
template <class Cached>
INLINE void Attend(const float *query, const Cached *keys, const Cached *values, Range seen, int64_t head_dim, float *scores,
                   float *mixed) {
  const int64_t padded = RoundedUp(seen.end, kKeys), count = seen.end - seen.begin;
  const float scale = 1 / std::sqrt(float(head_dim));
  for (int64_t key = 0; key < padded; key += kKeys)
    Store(scores + key, Scores(query, keys + key * head_dim, values + key * head_dim, head_dim) * scale);
  std::fill(scores, scores + seen.begin, kMasked);
  std::fill(scores + seen.end, scores + padded, kMasked);
  const float inverse = 1 / Exponentiate(scores, padded).sum;
  scores += seen.begin, values += seen.begin * head_dim;
  int64_t i = 0;
  for (; i + 4 * kLanes <= head_dim; i += 4 * kLanes) Mix<4>(scores, values + i, head_dim, count, inverse, mixed + i);
  for (; i + 2 * kLanes <= head_dim; i += 2 * kLanes) Mix<2>(scores, values + i, head_dim, count, inverse, mixed + i);
  for (; i + kLanes <= head_dim; i += kLanes) Mix<1>(scores, values + i, head_dim, count, inverse, mixed + i);
  for (; i < head_dim; i++) {
    float sum = 0;
    for (int64_t key = 0; key < count; key++) sum += scores[key] * Widened(values[key * head_dim + i]);
    mixed[i] = sum * inverse;
  }
}

/** Where a lane's vector of one head begins in [panels, heads, head_dim, kPanel]; its numbers are kPanel apart. */
INLINE int64_t PlaceOf(int64_t lane, int64_t head, int64_t heads, int64_t head_dim) {
  return ((lane / kPanel * heads + head) * head_dim) * kPanel + lane % kPanel;
}

/** Attention of one token: the query heads of one head of keys and values. */
template <class Cached>
INLINE void AttendLane(const Batch &b, const Layer &layer, int64_t step, int64_t lane, int64_t kv_head, float *scratch) {
  const Model &m = b.model;
  const int64_t groups = m.heads / m.kv_heads, size = m.head_dim;
  const auto [slot, token, position, index] = b.lanes[lane];
  const int64_t count = position + step + 1, hidden = std::max<int64_t>(0, count - layer.window);
  const int64_t begin = hidden / kKeys * kKeys;  // blocks that are hidden as a whole are not read
  const int64_t cached = (slot * m.kv_heads + kv_head) * m.capacity * size + begin * size;
  const Cached *keys = static_cast<const Cached *>(layer.cached_keys) + cached;
  const Cached *values = static_cast<const Cached *>(layer.cached_values) + cached;
  float *query = scratch, *mixed = scratch + size, *scores = scratch + 2 * size;
  for (int64_t head = kv_head * groups; head < (kv_head + 1) * groups; head++) {
    const int64_t at = PlaceOf(lane, head, m.heads, size);
    for (int64_t i = 0; i < size; i++) query[i] = b.queries[at + i * kPanel];
    Attend(query, keys, values, {hidden - begin, count - begin}, size, scores, mixed);
    for (int64_t i = 0; i < size; i++) b.mixed[at + i * kPanel] = mixed[i];
  }
}

/** Writes one head's keys or values of every lane [panels, head_dim, kPanel] to the cache. */
template <class Cached>
INLINE void Cache(const Batch &b, const Layer &layer, int64_t step, int64_t head, bool is_value, const float *vectors) {
  const Model &m = b.model;
  const int64_t size = m.head_dim;
  for (int64_t lane = 0; lane < b.used(); lane++) {
    const auto [slot, token, first, index] = b.lanes[lane];
    const int64_t position = first + step, cached = (slot * m.kv_heads + head) * m.capacity * size;
    const float *from = vectors + PlaceOf(lane, 0, 1, size);
    Cached *value = static_cast<Cached *>(layer.cached_values) + cached + position * size;
    Cached *key = static_cast<Cached *>(layer.cached_keys) + cached + position / kKeys * kKeys * size + position % kKeys;
    for (int64_t i = 0; i < size; i++) Keep(from[i * kPanel], is_value ? value + i : key + i * kKeys);
  }
}

/** One head's queries, keys or values of every lane; queries stay, keys and values go to the cache. */
template <class F>
INLINE void Project(const Batch &b, const Layer &layer, int64_t step, int64_t unit, float *normed, const float *cosines,
                    const float *sines, float *projected) {
  const Model &m = b.model;
  const int64_t size = m.head_dim, panel_size = size * kPanel;
  const bool is_query = unit < m.heads, is_value = unit >= m.heads + m.kv_heads;
  const int64_t head = is_query ? unit : (unit - m.heads) % m.kv_heads;
  const Matrix &matrix = is_query ? layer.queries : is_value ? layer.values : layer.keys;
  const auto *weight = matrix.As<typename F::Weight>() + head * size * m.dim;
  float *out = is_query ? b.queries + head * panel_size : projected;
  const int64_t height = is_query ? m.heads * size : size;
  Product<F>(b, weight, {0, size}, m.dim, normed, out, height, false);
  Raise<F>(b, layer, is_query ? kQueryHeads : is_value ? kValueHeads : kKeyHeads, {head * size, (head + 1) * size}, out, height);
  const float *bias = is_query ? layer.query_bias : is_value ? layer.value_bias : layer.key_bias;
  const float *norm = is_query ? layer.query_norm : is_value ? nullptr : layer.key_norm;
  for (int64_t panel = 0; panel < b.panels(); panel++) {
    float *vectors = out + panel * height * kPanel;
    if (bias != nullptr) AddBias(size, bias + head * size, vectors);
    if (norm != nullptr) NormPanel(size, m.epsilon, norm, vectors, vectors);
    if (!is_value && layer.is_rotated) Rotate(size, cosines + panel * panel_size, sines + panel * panel_size, vectors);
  }
  if (is_query) return;
  if (m.caches_bfloat16) Cache<Bfloat16>(b, layer, step, head, is_value, projected);
  else Cache<float>(b, layer, step, head, is_value, projected);
}

/** The likeliest token of each lane of a vector, the first of equals. */
INLINE IntLanes Likeliest(const float *logits, int64_t vocab) {
  Lanes most = Load(logits);
  IntLanes tokens = {};
  for (int64_t i = 1; i < vocab; i++) {
    const Lanes next = Load(logits + i * kPanel);
    tokens = Select(next > most, IntLanes{} + int32_t(i), tokens);
    most = Select(next > most, next, most);
  }
  return tokens;
}

/** Chooses a token for each lane of a vector by its uniform number, or the likeliest; writes it and its log-probability. */
INLINE void Sample(Batch &b, int64_t step, int64_t first, float *block_sums) {
  const int64_t vocab = b.model.vocab;
  const float *logits = b.logits + first / kPanel * vocab * kPanel + first % kPanel;
  const bool is_greedy = b.model.temperature == 0;
  const float inverse = is_greedy ? 1 : 1 / b.model.temperature;
  const IntLanes likeliest = Likeliest(logits, vocab);
  Lanes most;
  for (int i = 0; i < kLanes; i++) most[i] = logits[likeliest[i] * kPanel + i];
  Lanes total = {};
  for (int64_t begin = 0; begin < vocab; begin += kBlock) {
    Lanes sum = {};
    for (int64_t i = begin; i < std::min(vocab, begin + kBlock); i++) sum += Exp((Load(logits + i * kPanel) - most) * inverse);
    Store(block_sums + begin / kBlock * kLanes, sum);
    total += sum;
  }
  for (int64_t lane = first; lane < std::min(b.used(), first + kLanes); lane++) {
    const int64_t i = lane - first, at = step * b.inputs + b.lanes[lane].index;
    int64_t token = likeliest[i];
    if (!is_greedy) {
      // The first token up to which the weights sum up to more than this; first by blocks, then within one, where they add up in
      // the order in which its sum was made, so that the sum is reached.
      float rest = b.uniforms[at] * total[i];
      for (token = 0; token + kBlock < vocab && block_sums[token / kBlock * kLanes + i] <= rest; token += kBlock)
        rest -= block_sums[token / kBlock * kLanes + i];
      rest = std::min(rest, std::nextafter(block_sums[token / kBlock * kLanes + i], 0.0f));
      float sum = 0;
      for (const int64_t last = std::min(vocab, token + kBlock) - 1; token < last; token++) {
        sum += Exp((Lanes{} + logits[token * kPanel + i] - most[i]) * inverse)[0];
        if (sum > rest) break;
      }
    }
    b.lanes[lane].token = token;
    b.sampled[at] = token;
    b.logprobs[at] = (logits[token * kPanel + i] - most[i]) * inverse - std::log(total[i]);
  }
}

/** One member's part of it all. */
template <class F>
INLINE void Run(Batch &b, int64_t member, int64_t count) {
  typedef typename F::Weight Weight;
  constexpr int kRows = F::kRows;
  static_assert(kRows <= kMostRows);
  const Model &m = b.model;
  const int64_t size = b.panels() * kPanel, attended = m.heads * m.head_dim;
  float *normed = b.scratch + member * b.scratch_size(), *projected = normed + m.dim * size;
  float *cosines = projected + b.projected() * size, *sines = cosines + m.head_dim * size, *scratch = sines + m.head_dim * size;
  float *tiles = b.scratch + (member + 1) * b.scratch_size() - b.tiles();
  const Range features = ShareOf(m.dim, kRows, member, count), ffn_features = ShareOf(m.ffn_dim, kRows, member, count);
  const Range heads = ShareOf(m.heads + 2 * m.kv_heads, 1, member, count), words = ShareOf(m.vocab, kRows, member, count);
  int64_t step = 0;
  do {
    for (int64_t lane = 0; lane < b.used(); lane++) {
      const Weight *vector = m.embedding.As<Weight>() + b.lanes[lane].token * m.dim;
      const int64_t row = (b.lanes[lane].position + step) * m.head_dim;
      const int64_t at = PlaceOf(lane, 0, 1, m.dim), angle = PlaceOf(lane, 0, 1, m.head_dim);
      for (int64_t i = features.begin; i < features.end; i++) b.x[at + i * kPanel] = Widened(vector[i]);
      for (int64_t i = 0; i < m.head_dim; i++) {
        cosines[angle + i * kPanel] = m.cosines[row + i];
        sines[angle + i * kPanel] = m.sines[row + i];
      }
    }
    for (const Layer &layer : m.layers) {
      b.team.Wait(count);
      Norm(b, layer.attention_norm, normed);
      Lower<F>(b, layer, {kQueryHeads, kKeyHeads, kValueHeads}, m.dim, normed, member, count);
      float *attention_input = RightOf<F>(b, m.dim, normed, tiles);
      for (int64_t unit = heads.begin; unit < heads.end; unit++)
        Project<F>(b, layer, step, unit, attention_input, cosines, sines, projected);
      if (b.steps == 0 && &layer == &m.layers.back()) return;
      b.team.Wait(count);
      for (int64_t task = member; task < b.used() * m.kv_heads; task += count) {
        const int64_t lane = task / m.kv_heads, head = task % m.kv_heads;
        if (m.caches_bfloat16) AttendLane<Bfloat16>(b, layer, step, lane, head, scratch);
        else AttendLane<float>(b, layer, step, lane, head, scratch);
      }
      b.team.Wait(count);
      Lower<F>(b, layer, {kOutput}, attended, b.mixed, member, count);
      Product<F>(b, layer.output.As<Weight>(), features, attended, RightOf<F>(b, attended, b.mixed, tiles), b.x, m.dim, true);
      Raise<F>(b, layer, kOutput, features, b.x + features.begin * kPanel, m.dim);
      b.team.Wait(count);
      Norm(b, layer.ffn_norm, normed);
      Lower<F>(b, layer, {kGate, kUp}, m.dim, normed, member, count);
      float *ffn_input = RightOf<F>(b, m.dim, normed, tiles);
      for (int64_t row = ffn_features.begin; row < ffn_features.end; row += kRows) {
        const Range rows{row, std::min(ffn_features.end, row + kRows)};
        Product<F>(b, layer.gate.As<Weight>(), rows, m.dim, ffn_input, b.gated, m.ffn_dim, false);
        Product<F>(b, layer.up.As<Weight>() + row * m.dim, {0, rows.end - row}, m.dim, ffn_input, projected, kRows, false);
        Raise<F>(b, layer, kGate, rows, b.gated + row * kPanel, m.ffn_dim);
        Raise<F>(b, layer, kUp, rows, projected, kRows);
        for (int64_t panel = 0; panel < b.panels(); panel++) {
          float *gates = b.gated + (panel * m.ffn_dim + row) * kPanel;
          for (int64_t i = 0; i < (rows.end - row) * kPanel; i += kLanes) {
            const Lanes gate = Load(gates + i);
            Store(gates + i, gate * Logistic(gate) * Load(projected + panel * kRows * kPanel + i));
          }
        }
      }
      b.team.Wait(count);
      Lower<F>(b, layer, {kDown}, m.ffn_dim, b.gated, member, count);
      Product<F>(b, layer.down.As<Weight>(), features, m.ffn_dim, RightOf<F>(b, m.ffn_dim, b.gated, tiles), b.x, m.dim, true);
      Raise<F>(b, layer, kDown, features, b.x + features.begin * kPanel, m.dim);
    }
    b.team.Wait(count);
    Norm(b, m.norm, normed);
    Product<F>(b, m.head.As<Weight>(), words, m.dim, RightOf<F>(b, m.dim, normed, tiles), b.logits, m.vocab, false);
    b.team.Wait(count);
    for (int64_t first = member * kLanes; first < b.used(); first += count * kLanes) Sample(b, step, first, scratch);
    b.team.Wait(count);
  } while (++step < b.steps);
}

struct Part {
  Batch &batch;
  int64_t count;
};

/** The copy for what the matrices are made of. */
template <int kRows, int kVectors, bool kRounded>
INLINE void RunOf(const Part &part, int64_t member) {
  if (part.batch.model.is_bfloat16) Run<Form<kRows, kVectors, kRounded, Bfloat16>>(part.batch, member, part.count);
  else Run<Form<kRows, kVectors, kRounded, float>>(part.batch, member, part.count);
}

TARGET void Task(const Part &part, int64_t member) { RunOf<kRowsAtOnce, kVectorsAtOnce, false>(part, member); }
#ifdef HAS_TILES
TARGET void TaskTiles(const Part &part, int64_t member) {
  StartTiles();
  RunOf<kTileRows, 2, true>(part, member);
  EndTiles();
}
#endif

void RunPart(const Part &part, int64_t member) {
#ifdef HAS_TILES
  if (part.batch.model.is_rounded) return TaskTiles(part, member);
#endif
  Task(part, member);
}

void RunBatch(Batch &batch) {
  const double words = batch.steps > 0 ? double(batch.model.vocab) * batch.model.dim : 0;
  // The members wait for each other several times a layer, so it is a layer that has to be worth a thread.
  const int64_t threads = ThreadsFor(2 * (batch.model.products() + words) / batch.model.layers.size() * batch.used());
  batch.Allocate(threads);
  OnThreads(threads, [&](int64_t member, int64_t count) { RunPart({batch, count}, member); });
}

struct Settings {
  const int32_t layers;
  const float temperature, epsilon, adapter_scale;
  const bool is_rounded, is_biased, is_normed, caches_bfloat16;
  /** One number per adapter says where it belongs: its layer times kAdapted, plus its matrix. */
  const std::vector<int32_t> adapted;
  /** Numbers of the layers whose queries and keys are not rotated. */
  const std::vector<int32_t> unrotated;

  explicit Settings(Attributes attributes)
      : layers(attributes.Int("L")),
        temperature(attributes.Float("temperature")),
        epsilon(attributes.Float("epsilon")),
        adapter_scale(attributes.Float("adapter_scale")),
        is_rounded(attributes.Bool("rounded")),
        is_biased(attributes.Bool("biased")),
        is_normed(attributes.Bool("normed")),
        caches_bfloat16(attributes.Bool("cached_bfloat16")),
        adapted(attributes.Ints("adapted")),
        unrotated(attributes.Ints("unrotated")) {}
};

/**
 * The inputs of one call, one role after another; a list has one tensor per layer, or none for a role that the model lacks, or one per
 * adapter.
 */
struct Inputs {
  typedef std::vector<TF_Tensor *> List;
  TF_Tensor *embedding, *head;
  List queries, keys, values, outputs, gates, ups, downs;
  List attention_norms, query_biases, key_biases, value_biases, query_norms, key_norms, ffn_norms;
  TF_Tensor *norm;
  List cached_keys, cached_values, adapters_a, adapters_b;
  TF_Tensor *windows, *tokens, *slots, *positions, *uniforms, *cosines, *sines;

  Inputs(Call &call, const Settings &settings) {
    int next = 0;
    const auto one = [&] { return call.Input(next++); };
    const auto some = [&](size_t count) {
      List tensors;
      while (tensors.size() < count) tensors.push_back(one());
      return tensors;
    };
    const auto list = [&](bool is_there = true) { return some(is_there ? settings.layers : 0); };
    embedding = one(), head = one();
    for (List *matrices : {&queries, &keys, &values, &outputs, &gates, &ups, &downs}) *matrices = list();
    attention_norms = list();
    for (List *biases : {&query_biases, &key_biases, &value_biases}) *biases = list(settings.is_biased);
    for (List *norms : {&query_norms, &key_norms}) *norms = list(settings.is_normed);
    ffn_norms = list();
    norm = one();
    cached_keys = list(), cached_values = list();
    adapters_a = some(settings.adapted.size()), adapters_b = some(settings.adapted.size());
    for (TF_Tensor **tensor : {&windows, &tokens, &slots, &positions, &uniforms, &cosines, &sines}) *tensor = one();
  }
};

Matrix MatrixOf(TF_Tensor *tensor) { return {TF_TensorData(tensor)}; }

float *FloatsOf(TF_Tensor *tensor) { return static_cast<float *>(TF_TensorData(tensor)); }

/** A layer's vector of a role that the model may not have. */
const float *OptionalOf(const Inputs::List &list, int layer) { return list.empty() ? nullptr : FloatsOf(list.at(layer)); }

const int32_t *IntsOf(TF_Tensor *tensor, int64_t count, const char *name) {
  if (TF_TensorElementCount(tensor) != count)
    throw std::invalid_argument(std::string(name) + ": expected " + std::to_string(count) + " numbers, found " +
                                std::to_string(TF_TensorElementCount(tensor)));
  return static_cast<const int32_t *>(TF_TensorData(tensor));
}

Model ModelOf(const Inputs &in, const Settings &settings) {
  Model m;
  m.vocab = TF_Dim(in.embedding, 0);
  m.dim = TF_Dim(in.embedding, 1);
  m.capacity = TF_Dim(in.cosines, 0);
  m.head_dim = TF_Dim(in.cosines, 1);
  m.heads = TF_Dim(in.queries[0], 0) / m.head_dim;
  m.kv_heads = TF_Dim(in.keys[0], 0) / m.head_dim;
  m.ffn_dim = TF_Dim(in.gates[0], 0);
  m.embedding = MatrixOf(in.embedding);
  m.is_bfloat16 = TF_TensorType(in.embedding) == TF_BFLOAT16;
  const int32_t *windows = IntsOf(in.windows, settings.layers, "windows");
  for (int i = 0; i < settings.layers; i++)
    m.layers.push_back({FloatsOf(in.attention_norms[i]), FloatsOf(in.ffn_norms[i]), OptionalOf(in.query_biases, i),
                        OptionalOf(in.key_biases, i), OptionalOf(in.value_biases, i), OptionalOf(in.query_norms, i),
                        OptionalOf(in.key_norms, i), MatrixOf(in.queries[i]), MatrixOf(in.keys[i]), MatrixOf(in.values[i]),
                        MatrixOf(in.outputs[i]), MatrixOf(in.gates[i]), MatrixOf(in.ups[i]), MatrixOf(in.downs[i]),
                        TF_TensorData(in.cached_keys[i]), TF_TensorData(in.cached_values[i]), windows[i], true, {}});
  for (const int32_t layer : settings.unrotated) m.layers.at(layer).is_rotated = false;
  m.most_rank = 0;
  for (size_t i = 0; i < settings.adapted.size(); i++) {
    const int32_t place = settings.adapted[i];
    const int64_t rank = TF_Dim(in.adapters_a[i], 0);
    m.layers.at(place / kAdapted).adapters[place % kAdapted] = {FloatsOf(in.adapters_a[i]), FloatsOf(in.adapters_b[i]), rank};
    m.most_rank = std::max(m.most_rank, rank);
  }
  m.adapter_scale = settings.adapter_scale;
  m.norm = FloatsOf(in.norm);
  m.head = MatrixOf(in.head);
  m.cosines = FloatsOf(in.cosines);
  m.sines = FloatsOf(in.sines);
  m.temperature = settings.temperature;
  m.epsilon = settings.epsilon;
  m.is_rounded = settings.is_rounded && MayUseTiles();
  m.caches_bfloat16 = settings.caches_bfloat16;
  return m;
}

void ComputeDecode(const Settings &settings, TF_OpKernelContext *context) {
  Call call(context);
  const Inputs in(call, settings);
  const Model model = ModelOf(in, settings);
  const int64_t steps = TF_Dim(in.uniforms, 0), inputs = TF_Dim(in.uniforms, 1);
  const int32_t *tokens = IntsOf(in.tokens, inputs, "tokens"), *slots = IntsOf(in.slots, inputs, "slots");
  const int32_t *positions = IntsOf(in.positions, inputs, "positions");
  if (model.capacity == 0 || model.capacity % kKeys != 0) throw std::invalid_argument("a capacity that blocks of keys do not fill");
  const int64_t bytes = TF_TensorByteSize(in.cached_keys[0]);
  for (const Inputs::List &list : {in.cached_keys, in.cached_values})
    for (TF_Tensor *cached : list)
      if (int64_t(TF_TensorByteSize(cached)) != bytes) throw std::invalid_argument("caches of different sizes");
  const int64_t number = model.caches_bfloat16 ? sizeof(Bfloat16) : sizeof(float);
  const int64_t cached = bytes / (model.kv_heads * model.capacity * model.head_dim * number);  // slots
  std::vector<Lane> lanes;
  for (int64_t i = 0; i < inputs; i++) {
    if (tokens[i] < 0) continue;
    if (tokens[i] >= model.vocab) throw std::invalid_argument("a token beyond the vocabulary");
    if (positions[i] < 0 || positions[i] + std::max<int64_t>(1, steps) > model.capacity)
      throw std::invalid_argument("a position beyond the cache");
    if (slots[i] < 0 || slots[i] >= cached) throw std::invalid_argument("a slot beyond the cache");
    lanes.push_back({slots[i], tokens[i], positions[i], i});
  }
  auto *sampled = reinterpret_cast<int32_t *>(call.Zeros(0, in.uniforms, 2, TF_INT32));
  float *logprobs = call.Zeros(1, in.uniforms, 2);
  const size_t most = steps == 0 ? kMostLanes : lanes.size();
  for (size_t begin = 0; begin < lanes.size(); begin += most) {
    const auto first = lanes.begin() + begin, last = lanes.begin() + std::min(lanes.size(), begin + most);
    Batch batch{model, {first, last}, steps, inputs, FloatsOf(in.uniforms), sampled, logprobs};
    RunBatch(batch);
  }
}

const bool registered = IsForThisProcessor() && [] {
  Register("LlamaDecode",
           {{"embedding: W", "head: W", "queries: L * W", "keys: L * W", "values: L * W", "outputs: L * W", "gates: L * W", "ups: L * W",
             "downs: L * W", "vectors: V * float", "norm: float", "cached_keys: L * float", "cached_values: L * float",
             "adapters_a: M * float", "adapters_b: M * float", "windows: int32", "tokens: int32", "slots: int32",
             "positions: int32", "uniforms: float", "cosines: float", "sines: float"},
            {"sampled: int32", "logprobs: float"},
            {"L: int >= 1", "V: int >= 1", "M: int >= 0", "W: {float, bfloat16}", "adapted: list(int) >= 0", "adapter_scale: float",
             "temperature: float", "epsilon: float", "rounded: bool", "biased: bool", "normed: bool", "cached_bfloat16: bool",
             "unrotated: list(int) >= 0"},
            true},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             const int uniforms = TF_ShapeInferenceContextNumInputs(context) - 3;
             SetShape(context, 0, uniforms, 2, status);
             SetShape(context, 1, uniforms, 2, status);
           },
           GuardedWith<Settings, ComputeDecode>, Created<Settings>, Deleted<Settings>);
  return true;
}();

}  // namespace
