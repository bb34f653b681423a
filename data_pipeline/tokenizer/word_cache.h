// Pure. A bounded memory of words and their ids. Not thread safe: each caller at work has its own.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_WORD_CACHE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_WORD_CACHE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace breakeven {

// Direct-mapped: a word lives in the one slot that its hash names, and a new word displaces the old
// one. A key is the word itself, zero-filled, its length in the last byte, so two words never share
// one: there are no false hits.
template <size_t kKeyWords, size_t kMaxIds>
class WordTable {
 public:
  static constexpr size_t kMaxBytes = kKeyWords * 8 - 1;
  static constexpr size_t kMaxNumIds = kMaxIds;
  using Key = std::array<uint64_t, kKeyWords>;
  struct Slot {
    Key key{};  // all zero: empty (a word has a length)
    std::array<int32_t, kMaxIds> ids{};
    uint32_t num_ids = 0;
  };

  explicit WordTable(size_t num_slots) : slots_(num_slots) {}  // a power of two

  // `word` has 1 to kMaxBytes bytes.
  static Key MakeKey(std::string_view word) {
    Key key{};
    if constexpr (kKeyWords == 2) {
      PackShort(word.data(), word.size(), &key);
    } else {
      std::memcpy(key.data(), word.data(), word.size());
    }
    key[kKeyWords - 1] |= static_cast<uint64_t>(word.size()) << 56;
    return key;
  }

  Slot& At(const Key& key) {
    uint64_t hash = 0x9E3779B97F4A7C15ull;
    for (size_t i = 0; i < kKeyWords; i += 2) {
      const auto product = static_cast<unsigned __int128>(key[i] ^ hash) *
                           (key[i + 1 < kKeyWords ? i + 1 : i] ^ 0xE7037ED1A0B428DBull);
      hash = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    }
    return slots_[(hash ^ hash >> 32) & (slots_.size() - 1)];
  }

  // `ids`: at most kMaxNumIds.
  static void Fill(Slot* slot, const Key& key, std::span<const int32_t> ids) {
    slot->key = key;
    slot->num_ids = static_cast<uint32_t>(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) slot->ids[i] = ids[i];
  }

 private:
  // Loads up to 15 bytes without reading past them: overlapping loads of what is surely there.
  static void PackShort(const char* p, size_t n, Key* key) {
    static_assert(std::endian::native == std::endian::little);
    const auto load = [](const char* from, auto value) {
      std::memcpy(&value, from, sizeof value);
      return static_cast<uint64_t>(value);
    };
    if (n > 8) {
      (*key)[0] = load(p, uint64_t{});
      (*key)[1] = load(p + n - 8, uint64_t{}) >> (8 * (16 - n));
    } else if (n == 8) {
      (*key)[0] = load(p, uint64_t{});
    } else if (n >= 4) {
      (*key)[0] = load(p, uint32_t{}) | load(p + n - 4, uint32_t{}) << (8 * (n - 4));
    } else {
      (*key)[0] = load(p, uint8_t{}) | load(p + n / 2, uint8_t{}) << (8 * (n / 2)) |
                  load(p + n - 1, uint8_t{}) << (8 * (n - 1));
    }
  }

  std::vector<Slot> slots_;
};

// Two sizes of slot: 32 bytes for the words of most text (two to a cache line), 128 for long words
// and for scripts of which a vocabulary has few words. Longer still is computed each time.
struct WordCache {
  using Short = WordTable<2, 3>;
  using Long = WordTable<6, 19>;
  static_assert(sizeof(Short::Slot) == 32 && sizeof(Long::Slot) == 128);
  Short short_words{32 * 1024};  // 1 MiB
  Long long_words{8 * 1024};     // 1 MiB
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_WORD_CACHE_H_
