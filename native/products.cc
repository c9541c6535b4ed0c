// Products of two matrices of numbers rounded to bf16, summed up in float32, by AMX: TensorFlow ops of our own for CPUs that have it.
// oneDNN's kernels reach a third of this, because between products of these sizes it is rounding and memory that take the time.
// Here every number is rounded once, and results are written along rows, to memory that has been asked for while tiles multiply.
#include "tiles.h"

#ifdef HAS_TILES
namespace {

/** Numbers of a tile. */
constexpr int64_t kTile = kTileRows * kTileInner;
/** Rows and columns of the result that stay in tiles while these run along the inner axis. */
constexpr int64_t kSquare = 2 * kTileRows;
/** Blocks: of the inner axis; of columns, whose rounded numbers then lie in the second cache; and what is rounded at once. */
constexpr int64_t kInner = 1024, kColumns = 256, kRoundedRows = 1024, kRoundedColumns = 8192;

/** One factor: its outer axis is that of the result, its inner one is summed over. */
struct Factor {
  const float *data;
  int64_t step;       // from row to row, as it lies in memory
  bool is_inner_row;  // rows lie along the inner axis
};

/** A 16 x 16 matrix of 4 bytes each, transposed. */
TILES_INLINE void Transpose(__m512i (&x)[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  for (int i = 0; i < 16; i += 8) {
    for (int j = i; j < i + 4; j++) {
      y[j] = _mm512_shuffle_i32x4(x[j], x[j + 4], 0x88);
      y[j + 4] = _mm512_shuffle_i32x4(x[j], x[j + 4], 0xdd);
    }
  }
  for (int i = 0; i < 8; i++) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
  }
}

/**
 * Rounds a block of a factor to tiles [outer / 16, inner / 32], with zeros where it ends.
 *
 * @param is_right tiles are [16 pairs of inner, 16 of outer, 2], as the right factor's have to be; else [16 of outer, 32 of inner]
 */
TILES void RoundBlock(const Factor &factor, Range outer, Range inner, bool is_right, uint16_t *to) {
  // Of two numbers of a pair, apart by 16 in a vector, side by side.
  const __m512i paired = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
                                          3, 18, 2, 17, 1, 16, 0);
  for (int64_t row = outer.begin; row < outer.end; row += kTileRows) {
    for (int64_t k = inner.begin; k < inner.end; k += kTileInner, to += kTile) {
      __m512i tile[16];
      for (int64_t i = 0; i < 16; i++) {
        if (factor.is_inner_row) {
          const float *from = factor.data + (row + i) * factor.step + k;
          const int64_t count = row + i < outer.end ? inner.end - k : 0;
          const __m512 low = _mm512_maskz_loadu_ps(Mask(count), from), high = _mm512_maskz_loadu_ps(Mask(count - 16), from + 16);
          tile[i] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        } else {
          const float *from = factor.data + (k + 2 * i) * factor.step + row;
          const int64_t count = outer.end - row, rest = inner.end - k - 2 * i;
          const __m512 low = _mm512_maskz_loadu_ps(Mask(rest > 0 ? count : 0), from);
          const __m512 high = _mm512_maskz_loadu_ps(Mask(rest > 1 ? count : 0), from + factor.step);
          tile[i] = _mm512_permutexvar_epi16(paired, (__m512i)_mm512_cvtne2ps_pbh(high, low));
        }
      }
      if (factor.is_inner_row == is_right) Transpose(tile);
      for (int64_t i = 0; i < 16; i++) _mm512_storeu_si512(to + i * kTileInner, tile[i]);
    }
  }
}

/** A square of the result, where it is whole within the matrix; else a copy. */
struct Square {
  float *at;
  int64_t step;
};

TILES_INLINE void LoadSquare(Square c) {
  _tile_loadd(0, c.at, 4 * c.step);
  _tile_loadd(1, c.at + kTileRows, 4 * c.step);
  _tile_loadd(2, c.at + kTileRows * c.step, 4 * c.step);
  _tile_loadd(3, c.at + kTileRows * c.step + kTileRows, 4 * c.step);
}

TILES_INLINE void StoreSquare(Square c) {
  _tile_stored(0, c.at, 4 * c.step);
  _tile_stored(1, c.at + kTileRows, 4 * c.step);
  _tile_stored(2, c.at + kTileRows * c.step, 4 * c.step);
  _tile_stored(3, c.at + kTileRows * c.step + kTileRows, 4 * c.step);
}

/** Adds the products of two rows of left tiles with two rows of right tiles, `count` tiles each, to the tiles 0 to 3. */
TILES_INLINE void MultiplyTiles(const uint16_t *left, const uint16_t *right, int64_t count, bool has_lower, bool has_second) {
  const uint16_t *lower = left + (has_lower ? count * kTile : 0), *second = right + (has_second ? count * kTile : 0);
  for (int64_t k = 0; k < count * kTile; k += kTile) {
    _tile_loadd(4, left + k, 64);
    _tile_loadd(6, right + k, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, second + k, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, lower + k, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

struct Product {
  int64_t rows, columns, inner;
  Factor left, right;
  float *out;              // [rows, columns]
  uint16_t *right_tiles;   // of all members
  uint16_t *left_tiles;    // of each member: left_size()
  Team team;

  /** Blocks of the inner axis, about equally long. */
  int64_t depth() const { return RoundedUp((inner + blocks() - 1) / blocks(), kTileInner); }
  int64_t blocks() const { return (inner + kInner - 1) / kInner; }
  int64_t left_size() const { return std::min(RoundedUp(rows, kSquare), kRoundedRows) * depth(); }
  int64_t right_size() const { return std::min(RoundedUp(columns, kSquare), kRoundedColumns) * depth(); }
};

/** The squares of some rows and a block of columns, added up over a block of the inner axis. */
TILES void Squares(const Product &p, Range rows, Range columns, int64_t tiles, bool adds, const uint16_t *left, const uint16_t *right) {
  alignas(64) float copy[kSquare * kSquare];
  for (int64_t row = rows.begin; row < rows.end; row += kSquare, left += kSquare / kTileRows * tiles * kTile) {
    const uint16_t *of_column = right;
    for (int64_t column = columns.begin; column < columns.end; column += kSquare, of_column += kSquare / kTileRows * tiles * kTile) {
      const int64_t height = std::min(kSquare, rows.end - row), width = std::min(kSquare, columns.end - column);
      float *out = p.out + row * p.columns + column;
      const bool is_whole = height == kSquare && width == kSquare;
      const Square square = is_whole ? Square{out, p.columns} : Square{copy, kSquare};
      const auto each_row = [&](auto body) {
        for (int64_t i = 0; i < height; i++) body(out + i * p.columns, copy + i * kSquare);
      };
      if (!adds) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      } else {
        if (!is_whole) each_row([&](float *of_out, float *of_copy) { std::copy_n(of_out, width, of_copy); });
        asm volatile("" ::: "memory");  // GCC does not know that loading a tile reads memory
        LoadSquare(square);
      }
      if (is_whole) {
        for (int64_t i = 0; i < kSquare; i++) {
          __builtin_prefetch(out + i * p.columns, 1);
          __builtin_prefetch(out + i * p.columns + kTileRows, 1);
        }
      }
      MultiplyTiles(left, of_column, tiles, height > kTileRows, width > kTileRows);
      StoreSquare(square);
      if (!is_whole) each_row([&](float *of_out, float *of_copy) { std::copy_n(of_copy, width, of_out); });
    }
  }
}

/** One member's part: some of the rows, and of rounding the right factor. */
TILES void RunMember(Product &p, int64_t member, int64_t count) {
  StartTiles();
  uint16_t *left = p.left_tiles + member * p.left_size();
  const Range own = ShareOf(p.rows, kSquare, member, count);
  for (int64_t k = 0; k < p.inner; k += p.depth()) {
    const Range inner{k, std::min(p.inner, k + p.depth())};
    const int64_t tiles = RoundedUp(inner.end - k, kTileInner) / kTileInner;
    for (int64_t first = 0; first < p.columns; first += kRoundedColumns) {
      const int64_t end = std::min(p.columns, first + kRoundedColumns);
      const Range share = ShareOf(end - first, kTileRows, member, count);
      RoundBlock(p.right, {first + share.begin, first + share.end}, inner, true, p.right_tiles + share.begin * tiles * kTileInner);
      p.team.Wait(count);
      for (int64_t row = own.begin; row < own.end; row += kRoundedRows) {
        const Range rows{row, std::min(own.end, row + kRoundedRows)};
        RoundBlock(p.left, rows, inner, false, left);
        for (int64_t column = first; column < end; column += kColumns)
          Squares(p, rows, {column, std::min(end, column + kColumns)}, tiles, k > 0, left,
                  p.right_tiles + (column - first) * tiles * kTileInner);
      }
      p.team.Wait(count);
    }
  }
  EndTiles();
}

/** Memory that is kept from one product to the next, because asking for it anew takes longer than using it. */
uint16_t *Scratch(int64_t size) {
  thread_local std::vector<uint16_t> memory;
  if (int64_t(memory.size()) < size) memory = std::vector<uint16_t>(size);
  return memory.data();
}

template <bool kTransposesLeft, bool kTransposesRight>
void ComputeProduct(TF_OpKernelContext *context) {
  if (!MayUseTiles()) throw std::invalid_argument("no AMX");
  Call call(context);
  TF_Tensor *left = call.Input(0), *right = call.Input(1);
  if (TF_NumDims(left) != 2 || TF_NumDims(right) != 2) throw std::invalid_argument("expected two matrices as factors");
  const int64_t rows = TF_Dim(left, kTransposesLeft), inner = TF_Dim(left, !kTransposesLeft), columns = TF_Dim(right, !kTransposesRight);
  if (TF_Dim(right, kTransposesRight) != inner) throw std::invalid_argument("factors of different inner sizes");
  Product product{rows, columns, inner, {call.Floats(0), TF_Dim(left, 1), !kTransposesLeft}, {call.Floats(1), TF_Dim(right, 1), kTransposesRight},
                  call.Output(0, {rows, columns})};
  if (inner == 0) {
    std::fill_n(product.out, rows * columns, 0.0f);
    return;
  }
  const int64_t threads = std::min(ThreadsFor(rows * columns * inner / 16.0), (rows + kSquare - 1) / kSquare);
  product.right_tiles = Scratch(product.right_size() + threads * product.left_size());
  product.left_tiles = product.right_tiles + product.right_size();
  OnThreads(threads, [&](int64_t member, int64_t count) { RunMember(product, member, count); });
}

/** [rows, columns] */
template <bool kTransposesLeft, bool kTransposesRight>
void InferProduct(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *rows = TF_NewShapeHandle(), *columns = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, rows, status);
  TF_ShapeInferenceContextSubshape(context, rows, kTransposesLeft, kTransposesLeft + 1, rows, status);
  TF_ShapeInferenceContextGetInput(context, 1, columns, status);
  TF_ShapeInferenceContextSubshape(context, columns, !kTransposesRight, !kTransposesRight + 1, columns, status);
  TF_ShapeInferenceContextConcatenateShapes(context, rows, columns, rows, status);
  TF_ShapeInferenceContextSetOutput(context, 0, rows, status);
  TF_DeleteShapeHandle(columns);
  TF_DeleteShapeHandle(rows);
}

template <bool kTransposesLeft, bool kTransposesRight>
void RegisterProduct(const char *name) {
  Register(name, {{"left: float", "right: float"}, {"product: float"}}, InferProduct<kTransposesLeft, kTransposesRight>,
           Guarded<ComputeProduct<kTransposesLeft, kTransposesRight>>);
}

const bool registered = [] {
  RegisterProduct<false, false>("RoundedProduct");
  RegisterProduct<false, true>("RoundedProductOfTransposedRight");
  RegisterProduct<true, false>("RoundedProductOfTransposedLeft");
  RegisterProduct<true, true>("RoundedProductOfTransposed");
  return true;
}();

}  // namespace
#endif
