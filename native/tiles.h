// AMX, with which products of numbers rounded to bf16 are made: a tile has 16 rows of 64 bytes. g++ knows it from 11 on.
// Reference: Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on AMX.
#ifndef REFT_NATIVE_TILES_H_
#define REFT_NATIVE_TILES_H_

#include "kernels.h"

#if REGISTER == 64 && __GNUC__ >= 11
#define HAS_TILES
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILES_TARGET target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#define TILES __attribute__((noinline, TILES_TARGET))
#define TILES_INLINE inline __attribute__((always_inline, TILES_TARGET))
#endif

namespace {

/** Of a tile of rounded numbers. */
constexpr int64_t kTileRows = 16, kTileInner = 32;

#ifdef HAS_TILES
/** Whether there are tiles, oneDNN's limit for itself allows them, and so does the system. */
bool MayUseTiles() {
  static const bool may = [] {
    const char *limit = std::getenv("ONEDNN_MAX_CPU_ISA");
    if (limit != nullptr && std::strstr(limit, "AMX") == nullptr && std::strstr(limit, "DEFAULT") == nullptr) return false;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & 1 << 5 /* AVX512_BF16 */)) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1 << 22 /* AMX_BF16 */) || !(d & 1 << 24 /* AMX_TILE */)) return false;
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */) == 0;
  }();
  return may;
}

struct alignas(64) TileShapes {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
};
const TileShapes kTileShapes{1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/** The first `count` of 16 numbers. */
TILES_INLINE __mmask16 Mask(int64_t count) { return count >= 16 ? 0xffff : count > 0 ? (1 << count) - 1 : 0; }

TILES void StartTiles() { _tile_loadconfig(&kTileShapes); }

TILES void EndTiles() { _tile_release(); }
#else
bool MayUseTiles() { return false; }
#endif

}  // namespace

#endif  // REFT_NATIVE_TILES_H_
