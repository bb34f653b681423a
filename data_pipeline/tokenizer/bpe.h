// Pure. Byte-pair encoding (Sennrich et al. 2016; over bytes as in GPT-2) of one word at a time.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_BPE_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data_pipeline/tokenizer/word_cache.h"

namespace breakeven {

// The text of a token as bytes, by GPT-2's table of 256 printable characters; `text` itself when it
// holds any other character. *all_mapped says which.
std::string MappedBytes(std::string_view text, bool* all_mapped);

struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t merged = 0;
};

struct BpeSpec {
  // Bytes → id, of the vocabulary's tokens that are made of mapped characters only: no other can
  // come out of a merge.
  std::unordered_map<std::string, int32_t> ids;
  std::vector<BpeMerge>
      merges;  // by rank; of two merges of one pair the later counts, as in `tokenizers`
  int32_t unknown_id = -1;    // for bytes without a token; -1: they vanish, as in `tokenizers`
  bool fuse_unknown = false;  // neighbouring unknown bytes give one id
  bool ignore_merges =
      false;  // a word that is a token itself is that token, whatever the merges say
};

class Bpe {
 public:
  explicit Bpe(BpeSpec spec);

  // Working memory of one caller: about 2 MiB, bounded.
  struct Scratch {
    WordCache cache;
    std::vector<int32_t> symbols, next, previous;
    std::vector<uint32_t> ranks;
    struct Candidate {
      uint32_t rank;
      uint32_t position;
      int32_t merged;
    };
    std::vector<Candidate> heap;
  };

  // Appends the ids of `word` (bytes, not empty). Merges by (rank, position), smallest first; O(n
  // log n).
  void EncodeWord(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const {
    if (word.size() <= WordCache::Short::kMaxBytes) {
      const auto key = WordCache::Short::MakeKey(word);
      WordCache::Short::Slot& slot = scratch->cache.short_words.At(key);
      if (slot.key == key) [[likely]] {
        ids->insert(ids->end(), slot.ids.data(), slot.ids.data() + slot.num_ids);
        return;
      }
    }
    EncodeMissed(word, scratch, ids);
  }

 private:
  // Open addressing, at most half full: a pair's rank and result.
  struct PairSlot {
    uint64_t pair = ~uint64_t{0};
    uint32_t rank = 0;
    int32_t merged = 0;
  };
  static uint64_t PairKey(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  const PairSlot* FindPair(int32_t left, int32_t right) const;
  void EncodeMissed(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;
  void EncodeUncached(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const;
  void FillSymbols(std::string_view word, Scratch* scratch) const;
  void MergeFew(Scratch* scratch) const;
  void MergeMany(Scratch* scratch) const;

  BpeSpec spec_;
  std::array<int32_t, 256> byte_ids_;
  std::vector<PairSlot> pairs_;
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_BPE_H_
