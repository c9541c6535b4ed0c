// Vectors of 16 floats, on registers of any size. A file that includes this is compiled once per size of a register in bytes, REGISTER
// (scripts/setup/binding.mjs): 64 with AVX-512, which has 32 of them, 32 with AVX2, which has 16, and 16 for any processor. All its
// kernels are inlined into functions with TARGET, and of the copies one registers its ops.
#ifndef REFT_NATIVE_VECTORS_H_
#define REFT_NATIVE_VECTORS_H_

#include <type_traits>
#include <utility>

#include "kernels.h"

namespace {

// Rows and vectors of a product that stay in registers together.
#if REGISTER == 64
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,prefer-vector-width=512")))
constexpr int kRowsAtOnce = 8, kVectorsAtOnce = 2;
#elif REGISTER == 32
#define TARGET __attribute__((target("avx2,fma")))
constexpr int kRowsAtOnce = 4, kVectorsAtOnce = 1;
#elif REGISTER == 16
#define TARGET
constexpr int kRowsAtOnce = 2, kVectorsAtOnce = 1;
#else
#error "REGISTER is 64, 32 or 16"
#endif

typedef float Floats __attribute__((vector_size(REGISTER)));
typedef float FloatsInMemory __attribute__((vector_size(REGISTER), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(REGISTER)));
/** The upper half of a float32. */
typedef uint16_t Bfloat16;
typedef Bfloat16 Bfloat16sInMemory __attribute__((vector_size(REGISTER / 2), aligned(2), may_alias));

/** A vector as two of half its size: GCC keeps one that is larger than a register in memory, whatever is done with it. */
template <class Half>
struct Two {
  typedef std::decay_t<decltype(std::declval<Half &>()[0])> Number;
  Half low, high;
  INLINE Number operator[](int i) const { return reinterpret_cast<const Number *>(this)[i]; }
  INLINE Number &operator[](int i) { return reinterpret_cast<Number *>(this)[i]; }
  INLINE Two &operator+=(Two other) { return *this = *this + other; }
};

#define OF_TWO(operation)                                                                                                       \
  template <class Half>                                                                                                         \
  INLINE auto operator operation(Two<Half> a, Two<Half> b) {                                                                    \
    return Two<decltype(a.low operation b.low)>{a.low operation b.low, a.high operation b.high};                                \
  }                                                                                                                             \
  template <class Half>                                                                                                         \
  INLINE auto operator operation(Two<Half> a, typename Two<Half>::Number b) {                                                   \
    return Two<decltype(a.low operation b)>{a.low operation b, a.high operation b};                                             \
  }                                                                                                                             \
  template <class Half>                                                                                                         \
  INLINE auto operator operation(typename Two<Half>::Number a, Two<Half> b) {                                                   \
    return Two<decltype(a operation b.low)>{a operation b.low, a operation b.high};                                             \
  }
OF_TWO(+)
OF_TWO(-)
OF_TWO(*)
OF_TWO(/)
OF_TWO(<)
OF_TWO(>)
OF_TWO(&)
OF_TWO(<<)
#undef OF_TWO

template <class Half>
INLINE Two<Half> operator-(Two<Half> x) {
  return {-x.low, -x.high};
}

INLINE Floats Select(Ints mask, Floats yes, Floats no) { return mask ? yes : no; }
INLINE Ints Select(Ints mask, Ints yes, Ints no) { return mask ? yes : no; }
template <class Mask, class Half>
INLINE Two<Half> Select(Two<Mask> mask, Two<Half> yes, Two<Half> no) {
  return {Select(mask.low, yes.low, no.low), Select(mask.high, yes.high, no.high)};
}

/** The nearest integers to numbers that are integers. */
INLINE Ints ToInts(Floats x) { return __builtin_convertvector(x, Ints); }
template <class Half>
INLINE auto ToInts(Two<Half> x) {
  return Two<decltype(ToInts(x.low))>{ToInts(x.low), ToInts(x.high)};
}

/** The numbers that have these bits. */
INLINE Floats ToFloats(Ints bits) { return (Floats)bits; }
template <class Half>
INLINE auto ToFloats(Two<Half> bits) {
  return Two<decltype(ToFloats(bits.low))>{ToFloats(bits.low), ToFloats(bits.high)};
}

INLINE void LoadTo(Floats &x, const float *at) { x = *reinterpret_cast<const FloatsInMemory *>(at); }
INLINE void LoadTo(Floats &x, const Bfloat16 *at) {
  x = ToFloats(__builtin_convertvector(*reinterpret_cast<const Bfloat16sInMemory *>(at), Ints) << 16);
}
INLINE void Store(float *at, Floats x) { *reinterpret_cast<FloatsInMemory *>(at) = x; }
template <class Half, class Number>
INLINE void LoadTo(Two<Half> &x, const Number *at) {
  LoadTo(x.low, at);
  LoadTo(x.high, at + sizeof(Half) / 4);
}
template <class Half>
INLINE void Store(float *at, Two<Half> x) {
  Store(at, x.low);
  Store(at + sizeof(Half) / 4, x.high);
}

constexpr int kLanes = 16;
#if REGISTER == 64
typedef Floats Lanes;
typedef Ints IntLanes;
#elif REGISTER == 32
typedef Two<Floats> Lanes;
typedef Two<Ints> IntLanes;
#else
typedef Two<Two<Floats>> Lanes;
typedef Two<Two<Ints>> IntLanes;
#endif

template <class Number>
INLINE Lanes Load(const Number *at) {
  Lanes x;
  LoadTo(x, at);
  return x;
}

constexpr float kMasked = -INFINITY;

/** e^x for x <= 0, to a unit or two in the last place; 0 below e^-87, about the least number of full precision. Reference: Cephes, expf. */
INLINE Lanes Exp(Lanes x) {
  const Lanes least = Lanes{} - 87.0f;
  const IntLanes vanishes = x < least;
  x = Select(vanishes, least, x);
  const float round = 12582912.0f;  // 1.5 · 2^23: adding it leaves no digits after the point
  const Lanes n = (x * 1.44269504f + round) - round;
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntLanes power = (ToInts(n) + 127) << 23;
  return Select(vanishes, Lanes{}, p * ToFloats(power));
}

/** 1 / (1 + e^-x), by e^-|x|, which never overflows. */
INLINE Lanes Logistic(Lanes x) {
  const Lanes decay = Exp(Select(x < 0, x, -x));
  return Select(x < 0, decay, Lanes{} + 1) / (decay + 1);
}

/** Sums of halves, until there is one number. */
INLINE float SumOf(Floats x) {
#if REGISTER == 16
  return (x[0] + x[1]) + (x[2] + x[3]);
#else
  typedef float Half __attribute__((vector_size(REGISTER / 2)));
  Half halves[2];
  std::memcpy(halves, &x, sizeof x);
  const Half half = halves[0] + halves[1];
#if REGISTER == 32
  return (half[0] + half[1]) + (half[2] + half[3]);
#else
  typedef float Quarter __attribute__((vector_size(REGISTER / 4)));
  Quarter quarters[2];
  std::memcpy(quarters, &half, sizeof half);
  const Quarter sums = quarters[0] + quarters[1];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
#endif
#endif
}
template <class Half>
INLINE float SumOf(Two<Half> x) {
  return SumOf(x.low + x.high);
}

INLINE float MaxOf(Lanes x) {
  float most = x[0];
  for (int i = 1; i < kLanes; i++) most = std::max(most, x[i]);
  return most;
}

struct Normaliser {
  float largest, sum;
};

/** Replaces scores by e^(score - largest score). A multiple of kLanes of them. */
INLINE Normaliser Exponentiate(float *scores, int64_t count) {
  Lanes most = Load(scores);
  for (int64_t j = kLanes; j < count; j += kLanes) {
    const Lanes next = Load(scores + j);
    most = Select(next > most, next, most);
  }
  const float largest = MaxOf(most);
  Lanes sums = {};
  for (int64_t j = 0; j < count; j += kLanes) {
    const Lanes weight = Exp(Load(scores + j) - largest);
    Store(scores + j, weight);
    sums += weight;
  }
  return {largest, SumOf(sums)};
}

/** Whether oneDNN's limit for itself is one of these: tests thus reach every copy on one CPU. */
bool IsLimitedTo(std::initializer_list<const char *> limits) {
  const char *limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  return limit != nullptr && std::any_of(limits.begin(), limits.end(), [&](const char *one) { return std::string(one) == limit; });
}

/** Whether this copy's kernels are the ones for this processor: those of the others are not registered. */
bool IsForThisProcessor() {
#ifdef __x86_64__
  const bool narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !IsLimitedTo({"SSE41", "AVX"});
  const bool wide = narrow && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512bw") && !IsLimitedTo({"AVX2", "AVX2_VNNI", "AVX2_VNNI_2"});
  return REGISTER == (wide ? 64 : narrow ? 32 : 16);
#else
  return true;
#endif
}

}  // namespace

#endif  // REFT_NATIVE_VECTORS_H_
